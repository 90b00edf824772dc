"""What is known of a log besides its lines: what was lost of it, and what went too soon."""

import os
import time

import pytest

from runtime.logs.floods import TELL, YOUNG, Flood, Floods
from runtime.logs.folder import list_segments
from runtime.logs.ledger import FAREWELL, OWN_READ, Checkpoint, find_missing
from tests.runtime.logs import segment_of, written

FIRST = Checkpoint(
    read=1000,
    calls=10,
    read_after=1000,
    calls_after=10,
    number=1,
    offset=0,
    at=1,
    written=500,
    written_after=500,
)


def later(*, content, reads, wakes, log, writes=None, rested=True):
    """Return the moment at which a monitor has read ``content`` bytes in so many reads.

    Around every read it wakes itself twice; ``wakes`` is how often it has read that, ``log`` how
    much of its log it has written.
    """
    read = FIRST.read + content + OWN_READ * wakes
    written = FIRST.written + log + OWN_READ * (2 * reads if writes is None else writes)
    return Checkpoint(
        read=read,
        calls=FIRST.calls + reads + wakes,
        read_after=read if rested else read + 100,
        calls_after=FIRST.calls + reads + wakes,
        number=1,
        offset=log,
        at=2,
        written=written,
        written_after=written,
    )


@pytest.mark.parametrize("wakes", [7, 12, 20])
@pytest.mark.parametrize("lost", [0, 1, 300])
def test_what_was_lost_is_known_to_the_byte_however_often_the_monitor_woke(tmp_path, wakes, lost):
    data = written(1, b"line") + written(1, b"a piece", "P") + written(1, b"end", stream="stderr")
    segment = segment_of(tmp_path, data)
    own = len(b"line\n" + b"a piece" + b"end\n")

    now = later(content=own + lost, reads=20, wakes=wakes, log=len(data))

    assert find_missing(FIRST, now, (segment,), away=False)[0] == lost


def test_a_monitor_that_works_while_it_is_looked_at_is_not_taken_at_its_word(tmp_path):
    data = written(1, b"line")
    segment = segment_of(tmp_path, data)

    now = later(content=len(b"line\n") + 200, reads=1, wakes=1, log=len(data), rested=False)

    assert find_missing(FIRST, now, (segment,), away=False) == (0, "")


@pytest.mark.parametrize("lost", [0, 60])
def test_what_a_monitor_reads_at_the_end_of_its_container_is_no_loss(tmp_path, lost):
    data = written(1, b"bye")
    segment = segment_of(tmp_path, data)

    now = later(content=len(b"bye\n") + FAREWELL + lost, reads=2, wakes=1, log=len(data), writes=14)

    missing, _ = find_missing(FIRST, now, (segment,), away=False, ended=True)
    # Near, as it did other things besides.
    assert abs(missing - lost) <= OWN_READ


def test_what_a_monitor_of_another_kind_does_is_judged_generously(tmp_path):
    data = written(1, b"line" * 10)
    segment = segment_of(tmp_path, data)

    # It never wakes itself: what is written besides the log says nothing.
    now = later(content=41 + 100, reads=4, wakes=0, log=len(data), writes=1000)

    assert find_missing(FIRST, now, (segment,), away=False) == (0, "")


def test_only_what_goes_too_soon_is_a_flood(tmp_path):
    old, young = segment_of(tmp_path, b"x" * 10), segment_of(tmp_path, b"y" * 30, number=2)
    long_ago = time.time() - YOUNG - 1
    os.utime(old.path, (long_ago, long_ago))
    old = list_segments(tmp_path)[0]
    floods = Floods()

    floods.note(old)
    assert floods.due(0.0) == []
    floods.note(young)
    assert floods.due(0.0) == [(tmp_path, Flood(size=30))]


def test_a_flood_is_told_when_it_begins_then_now_and_then_and_when_it_ends(tmp_path):
    segment = segment_of(tmp_path, b"y" * 30)
    floods = Floods()
    told = []

    for second in range(int(2 * TELL)):
        floods.note(segment)
        told += [(second, flood.size) for _, flood in floods.due(float(second))]
    told += [("end", flood.size) for _, flood in floods.due(2 * TELL - 1, ended=tmp_path)]

    assert told == [(0, 30), (60, 30 * 60), ("end", 30 * 59)]
