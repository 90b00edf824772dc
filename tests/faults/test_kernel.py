"""The kernel refuses, forgets to tell, or holds what nobody owns any more."""

import os
import subprocess

import pytest

from tests.faults.acts import SHOP, bring_up, end, kill_daemon, main_processes, settle
from tests.invariants import TICKING, check_invariants
from tests.lab import eventually
from tests.sweep.traced import Point, Traced

pytestmark = pytest.mark.root

LEAKED = 100
TALKING = f"""
name: shop
services:
  ticker:{TICKING}
volumes: {{ticks: }}
"""


def test_f26_logs_are_followed_where_the_kernel_watches_no_files(pyorch):
    bring_up(pyorch, TALKING)
    pyorch.run("daemon", "stop")
    traced = Traced(pyorch, Point("inotify_init1", 1), fault="error=EMFILE", every=1)
    traced.wait_until_it_answers_or_is_dead()
    reader = pyorch.start("-p", "shop", "logs", "-f", "--no-log-prefix", "--tail", "1")
    try:
        numbers = [int(reader.stdout.readline().split()[1]) for _ in range(20)]
    finally:
        end(reader)
        traced.end()

    assert numbers == list(range(numbers[0], numbers[0] + 20))
    assert traced.injected()
    check_invariants(pyorch)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("sendto", "ENOBUFS"),
        ("recvfrom", "ENOBUFS"),
        ("sendto", "EBUSY"),
    ],
)
def test_f27_what_the_kernel_refuses_now_and_then_is_asked_for_again(pyorch, call, error):
    pyorch.write(SHOP)
    pyorch.run("daemon", "stop")
    traced = Traced(pyorch, Point(call, 10), fault=f"error={error}", every=15)
    traced.wait_until_it_answers_or_is_dead()
    # The daemon's answers are lost in the same way: whoever asks has to ask again.
    pyorch.try_("up", "-d", "--wait")
    assert not traced.daemon_was_killed()
    traced.end()
    assert traced.injected()

    pyorch.run("up", "-d", "--wait")

    check_invariants(pyorch)


def test_f30_links_nobody_owns_are_swept_and_those_of_others_are_not(pyorch):
    bring_up(pyorch)
    before = main_processes(pyorch)
    kill_daemon(pyorch)
    alias, mark = pyorch.settings.instance().alias, pyorch.name
    lines = [
        f"link add pov{mark}{number:02x} type veth peer name pox{mark}{number:02x}\n"
        f"link set pov{mark}{number:02x} alias {alias}gone.a.{number}\n"
        for number in range(LEAKED)
    ]
    foreign = f"pov{mark}zz"
    lines.append(f"link add {foreign} type bridge\n")
    done = subprocess.run(
        ["ip", "-batch", "-"], input="".join(lines), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    try:
        pyorch.run("ls")
        settle(pyorch)

        eventually(
            lambda: [one for one in os.listdir("/sys/class/net") if one.startswith(f"pov{mark}")],
            lambda found: found == [foreign],
        )
        assert main_processes(pyorch) == before
        check_invariants(pyorch)
    finally:
        subprocess.run(["ip", "link", "delete", foreign], check=True)
