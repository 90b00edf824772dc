"""Commands are killed, stand still, or come all at once."""

import random
import signal
import threading

import pytest

from tests.faults.acts import SHOP, bring_up, end, main_processes, settle
from tests.invariants import check_invariants
from tests.lab import eventually
from tests.patience import patient

pytestmark = pytest.mark.root

CLIENTS = 4
ASKED = 5
SEED = 1


def test_f10_what_was_asked_for_goes_on_when_the_command_is_killed(pyorch):
    pyorch.write(SHOP)
    asking = pyorch.start("up", "-d", "--wait")
    assert next(line for line in asking.stderr if "Created" in line)

    end(asking)
    settle(pyorch)

    assert {one["State"] for one in pyorch.ps("shop").values()} == {"running"}
    again = pyorch.try_("up", "-d", "--wait")
    assert (again.code, "Started" in again.err) == (0, False)
    check_invariants(pyorch)


@pytest.mark.parametrize("words", [("exec", "-T"), ("exec",)], ids=["pipes", "tty"])
def test_f10_a_command_in_a_container_ends_with_the_one_who_asked(pyorch, words):
    bring_up(pyorch)
    before = pyorch.processes("shop/web.1")
    asking = pyorch.start("-p", "shop", *words, "web", "sleep", "999")
    eventually(lambda: pyorch.processes("shop/web.1"), lambda pids: len(pids) > len(before))

    end(asking)

    eventually(lambda: pyorch.processes("shop/web.1"), lambda pids: pids == before)
    check_invariants(pyorch)


def test_f10_who_reads_logs_and_dies_or_stands_still_holds_nobody_up(pyorch):
    bring_up(pyorch)
    readers = [pyorch.start("-p", "shop", "logs", "-f") for _ in range(3)]
    for reader in readers:
        assert "tick" in reader.stdout.readline()
    readers[0].send_signal(signal.SIGSTOP)
    end(readers[1])

    pyorch.run("restart", "ticker")
    settle(pyorch)

    last = readers[2]
    assert "tick" in last.stdout.readline()
    for reader in (readers[0], last):
        end(reader)
    check_invariants(pyorch)


def test_f34_commands_that_come_all_at_once_are_done_one_after_the_other(pyorch):
    bring_up(pyorch)
    pyorch.write(SHOP.replace("name: shop", "name: other"), "other.yml")
    verbs = [
        ("up", "-d"),
        ("up", "-d", "--scale", "web=2"),
        ("stop", "-t", "0"),
        ("start",),
        ("restart", "-t", "0"),
        ("down", "-t", "0"),
    ]
    ended = []

    def ask(number):
        chance = random.Random(f"{SEED}.{number}")
        for _ in range(ASKED):
            name = chance.choice(("stack.yml", "other.yml"))
            words = ("-f", name, *chance.choice(verbs))
            ended.append((words, pyorch.try_(*words)))

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(patient(120))
        assert not client.is_alive()

    assert len(ended) == CLIENTS * ASKED
    for words, done in ended:
        assert "Traceback" not in done.err, (words, done)
        # Whoever waits for what another one takes away is told so.
        assert done.code in (0, 1), (words, done)
    for name in ("stack.yml", "other.yml"):
        pyorch.run("-f", name, "up", "-d", "--wait", "--scale", "web=1")
    assert len(main_processes(pyorch)) == 2
    check_invariants(pyorch)
