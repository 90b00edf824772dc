"""The logs of many replicas as one, in the order of time, and never much of it in memory."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from runtime.logs.losses import Loss, read_losses
from runtime.logs.reading import LogReader, Range
from runtime.logs.records import Line

BATCH = 256 * 1024
"""Bytes of lines handed over at once."""


class Entry(NamedTuple):
    """A line, or what was lost, and whose it is."""

    at: int
    owner: str
    what: Line | Loss


def merge(streams: Iterable[Iterator[Entry]]) -> Iterator[Entry]:
    """Yield what streams hold by time; what is out of order in one stream stays so."""
    return heapq.merge(*streams, key=lambda entry: entry.at)


@dataclass(slots=True)
class _Followed:
    reader: LogReader
    folder: Path
    since: int | None
    noted: int = 0


@dataclass(slots=True)
class MergedLogs:
    """Several replicas' logs, read together. Blocks on the disk. Close it."""

    wanted: Range
    _followed: dict[str, _Followed] = field(default_factory=dict)
    _round: Iterator[Entry] | None = None

    def add(self, owner: str, folder: Path, *, late: bool = False) -> None:
        """Read one more; with ``late`` from its beginning: it is newer than what was asked for."""
        if owner in self._followed:
            return
        wanted = Range(until=self.wanted.until) if late else self.wanted
        reader = LogReader(folder, wanted)
        since = wanted.since
        if wanted.tail is not None or wanted.previous:
            # What was lost before the first line that is shown is of no interest with it.
            since = max(since or 0, reader.begins_at() or 0)
        self._followed[owner] = _Followed(reader, folder, since)

    @property
    def owners(self) -> Sequence[str]:
        """Whose logs are read."""
        return tuple(self._followed)

    def batch(self, *, ended: bool) -> list[Entry]:
        """Return what comes next; nothing at the present end of everything."""
        if self._round is None:
            self._round = merge(self._entries(owner, ended=ended) for owner in self._followed)
        found: list[Entry] = []
        size = 0
        for entry in self._round:
            found.append(entry)
            size += len(entry.what.text) + 64 if isinstance(entry.what, Line) else 64
            if size >= BATCH:
                return found
        self._round = None
        return found

    def close(self) -> None:
        """Let go of every file."""
        for one in self._followed.values():
            one.reader.close()

    def _entries(self, owner: str, *, ended: bool) -> Iterator[Entry]:
        one = self._followed[owner]
        lines = (Entry(line.at, owner, line) for line in one.reader.read(ended=ended))
        return merge([self._losses(owner, one), lines])

    def _losses(self, owner: str, one: _Followed) -> Iterator[Entry]:
        for behind, loss in read_losses(one.folder, one.noted):
            one.noted = behind
            late = self.wanted.until is not None and loss.at > self.wanted.until
            if not late and (one.since is None or loss.at >= one.since):
                yield Entry(loss.at, owner, loss)
