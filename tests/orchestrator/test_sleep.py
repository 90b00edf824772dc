"""The machine sleeps for a night under what has deadlines: no timer goes on, but time does."""

import asyncio

from orchestrator.sources.timers import SWEEP
from runtime.testing import Program
from runtime.types import ContainerId

NIGHT = 8 * 3600.0
LATE = SWEEP + 1.0
"""Seconds by which what nothing wakes may be late: the next sweep finds it."""
CHECKED = ContainerId("shop.checked.1")
STACK = """
name: shop
services:
  loop: {image: app, command: loop, restart: always,
         x-pyorch: {backoff: {delay: 1h, max_delay: 1h}}}
  slow: {image: app, command: slow, stop_grace_period: 2h}
  checked: {image: app, healthcheck: {test: [CMD, check], interval: 1m}}
"""


async def test_f23_what_was_due_while_the_machine_slept_is_done_once(world):
    world.containers.programs |= {
        ("loop",): Program(code=1),
        ("slow",): Program(signals={}),
        ("check",): Program(code=0),
    }
    async with world.daemon():
        await world.apply(STACK)
        await world.until(lambda state: any(one["restarts"] for one in state["replicas"]))
        await world.orchestrator.intents.stop("shop", ["slow"], grace=None)
        await world.until(lambda _: world.phases()["shop.slow.1"] == "stopping")
        await asyncio.sleep(90)
        runs, probes = world.runs()["shop.loop.1"], len(world.containers.probed)
        assert world.phases()["shop.slow.1"] == "stopping"

        world.slept += NIGHT
        await asyncio.sleep(LATE)

        assert world.phases()["shop.slow.1"] == "exited 137"
        assert world.runs()["shop.loop.1"] == runs + 1
        assert len(world.containers.probed) <= probes + 1
        await asyncio.sleep(600)

    assert world.runs()["shop.loop.1"] == runs + 1, "the next one is due in an hour"
    assert len(world.containers.probed) - probes <= 600 / 60 + 2
    assert {name for name, _ in world.containers.probed} == {CHECKED}
