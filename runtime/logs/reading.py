"""One replica's log, read over all its files: from a place in it to its end at the moment.

A reader keeps its place, so that it can be asked again once there is more. It blocks, but only
on the disk; what it holds is one open file and a few pieces of it.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runtime.logs.folder import Segment, list_segments, runs_of
from runtime.logs.records import LONGEST_HEAD, Joiner, Line, parse_head
from runtime.logs.search import find_moment, find_tail, first_moment
from runtime.logs.source import FileSource

PIECE = 64 * 1024
ATTEMPTS = 5
"""How often a file is looked for whose name changes: it is packed, or goes, while we look."""


class Place(NamedTuple):
    """Somewhere in a log: a byte of a file as it was before it was compressed."""

    run: int
    number: int
    offset: int


BEGIN = Place(0, 0, 0)
"""Before everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which part of a log is wanted. Moments are nanoseconds since the epoch."""

    since: int | None = None
    until: int | None = None
    tail: int | None = None
    previous: bool = False
    """Only the run before the last one."""


EVERYTHING = Range()


class LogReader:
    """Reads a log from a place on. Close it."""

    def __init__(self, folder: Path, wanted: Range = EVERYTHING, start: Place = BEGIN) -> None:
        """Read ``folder`` from ``start`` on, or from where ``wanted`` begins if that is later."""
        self._folder = folder
        self._until = wanted.until
        self._only: int | None = None
        self._over = False
        self._source: FileSource | None = None
        self._joiner = Joiner()
        self._place = self._safe = start
        self.beyond = 0
        """Lines given out from ``place`` on: one that goes on there gets them once more."""
        self.skipped = 0
        """Files that had gone before they were read."""
        if wanted.previous:
            runs = runs_of(list_segments(folder))
            self._only = runs[-2] if len(runs) > 1 else -1
            self._place = self._safe = Place(self._only, 0, 0)
        if wanted.since is not None:
            self._place = self._safe = max(self._place, self._moment(wanted.since))
        if wanted.tail is not None:
            self._place = self._safe = max(self._place, self._tail(wanted.tail, wanted.until))

    @property
    def place(self) -> Place:
        """Return from where another reader could go on without missing a line."""
        return self._safe

    @property
    def reached(self) -> Place:
        """Up to where files have been read; the line last given out is of this run."""
        return self._place

    def has_open(self, file: tuple[int, int]) -> bool:
        """Whether a file is open, and will be read to its end even when it is removed."""
        return self._source is not None and self._source.segment.place == file

    def begins_at(self) -> int | None:
        """Return the moment of the record at the present place; None where there is none yet."""
        for segment in self._segments():
            if segment.place >= self._place[:2] and (source := self._open(segment)) is not None:
                try:
                    same = segment.place == self._place[:2]
                    raw = source.read_at(self._place.offset if same else 0, LONGEST_HEAD)
                finally:
                    source.close()
                head = parse_head(raw)
                if head is not None:
                    return head.at
        return None

    def read(self, *, ended: bool = True) -> Iterator[Line]:
        """Yield lines to the present end; with ``ended`` one that has no end of its own, too."""
        while not self._over:
            if self._source is None and not (yield from self._open_next()):
                break
            yield from self._drain()
            successor = self._successor()
            if successor is None:
                break
            # What came between our look at its end and its being turned over.
            yield from self._drain()
            yield from self._until_there(self._joiner.turn_over())
            self._leave()
            if successor.run != self._place.run:
                yield from self._until_there(self._joiner.finish())
                self._mark()
        if ended:
            yield from self._until_there(self._joiner.finish())
            self._mark()

    def close(self) -> None:
        """Let go of the open file."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _drain(self) -> Iterator[Line]:
        source = self._source
        while source is not None and not self._over:
            data = source.read_at(self._place.offset, PIECE)
            if not data:
                return
            self._place = self._place._replace(offset=self._place.offset + len(data))
            yield from self._until_there(self._joiner.feed(data))
            self._mark()

    def _until_there(self, lines: Iterator[Line]) -> Iterator[Line]:
        for line in lines:
            if self._until is not None and line.at > self._until:
                self._over = True
                return
            self.beyond += 1
            yield line

    def _open_next(self) -> Generator[Line, None, bool]:
        """Open the file at the present place, or the next one there is; False without one."""
        for _ in range(ATTEMPTS):
            segment = next((s for s in self._segments() if s.place >= self._place[:2]), None)
            if segment is None:
                return False
            source = self._open(segment)
            if source is None:
                continue
            if segment.place != self._place[:2]:
                missed = segment.run == self._place.run and segment.number > self._place.number
                if missed and self._place.number:
                    self.skipped += segment.number - self._place.number
                    yield from self._joiner.finish()
                self._place = Place(*segment.place, 0)
            self._source = source
            return True
        return False

    def _successor(self) -> Segment | None:
        return next((s for s in self._segments() if s.place > self._place[:2]), None)

    def _leave(self) -> None:
        self.close()
        self._place = Place(self._place.run, self._place.number + 1, 0)
        self._mark()

    def _mark(self) -> None:
        """Note from where another one could go on."""
        unused = self._joiner.unused
        if unused is not None:
            self._safe = self._place._replace(offset=self._place.offset - unused)
            self.beyond = 0

    def _segments(self) -> tuple[Segment, ...]:
        found = list_segments(self._folder)
        return found if self._only is None else tuple(s for s in found if s.run == self._only)

    def _open(self, segment: Segment) -> FileSource | None:
        try:
            return FileSource(segment)
        except FileNotFoundError:
            return None

    # ── where to begin ───────────────────────────────────────────────────────────────────

    def _moment(self, at: int) -> Place:
        """Return where the first record that is not older than ``at`` is."""
        found = BEGIN
        for segment in reversed(self._segments()):
            if (source := self._open(segment)) is None:
                continue
            try:
                first = first_moment(source)
                if first is not None and first < at:
                    return Place(*segment.place, find_moment(source, at))
            finally:
                source.close()
            found = Place(*segment.place, 0)
        return found

    def _tail(self, lines: int, until: int | None) -> Place:
        """Return where the last ``lines`` lines begin."""
        left = lines
        found = BEGIN
        for segment in reversed(self._segments()):
            if (source := self._open(segment)) is None:
                continue
            try:
                end = None if until is None else find_moment(source, until + 1)
                place, ends = find_tail(source, left, end)
                if not left:
                    return Place(*segment.place, source.size if end is None else end)
                left -= ends
                if place:
                    return Place(*segment.place, place)
            finally:
                source.close()
            found = Place(*segment.place, 0)
        return found
