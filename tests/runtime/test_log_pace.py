"""How much is spent on sending lines: less where it is of no use, and never at others' cost."""

import asyncio
import time

import pytest

from runtime.logs.pace import HOPELESS, WINDOW, Pace, Turns


def told(pace, *, sent, unsent=0, begin=0.0):
    """Tell of one window; return whether it is hopeless afterwards, and when that was."""
    pace.sent(0, begin)
    pace.unsent(unsent)
    pace.sent(sent, begin + WINDOW)
    return pace.is_hopeless, begin + WINDOW


@pytest.mark.parametrize(
    ("unsent", "hopeless"), [(0, False), (HOPELESS * 100, False), (HOPELESS * 100 + 1, True)]
)
def test_more_effort_is_wasted_where_far_more_goes_unsent_than_could_be_sent(unsent, hopeless):
    assert told(Pace(), sent=100, unsent=unsent)[0] is hopeless


def test_nothing_is_judged_before_a_while_has_passed():
    pace = Pace()
    pace.sent(1, 0.0)
    pace.unsent(1_000_000)
    pace.sent(1, WINDOW - 0.1)

    assert not pace.is_hopeless


def test_a_flood_that_ends_or_could_be_kept_up_with_is_sent_again_with_more_effort():
    pace = Pace()
    _, now = told(pace, sent=300, unsent=100_000)
    # With the smaller share a third is sent of what could be.
    still, now = told(pace, sent=100, unsent=3 * HOPELESS * 100 + 1, begin=now)
    over, _ = told(pace, sent=100, unsent=3 * HOPELESS * 100, begin=now)

    assert [still, over] == [True, False]


async def test_a_log_that_is_hopeless_holds_nobody_up():
    turns, order = Turns(), []

    def read(name):
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in ("flood 1", "flood 2"):
            group.create_task(turns.take(lambda name=name: read(name), hopeless=True))
        await asyncio.sleep(0)
        for name in ("calm 1", "calm 2"):
            group.create_task(turns.take(lambda name=name: read(name)))

    assert order == ["flood 1", "calm 1", "calm 2", "flood 2"]
