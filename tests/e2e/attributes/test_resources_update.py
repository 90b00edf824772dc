"""Limits that change in the file: taken on by the container that runs, and told as old and new."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests import groups
from tests.patience import patient

pytestmark = pytest.mark.root

MIB = 2**20
STACK = """
name: shop
services:
  web:
    image: busybox
    command: {command}
    stop_grace_period: 0s
    restart: always
    {limits}
"""
SMALL = "mem_limit: 32m\n    memswap_limit: 32m\n    cpus: 0.5\n    pids_limit: 50"
LARGE = "mem_limit: 64m\n    memswap_limit: 64m\n    cpus: 1\n    cpu_shares: 512"
CHANGES = (
    "memory 32 MiB → 64 MiB",
    "memory and swap 32 MiB → 64 MiB",
    "cpus 0.5 → 1",
    "cpu shares none → 512",
    "processes 50 → 4096",
)


def write(pyorch, limits, command="sleep 1000"):
    pyorch.write(STACK.format(limits=limits, command=command))


def kept(pyorch):
    return (
        groups.memory(pyorch, "shop/web.1"),
        groups.processor_time(pyorch, "shop/web.1"),
        groups.processes(pyorch, "shop/web.1"),
    )


def test_changed_limits_hold_for_the_process_that_runs_and_for_those_after_it(pyorch):
    write(pyorch, SMALL)
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("shop/web.1")
    write(pyorch, LARGE)

    planned = pyorch.try_("plan")
    pyorch.run("up", "-d", "--wait")
    during = pyorch.main_process("shop/web.1")
    limits = kept(pyorch)
    again = pyorch.try_("plan")
    os.kill(before, signal.SIGKILL)
    pyorch.until("shop", lambda state: state["replicas"][0]["restarts"] and state["settled"])

    assert planned.code == 2
    assert planned.out.startswith("#1 update limits of web.1: ")
    assert set(planned.out.strip().removeprefix("#1 update limits of web.1: ").split(", ")) == set(
        CHANGES
    )
    assert during == before, "no new container"
    assert limits == (64 * MIB, (100_000, 100_000), 4096)
    assert again.code == 0
    assert kept(pyorch) == limits, "the next run has them, too"


def test_limits_go_back_with_the_file(pyorch):
    write(pyorch, LARGE)
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("shop/web.1")
    for limits in (SMALL, "", LARGE):
        write(pyorch, limits)
        pyorch.run("up", "-d", "--wait")

    assert pyorch.main_process("shop/web.1") == before
    assert kept(pyorch) == (64 * MIB, (100_000, 100_000), 4096)


def test_a_limit_below_what_is_used_is_refused_and_the_former_ones_hold(pyorch):
    hoard = "[sh, -c, 'cat /dev/zero | head -c 20000000 > /dev/shm/x; sleep 1000']"
    write(pyorch, "mem_limit: 32m", hoard)
    pyorch.run("up", "-d", "--wait")
    until_used(pyorch, 20_000_000)
    before = pyorch.main_process("shop/web.1")
    write(pyorch, "mem_limit: 8m\n    memswap_limit: 8m\n    pids_limit: 50", hoard)

    command = pyorch.start("up", "-d", "--wait")
    state = pyorch.until("shop", lambda found: found["errors"])
    command.kill()
    command.communicate()

    assert "limit `shop.web.1`" in state["errors"][0]["message"]
    assert pyorch.main_process("shop/web.1") == before
    assert groups.memory(pyorch, "shop/web.1") == 32 * MIB
    assert groups.processes(pyorch, "shop/web.1") == 4096


def test_a_daemon_killed_meanwhile_goes_on_with_the_limits_that_are_wanted(pyorch):
    write(pyorch, SMALL)
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("shop/web.1")
    os.kill(pyorch.daemon_pid(), signal.SIGKILL)
    write(pyorch, LARGE)

    pyorch.run("up", "-d", "--wait")

    assert pyorch.main_process("shop/web.1") == before
    assert kept(pyorch) == (64 * MIB, (100_000, 100_000), 4096)
    assert "Recreat" not in json.dumps(pyorch.ps("shop"))


def until_used(pyorch, amount):
    """Return once a file in the container's memory is as large."""
    pid = pyorch.main_process("shop/web.1")
    path = Path(f"/proc/{pid}/root/dev/shm/x")
    script = f"while [ ! -e {path} ] || [ $(stat -Lc %s {path}) -lt {amount} ]; do :; done"
    pyorch_run = ("timeout", f"{patient(30):.0f}", "sh", "-c", script)
    assert os.spawnvp(os.P_WAIT, pyorch_run[0], pyorch_run) == 0
