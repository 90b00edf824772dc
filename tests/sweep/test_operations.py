"""The daemon is killed while it does one thing; repeated, the thing is done, and no other.

Each operation begins from a state of its own and is tried at points chosen as in the sweep of
the guestbook. A service counts meanwhile, so that whatever is lost is seen.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.instance import Pyorch
from tests.invariants import TICKING, check_invariants
from tests.sweep.test_kill_sweep import SEED, check_it_fired, choose
from tests.sweep.traced import Traced, points_between

pytestmark = pytest.mark.root

SHARE = 3
"""One in so many of the points of a whole stack's coming up."""
ROW = 5
"""Kills in a row of one that comes back."""
USUAL = f"""
name: shop
services:
  web: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, networks: [one]}}
  ticker:{TICKING}
    networks: [one]
networks: {{one: }}
volumes: {{ticks: }}
"""
WIDER = (
    USUAL.replace("sleep 1000", "sleep 999")
    .replace("[one]}", "[one, two]}")
    .replace("networks: {one: }", "networks: {one: , two: }")
)
UP = ("up", "-d", "--wait")
WEB, TICKER = "shop-web-1", "shop-ticker-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is asked for in which situation, and what must be so in the end."""

    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = (UP,)
    """Commands that lead to where it begins, wherever the last one ended."""
    text: str = USUAL
    """The stack file by the time it is asked for."""
    so: Callable[[Pyorch], bool]


def states(pyorch: Pyorch) -> Counter[str]:
    return Counter(one["State"] for one in pyorch.ps("shop").values())


def networks(pyorch: Pyorch) -> set[str]:
    return {line.split()[0] for line in pyorch.run("network", "ls", "-q").splitlines()}


def volumes(pyorch: Pyorch) -> set[str]:
    return set(pyorch.run("volume", "ls", "-q").split())


def are(**wanted: int) -> Callable[[Pyorch], bool]:
    """Whether so many containers are in each state, and none in another."""
    return lambda pyorch: states(pyorch) == Counter(wanted)


DOWN, STOP = ("down", "-t", "0"), ("stop", "-t", "0")
OPERATIONS = {
    "create": Operation(words=("create",), before=(DOWN,), so=are(created=2)),
    "start": Operation(words=("start",), before=(UP, STOP), so=are(running=2)),
    "stop": Operation(words=STOP, so=are(exited=2)),
    "restart": Operation(words=("restart", "-t", "0"), so=are(running=2)),
    "remove": Operation(words=("rm", "-f"), before=(UP, STOP), so=are()),
    "scale up": Operation(words=("scale", "web=3"), so=are(running=4)),
    "scale down": Operation(
        words=("scale", "web=1"), before=((*UP, "--scale", "web=3"),), so=are(running=2)
    ),
    "network create": Operation(
        words=UP, text=WIDER, so=lambda pyorch: networks(pyorch) == {"shop_one", "shop_two"}
    ),
    "network remove": Operation(
        words=UP,
        before=(("-f", "wider.yml", *UP),),
        so=lambda pyorch: networks(pyorch) == {"shop_one"},
    ),
    "volume create": Operation(
        words=("volume", "create", "spare"),
        before=(UP, ("volume", "rm", "-f", "spare")),
        so=lambda pyorch: volumes(pyorch) == {"shop_ticks", "spare"},
    ),
    "volume remove": Operation(
        words=("volume", "rm", "-f", "spare"),
        before=(UP, ("volume", "create", "spare")),
        so=lambda pyorch: volumes(pyorch) == {"shop_ticks"},
    ),
}


def begin(pyorch: Pyorch, operation: Operation) -> None:
    """Lead to where an operation begins, with no daemon."""
    pyorch.write(USUAL)
    for words in operation.before:
        pyorch.run(*words)
    pyorch.write(operation.text)
    pyorch.run("daemon", "stop")


@pytest.mark.parametrize("name", OPERATIONS)
def test_f2_f3_f4_f5_f7_a_kill_at_any_point_of_one_operation_is_made_good(pyorch, request, name):
    operation = OPERATIONS[name]
    pyorch.write(WIDER, "wider.yml")
    begin(pyorch, operation)
    counting = Traced(pyorch)
    counting.wait_until_it_answers_or_is_dead()
    before = counting.calls()
    pyorch.run(*operation.words)
    found = points_between(before, counting.calls())
    counting.end()
    assert operation.so(pyorch), f"{name} without a kill"

    fired = {}
    for point in choose(request, name, found, share=SHARE):
        where = f"killed at {point} of {name} (seed {SEED})"
        begin(pyorch, operation)
        traced = Traced(pyorch, point)
        traced.wait_until_it_answers_or_is_dead()
        pyorch.try_(*operation.words)
        traced.end()
        fired[point] = traced.fired()

        if not operation.so(pyorch):
            pyorch.run(*operation.words)
        assert operation.so(pyorch), where
        check_invariants(pyorch, again=False)
    pyorch.run("volume", "rm", "-f", "spare")
    check_it_fired(fired)


def test_f8_many_kills_in_a_row_of_one_that_comes_back_are_made_good(pyorch, request):
    pyorch.write(USUAL)
    pyorch.run(*UP)
    before = {one: pyorch.main_process(f"shop/{one}.1") for one in ("web", "ticker")}
    pyorch.run("daemon", "stop")
    counting = Traced(pyorch)
    counting.wait_until_it_answers_or_is_dead()
    found = points_between(Traced.NOTHING, counting.calls())
    counting.end()

    chosen = choose(request, "coming back", found)
    killed = 0
    for first in range(0, len(chosen), ROW):
        for point in chosen[first : first + ROW]:
            traced = Traced(pyorch, point)
            traced.wait_until_it_answers_or_is_dead()
            killed += traced.fired()
            traced.abandon()
        after = {one: pyorch.main_process(f"shop/{one}.1") for one in before}
        assert after == before
        check_invariants(pyorch, again=False)
        pyorch.run("daemon", "stop")
    # Whoever begins after a kill makes other calls than whoever begins after an end.
    assert killed >= len(chosen) / 2, f"{killed} of {len(chosen)} kills came"
