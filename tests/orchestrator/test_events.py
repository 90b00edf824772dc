"""Facts reach those who listen, and never wait for them."""

import asyncio

import pytest

from orchestrator.events import BUFFER, Event, EventBus


def fact(number=0, stack="shop"):
    return Event(stack=stack, name="replica.started", subject=f"web.{number}")


def drain(queue):
    found = []
    while not queue.empty():
        found.append(queue.get_nowait())
    return found


async def test_everybody_who_listens_to_a_stack_hears_of_it_and_of_nothing_else():
    bus = EventBus()

    with bus.subscribe("shop") as one, bus.subscribe("shop") as two, bus.subscribe("blog") as other:
        bus.publish(fact(1))
        bus.changed("shop")
        heard = [drain(queue) for queue in (one, two, other)]

    assert [[event and event.subject for event in one] for one in heard] == [
        ["web.1", None],
        ["web.1", None],
        [],
    ]


async def test_who_falls_behind_loses_the_oldest_and_delays_nobody():
    bus = EventBus()

    with bus.subscribe("shop") as queue:
        for number in range(BUFFER + 10):
            bus.publish(fact(number))
        heard = drain(queue)

    assert [event.subject for event in heard] == [
        f"web.{number}" for number in range(10, BUFFER + 10)
    ]


async def test_who_left_hears_nothing_more():
    bus = EventBus()
    with bus.subscribe("shop") as queue:
        pass

    bus.publish(fact())

    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
