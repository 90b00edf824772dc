"""Over thousands of passes and hundreds of restarts the daemon stays as large as it was."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.instance import PATIENCE
from tests.invariants import Look, check_invariants

pytestmark = pytest.mark.root

PASSES = int(os.environ.get("PYORCH_SOAK_PASSES", "50"))
RESTARTS = int(os.environ.get("PYORCH_SOAK_RESTARTS", "20"))
WARM = 200
"""Passes before what is measured, a third as many at least: what C allocates settles late."""
WITHIN = 0.05
SLACK = 2 * 2**20
"""Bytes: pages the allocator keeps are no leak where so few passes are made."""
STACK = """
name: shop
services:
  web:
    image: busybox
    command: sleep 1000
    restart: always
    scale: 3
    ports: ["127.0.0.1::80"]
    healthcheck: {test: [CMD, "true"], interval: 10s}
    x-pyorch: {backoff: {delay: 1ms, max_delay: 5ms}}
"""


def measure(pyorch):
    """Return what the daemon has open, its threads, and the memory nobody else has."""
    pid = pyorch.daemon_pid()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n")
    own = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    return {
        "descriptors": sum(Look(pyorch).descriptors().values()),
        "threads": len(os.listdir(f"/proc/{pid}/task")),
        "memory": own * 1024,
    }


def settle(pyorch):
    pyorch.until("shop", lambda state: state["reported"] and state["settled"])


def make_passes(pyorch, count):
    """Have the stack looked at as often, as whoever asks for what there is has it looked at."""
    for _ in range(count):
        pyorch.client.post("/v1/stacks/shop/start")
        settle(pyorch)


def make_restarts(pyorch, count):
    for _ in range(count):
        restarts = sum(one["restarts"] for one in replicas(pyorch))
        os.kill(pyorch.main_process("shop/web.1"), signal.SIGKILL)
        pyorch.until(
            "shop",
            lambda state, before=restarts: (
                sum(one["restarts"] for one in state["replicas"]) > before and state["settled"]
            ),
        )


def replicas(pyorch):
    return pyorch.client.get("/v1/stacks/shop")["replicas"]


def test_many_passes_and_restarts_leave_the_daemon_as_it_was(pyorch, request):
    pyorch.write(STACK)
    pyorch.run("up", "-d", "--wait")
    make_passes(pyorch, max(PASSES // 3, WARM))
    make_restarts(pyorch, max(RESTARTS // 10, 5))
    before = measure(pyorch)

    make_passes(pyorch, PASSES)
    make_restarts(pyorch, RESTARTS)

    # A stream of events whose reader has left is closed with the next event.
    deadline = time.monotonic() + PATIENCE
    while sum(Look(pyorch).descriptors().values()) > before["descriptors"] + 2:
        assert time.monotonic() < deadline, "more descriptors than before stay open"
        time.sleep(0.2)
    after = measure(pyorch)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{PASSES} passes and {RESTARTS} restarts: {before} -> {after}")
    # Those that wait for calls that block come when they are needed, and stay.
    assert after["threads"] <= max(before["threads"] * (1 + WITHIN), 20)
    assert after["memory"] <= before["memory"] * (1 + WITHIN) + SLACK
    check_invariants(pyorch)
