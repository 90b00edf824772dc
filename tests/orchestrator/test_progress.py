"""What does not move any more is found, and what is only slow is not."""

import asyncio

import pytest

from orchestrator.progress import STUCK, Progress
from runtime.testing import Gate
from runtime.types import ContainerId

ONE = """
name: shop
services:
  web: {image: app}
"""


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def progress(clock):
    return Progress(lambda: clock[0])


def test_a_step_that_does_not_end_is_stuck_after_a_while(progress, clock):
    with progress.passing("shop"), progress.working("shop", 1, "create web.1", patient=False):
        clock[0] = STUCK
        assert list(progress.stuck()) == []
        clock[0] = STUCK + 1
        assert list(progress.stuck()) == [
            ("stack `shop`", "`create web.1` has not ended for 301 s")
        ]
    assert list(progress.stuck()) == []


def test_a_pull_may_take_as_long_as_it_takes_and_what_is_beside_it_may_not(progress, clock):
    with progress.passing("shop"), progress.working("shop", 1, "pull image a", patient=True):
        clock[0] = 10 * STUCK
        assert list(progress.stuck()) == []
        with progress.working("shop", 2, "create web.1", patient=False):
            clock[0] += STUCK + 1
            assert [why for _, why in progress.stuck()] == [
                "`create web.1` has not ended for 301 s"
            ]


def test_a_pass_that_does_nothing_at_all_is_stuck_too_and_one_that_gets_on_is_not(progress, clock):
    with progress.passing("shop"):
        for _ in range(5):
            clock[0] += STUCK - 1
            with progress.working("shop", 1, "create web.1", patient=False):
                pass
        assert list(progress.stuck()) == []
        clock[0] += STUCK + 1
        assert [why for _, why in progress.stuck()] == ["a pass has come no further for 301 s"]


def test_a_daemon_that_looks_at_nothing_by_itself_is_stuck(progress, clock):
    assert list(progress.stuck()) == []
    progress.note_sweep()
    clock[0] = STUCK + 1
    assert list(progress.stuck()) == [("sweep", "the last one was 301 s ago")]


async def test_a_driver_that_never_answers_is_found_until_it_does(world):
    gate = world.containers.gates["create", ContainerId("shop.web.1")] = Gate()

    async with world.daemon() as daemon:
        await world.apply(ONE)
        await gate.arrived.wait()
        await asyncio.sleep(STUCK + 1)
        ill = list(daemon.progress.stuck())
        gate.open()
        await world.settled()
        well = list(daemon.progress.stuck())

    assert ill == [("stack `shop`", "`create web.1` has not ended for 301 s")]
    assert well == []
