"""Where in a log file to begin: at a moment, or so many lines before its end. Reads little.

Both look for the heads of records, forwards from some byte or backwards from some other one.
Times of one file grow, but for clocks that are set back; then a moment is found roughly.
"""

from runtime.logs.records import LONGEST_HEAD, LONGEST_LINE, parse_head
from runtime.logs.source import Source

STEP = 64 * 1024
"""Bytes read at once on the way back from the end."""
GRAIN = 4096
"""Bytes read at once where a moment is looked for, and where halving ends."""


def find_moment(source: Source, at: int, end: int | None = None) -> int:
    """Return where the first record that is not older than ``at`` begins; the end if none is."""
    low, high = 0, source.size if end is None else end
    while high - low > GRAIN:
        middle = (low + high) // 2
        found = _next_head(source, middle, high)
        if found is None or found[1] >= at:
            high = middle
        else:
            low = found[0]
    place = low
    while (found := _next_head(source, place, source.size)) is not None:
        if found[1] >= at:
            return found[0]
        place = found[0] + 1
    return source.size


def first_moment(source: Source) -> int | None:
    """Return when the first record was written; None where there is none."""
    found = _next_head(source, 0, source.size)
    return None if found is None else found[1]


def find_tail(source: Source, lines: int, end: int | None = None) -> tuple[int, int]:
    """Return where the last ``lines`` lines before ``end`` begin, and how many are found there.

    A line that is not ended is none yet, but the pieces of it that are there come along.
    """
    place = source.size if end is None else end
    ends = 0
    carry = b""
    while place > 0 and lines:
        step = min(STEP, place)
        data = _exactly(source, place - step, step) + carry
        place -= step
        carry = b""
        # The first line of what was read may begin before it.
        start = data.find(b"\n") + 1 if place else 0
        if place and not start:
            carry = data if len(data) < LONGEST_LINE else b""
            continue
        at = len(data)
        while at > start:
            begin = data.rfind(b"\n", 0, at - 1) + 1
            head = parse_head(data[begin : begin + LONGEST_HEAD])
            if head is not None and head.whole and data[at - 1 : at] == b"\n":
                ends += 1
                if ends > lines:
                    # The line before the first one that is wanted ends here.
                    return place + at, lines
            at = begin
        carry = data[:start]
    return place, ends


def _next_head(source: Source, place: int, end: int) -> tuple[int, int] | None:
    """Return where the first record from ``place`` on and before ``end`` begins, and its moment."""
    # One that begins exactly at ``place`` is known by the newline before it.
    start = place if place == 0 else _after_newline(source, place - 1, end)
    while start is not None and start < end:
        head = parse_head(_exactly(source, start, LONGEST_HEAD))
        if head is not None:
            return start, head.at
        start = _after_newline(source, start, end)
    return None


def _after_newline(source: Source, place: int, end: int) -> int | None:
    while place < end:
        data = source.read_at(place, GRAIN)
        if not data:
            return None
        found = data.find(b"\n")
        if found >= 0:
            return place + found + 1
        place += len(data)
    return None


def _exactly(source: Source, offset: int, count: int) -> bytes:
    found = source.read_at(offset, count)
    while len(found) < count:
        more = source.read_at(offset + len(found), count - len(found))
        if not more:
            break
        found += more
    return found
