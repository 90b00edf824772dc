"""Clocks jump: what has a deadline keeps it, and nobody is in a hurry afterwards."""

from pathlib import Path

import pytest

from tests.faults.acts import state_of
from tests.invariants import check_invariants
from tests.lab import eventually

pytestmark = pytest.mark.root

JUMPS = ("+1h", "-1h", "+400d", "-400d")
STACK = """
name: shop
services:
  well:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {test: "echo >>/checks", interval: 1h, start_interval: 1h}
  slow:
    image: busybox
    command: sh -c "trap '' TERM; while :; do sleep 0.1; done"
    stop_grace_period: 1s
  loop:
    image: busybox
    command: "false"
    restart: always
    x-pyorch: {backoff: {delay: 10m, max_delay: 1h}}
"""


@pytest.fixture
def jumping(pyorch, tmp_path):
    """A pyorch whose daemon sees the wall clock as the file says that comes with it."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    clock = tmp_path / "clock"
    clock.write_text("+0")
    pyorch.run("daemon", "stop")
    pyorch.environment |= {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    pyorch.serve()
    return pyorch, clock


def checks(pyorch):
    """Return a line for each time it was asked whether it is well."""
    return pyorch.run("-p", "shop", "exec", "-T", "well", "cat", "/checks")


def test_f22_a_wall_clock_that_jumps_hurries_and_delays_nobody(jumping):
    pyorch, clock = jumping
    pyorch.write(STACK)
    pyorch.run("up", "-d")
    pyorch.until("shop", lambda state: any(one["restarts"] for one in state["replicas"]))
    eventually(lambda: checks(pyorch), lambda said: said == "\n")
    before = state_of(pyorch, "shop.loop.1")["run"]

    for jump in JUMPS:
        clock.write_text(jump)
        pyorch.run("stop", "slow")
        ended = state_of(pyorch, "shop.slow.1")
        assert ended["ended"] >= ended["stop_by"], jump
        assert ended["code"] == 137, jump
        pyorch.run("start", "slow")
        assert state_of(pyorch, "shop.loop.1")["run"] == before, jump
        assert checks(pyorch) == "\n", jump

    pyorch.run("stop", "loop")
    pyorch.run("daemon", "stop")
    del pyorch.environment["LD_PRELOAD"]
    pyorch.serve()
    check_invariants(pyorch)
