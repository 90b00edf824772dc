"""Containers are killed, fork without end, do not listen; what belongs to them is taken away."""

import os
import shutil
import signal

import pytest

from runtime import cgroups
from tests.faults.acts import (
    bring_up,
    end,
    is_gone,
    kill_daemon,
    main_processes,
    settle,
    sleeper,
)
from tests.invariants import check_invariants
from tests.lab import eventually
from tests.leaks import CGROUPS

pytestmark = pytest.mark.root

KILLS = 20
CRASHING = """
name: shop
services:
  web:
    image: busybox
    command: sleep 1000
    restart: always
    x-pyorch: {backoff: {delay: 10ms, max_delay: 20ms}}
  after: {image: busybox, command: sleep 1000, depends_on: [web], stop_grace_period: 0s}
"""
FORKING = """
name: shop
services:
  bomb:
    image: busybox
    command: sh -c 'f() { f & f & wait; }; f & exec sleep 1000'
    pids_limit: 60
    cpus: 0.3
    stop_grace_period: 0s
  good:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {test: [CMD, "true"], interval: 100ms, timeout: 30s}
"""
DEAF = """
name: shop
services:
  deaf:
    image: busybox
    command: sh -c "trap '' TERM; while :; do sleep 0.1; done"
    stop_grace_period: 500ms
  frozen: {image: busybox, command: sleep 1000, init: true, stop_grace_period: 500ms}
  farm:
    image: busybox
    command: sh -c 'while :; do sh -c "sleep 0.01 & exec true"; done'
    init: true
    stop_grace_period: 500ms
"""


def test_f12_a_container_that_is_killed_again_and_again_comes_back_each_time(pyorch):
    bring_up(pyorch, CRASHING)
    after = pyorch.main_process("shop/after.1")
    for number in range(1, KILLS + 1):
        os.kill(pyorch.main_process("shop/web.1"), signal.SIGKILL)
        pyorch.until(
            "shop",
            lambda state, number=number: (
                state["settled"] and any(one["restarts"] == number for one in state["replicas"])
            ),
        )

    view = next(
        one for one in pyorch.client.get("/v1/stacks/shop")["replicas"] if one["service"] == "web"
    )
    assert set(view["last_codes"]) == {137}
    assert pyorch.main_process("shop/after.1") == after
    check_invariants(pyorch)


def test_f14_a_fork_bomb_hurts_nobody_but_itself(pyorch):
    bring_up(pyorch, FORKING)
    events = cgroups.find(f"{pyorch.settings.instance().cgroup}/shop/bomb.1", "pids.events")
    eventually(lambda: events.read_text().split()[1], lambda count: int(count) > 0)
    good = pyorch.main_process("shop/good.1")

    pyorch.run("-p", "shop", "exec", "-T", "good", "true")
    told = {one["service"]: one for one in pyorch.client.get("/v1/stacks/shop")["replicas"]}
    pyorch.run("stop", "bomb")

    assert told["good"]["health"] == "healthy"
    assert pyorch.processes("shop/bomb.1") == []
    assert pyorch.main_process("shop/good.1") == good
    check_invariants(pyorch)


def test_f25_what_runs_is_never_there_twice_though_the_run_directory_is_gone(pyorch):
    bring_up(pyorch)
    before = main_processes(pyorch)
    kill_daemon(pyorch)
    # What is mounted cannot be deleted like this, as with `rm -rf`.
    shutil.rmtree(pyorch.settings.run, ignore_errors=True)
    gone = set(before.values())

    pyorch.run("ls")
    settle(pyorch)

    for name, pid in main_processes(pyorch).items():
        if pid != before[name]:
            assert is_gone(before[name]), "the old one still runs beside the new one"
            gone.discard(before[name])
    pyorch.run("up", "-d", "--wait")
    check_invariants(pyorch)


def test_f31_groups_an_earlier_daemon_left_go_with_who_is_frozen_in_them(pyorch):
    bring_up(pyorch)
    before = main_processes(pyorch)
    kill_daemon(pyorch)
    own = pyorch.settings.instance().cgroup
    lost, frozen = sleeper(), sleeper()
    for one, process in (("lost.1", lost), ("frozen.1", frozen)):
        for place in (CGROUPS / "freezer", CGROUPS / "pids", CGROUPS):
            if (place / "cgroup.procs").exists():
                group = place / own / "old" / one
                group.mkdir(parents=True)
                (group / "cgroup.procs").write_text(str(process.pid))
    if mark := cgroups.find(f"{own}/old/frozen.1", "freezer.state"):
        mark.write_text("FROZEN")
    else:
        (CGROUPS / own / "old" / "frozen.1" / "cgroup.freeze").write_text("1")

    try:
        pyorch.run("ls")
        settle(pyorch)

        eventually(lambda: (is_gone(lost.pid), is_gone(frozen.pid)), all)
        eventually(lambda: cgroups.directories(f"{own}/old"), lambda found: not found)
        assert main_processes(pyorch) == before
        check_invariants(pyorch)
    finally:
        end(lost)
        end(frozen)


def test_f32_who_stands_in_a_containers_root_does_not_keep_it_from_going(pyorch):
    bring_up(pyorch)
    inside = pyorch.settings.data / "containers" / "shop.web.1" / "merged" / "tmp"
    guest = sleeper(inside)
    try:
        pyorch.run("rm", "-s", "-f", "web")
        settle(pyorch)
        pyorch.run("up", "-d", "--wait")

        assert guest.poll() is None
        check_invariants(pyorch)
        pyorch.run("down", "-v")
        assert not (pyorch.settings.data / "containers" / "shop.web.1").exists()
    finally:
        end(guest)


def test_f41_who_does_not_end_is_killed_when_its_time_is_over(pyorch):
    bring_up(pyorch, DEAF)
    os.kill(pyorch.main_process("shop/frozen.1"), signal.SIGSTOP)

    pyorch.run("stop")

    codes = {name: one["ExitCode"] for name, one in pyorch.ps("shop").items()}
    assert codes["shop-deaf-1"] == codes["shop-frozen-1"] == 137
    assert [pyorch.processes(f"shop/{one}.1") for one in ("deaf", "frozen", "farm")] == [[]] * 3
    check_invariants(pyorch)
