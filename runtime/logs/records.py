"""The format of a log file, and lines put together from it again. Pure.

A monitor writes one record a line: when, which stream, ``F`` for the end of a line or ``P`` for
a piece of one, and the bytes (the format of Kubernetes' container logs)::

    2026-11-25T04:10:27.217624530+00:00 stdout F ready

A disk that was full leaves records torn in the middle. What can still be read is.
"""

import calendar
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

LONGEST_LINE = 1024 * 1024
"""Bytes after which a line is given out in pieces: nobody has memory for a line without end."""
LONGEST_HEAD = 64
"""More bytes than the head of any record has."""
HEAD_SIZE = 45
"""Bytes that stand before what the container wrote, as conmon writes a head."""
NANO = 1_000_000_000

_HEAD = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP]) "
)


class Line(NamedTuple):
    """One line as the container wrote it, without its end."""

    at: int
    """Nanoseconds since the epoch."""
    stamp: str
    """The same as it stands in the file."""
    stream: str
    text: bytes
    cut: bool = False
    """It goes on in the next line of its stream."""


class Head(NamedTuple):
    """What stands before the bytes of a record; ``size`` is how many bytes of the file it is."""

    at: int
    stamp: bytes
    stream: bytes
    whole: bool
    size: int


def parse_head(raw: bytes) -> Head | None:
    """Return the head a record begins with; None where it begins with none."""
    found = _HEAD.match(raw, 0, LONGEST_HEAD)
    return None if found is None else _head(found)


def parse_time(seconds: bytes, fraction: bytes | None, zone: bytes) -> int:
    """Return nanoseconds since the epoch. Raises ValueError for a day there is none."""
    whole = _seconds(seconds, zone)
    return whole * NANO + (int(fraction.ljust(9, b"0")) if fraction else 0)


class Joiner:
    """Puts records together to lines. Feed it a file's bytes in any pieces, in order."""

    def __init__(self) -> None:
        """Begin with nothing pending."""
        self._rest = b""
        self._begun: dict[bytes, tuple[Head, list[bytes], int]] = {}
        self._last: Head | None = None

    @property
    def unused(self) -> int | None:
        """How many of the last bytes another one would need who reads on; None: older ones, too."""
        return None if self._begun else len(self._rest)

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that end in ``data``."""
        *records, rest = (self._rest + data).split(b"\n")
        if len(rest) > LONGEST_LINE:
            # No monitor writes such a record: this is no log, or a hole of zeros.
            records.append(rest)
            rest = b""
        self._rest = rest
        for raw in records:
            yield from self._record(raw)

    def turn_over(self) -> Iterator[Line]:
        """Go on with another file: a record is never in two of them, but a line may be."""
        rest, self._rest = self._rest, b""
        if rest:
            yield from self._record(rest)

    def finish(self) -> Iterator[Line]:
        """Yield what has begun and will not be ended: the run is over."""
        yield from self.turn_over()
        begun, self._begun = self._begun, {}
        for stream, (head, pieces, _) in begun.items():
            yield _line(head, stream, b"".join(pieces))

    def _record(self, raw: bytes) -> Iterator[Line]:
        head = parse_head(raw)
        if head is None:
            head, raw = self._mend(raw)
            if head is None:
                return
        self._last = head
        text = raw[head.size :]
        begun = self._begun.pop(head.stream, None)
        if begun is None and head.whole:
            yield _line(head, head.stream, text)
            return
        first, pieces, size = begun or (head, [], 0)
        pieces.append(text)
        size += len(text)
        if head.whole:
            yield _line(first, head.stream, b"".join(pieces))
        elif size >= LONGEST_LINE:
            yield _line(first, head.stream, b"".join(pieces), cut=True)
        else:
            self._begun[head.stream] = first, pieces, size

    def _mend(self, raw: bytes) -> tuple[Head | None, bytes]:
        """Return what can be told of a record that does not begin as one."""
        found = _HEAD.search(raw)
        if found is not None:
            # The end of a torn record is lost; the one after it begins in the middle of the line.
            return _head(found), raw[found.start() :]
        text = raw.strip(b"\0")
        if not text or self._last is None:
            return None, b""
        return self._last._replace(whole=True, size=0), text


def _head(found: re.Match[bytes]) -> Head | None:
    seconds, fraction, zone, stream, kind = found.groups()
    try:
        at = parse_time(seconds, fraction, zone)
    except ValueError:
        return None
    stamp = found.group()[: found.start(4) - found.start() - 1]
    return Head(at, stamp, stream, kind == b"F", found.end() - found.start())


def _line(head: Head, stream: bytes, text: bytes, *, cut: bool = False) -> Line:
    return Line(head.at, head.stamp.decode(), stream.decode(), text, cut)


@lru_cache(maxsize=1024)
def _seconds(text: bytes, zone: bytes) -> int:
    numbers = [int(part) for part in re.split(rb"[-T:]", text)]
    year, month, day, hour, minute, second = numbers
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError(f"`{text.decode()}` is no time")
    epoch = calendar.timegm((year, month, day, hour, minute, second))
    if zone == b"Z":
        return epoch
    offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return epoch - offset if zone[:1] == b"+" else epoch + offset
