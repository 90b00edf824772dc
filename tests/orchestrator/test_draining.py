"""A drained machine, in memory: in order, in time, and over the life of daemons."""

import pytest

from orchestrator.errors import PyorchError
from runtime.testing import Program

STACK = """
name: shop
services:
  db: {image: app, command: [db], restart: always, stop_grace_period: 600s}
  web: {image: app, depends_on: [db], stop_grace_period: 5s}
"""
SIGTERM = 15


@pytest.fixture(autouse=True)
def run_folder(world):
    world.settings.run.mkdir()


def endings(world):
    return [
        (method, subject)
        for method, subject in world.containers.calls
        if method in ("stop", "kill")
    ]


async def test_dependents_stop_first_and_everything_runs_again_in_order(world):
    async with world.daemon() as orchestrator:
        await world.up(STACK)
        assert await orchestrator.draining.drain(300.0) == 2
        assert endings(world) == [("stop", "shop.web.1"), ("stop", "shop.db.1")]
        with pytest.raises(PyorchError, match="this machine is drained"):
            await world.apply(STACK)
        with pytest.raises(PyorchError, match="this machine is drained"):
            await orchestrator.start("shop")

        orchestrator.draining.end()
        await world.settled()

    assert world.phases() == {"shop.web.1": "running", "shop.db.1": "running"}
    starts = [subject for method, subject in world.containers.calls if method == "start"]
    assert starts == ["shop.db.1", "shop.web.1"] * 2


async def test_who_is_deaf_is_killed_when_the_time_for_all_is_over(world):
    world.containers.programs[("db",)] = Program(signals={})
    async with world.daemon() as orchestrator:
        await world.up(STACK)
        before = world.now()
        await orchestrator.draining.drain(60.0)

        assert world.now() - before == pytest.approx(60.0, abs=0.1)
    assert endings(world)[-2:] == [("stop", "shop.db.1"), ("kill", "shop.db.1")]


async def test_another_daemon_finds_the_machine_drained_and_starts_nothing(world):
    async with world.daemon() as orchestrator:
        await world.up(STACK)
        await orchestrator.draining.drain(60.0)
    before = world.writes()

    async with world.daemon() as orchestrator:
        await world.until(lambda _: "shop" in orchestrator.reconciler.reports)
        assert world.writes() == before
        orchestrator.draining.end()
        await world.settled()
    assert set(world.phases().values()) == {"running"}
