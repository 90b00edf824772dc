"""However many ask, ports and names are brought up to date one round at a time."""

import asyncio

import pytest

from orchestrator.publisher import Publisher
from runtime.errors import UnavailableError
from runtime.testing import Gate
from tests.orchestrator.virtual import let_others_run


@pytest.fixture
def publisher(world):
    return Publisher(drivers=world.drivers, store=world.store, stacks=lambda: (), health=dict)


def rounds(world):
    return world.host.networks.calls.count(("publish", ""))


async def test_all_who_ask_during_a_round_share_the_next_one(world, publisher):
    gate = world.host.networks.gates["publish", ""] = Gate()

    async with asyncio.TaskGroup() as group:
        group.create_task(publisher.publish())
        await gate.arrived.wait()
        for _ in range(50):
            group.create_task(publisher.publish())
        await let_others_run()
        gate.open()

    assert rounds(world) == 2


async def test_whoever_asks_has_the_present_published_when_that_returns(world, publisher):
    first = world.host.networks.gates["publish", ""] = Gate()

    async with asyncio.TaskGroup() as group:
        early = group.create_task(publisher.publish())
        await first.arrived.wait()
        late = group.create_task(publisher.publish())
        await let_others_run()
        second = world.host.networks.gates["publish", ""] = Gate()
        first.open()
        await second.arrived.wait()
        served = early.done(), late.done()
        second.open()

    assert served == (True, False)


async def test_a_failed_round_is_told_to_who_asked_and_does_not_count(world, publisher):
    world.host.networks.failures["publish", ""] = UnavailableError("publish", "table", "busy")
    with pytest.raises(UnavailableError):
        await publisher.publish()
    del world.host.networks.failures["publish", ""]

    await publisher.publish()

    assert world.host.networks.exposure is not None


async def test_what_starts_during_a_round_is_published_by_another_one_in_a_moment(world, publisher):
    first = world.host.networks.gates["publish", ""] = Gate()
    publisher.publish_soon()
    await first.arrived.wait()

    publisher.publish_soon()
    second = world.host.networks.gates["publish", ""] = Gate()
    first.open()
    async with asyncio.timeout(10):
        await second.arrived.wait()
    second.open()
    await publisher.publish()

    assert rounds(world) >= 2
