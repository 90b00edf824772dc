"""What a monitor has read of a container, held against what there is of it in the log.

A monitor that cannot write drops what it has read and goes on: the container is never held up,
and nobody is told. The kernel counts what a process reads, though (proc(5), ``io``). conmon
reads eight bytes from itself for every read from the container; that is taken off again, so
what comes out is near, not exact, and small differences are none.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime.logs.folder import Segment
from runtime.logs.records import HEAD_SIZE
from runtime.logs.source import FileSource

SLACK = 16 * 1024
"""Bytes that may be on their way through a monitor that runs."""
NOISE = 256
"""Bytes, beside one in a hundred, by which two ways of counting may differ."""
TIGHT = 16 * 1024 * 1024
"""Bytes left on the disk below which every difference is looked into."""
OWN_READ = 8
"""Bytes a monitor reads from itself at a time."""
PIECE = 1024 * 1024
FULL = "no space left on the disk"
AWAY = "it grew past its last bound while no daemon ran"
UNKNOWN = "it could not be written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A moment at which nothing was missing: how much had been read, and where the log ended.

    A monitor goes on while it is looked at, so that what it had read is known before and after.
    """

    read: int
    calls: int
    read_after: int
    calls_after: int
    number: int
    offset: int
    at: int


def take_checkpoint(
    monitor: int | None, list_run: Callable[[], tuple[Segment, ...]]
) -> tuple[Checkpoint, tuple[Segment, ...]] | None:
    """Return the present moment as one, and the files of the run; None without a monitor."""
    before = None if monitor is None else _counted(monitor)
    segments = list_run()
    after = None if monitor is None else _counted(monitor)
    if before is None or after is None or not segments:
        return None
    point = Checkpoint(
        read=before[0],
        calls=before[1],
        read_after=after[0],
        calls_after=after[1],
        number=segments[-1].number,
        offset=segments[-1].size,
        at=time.time_ns(),
    )
    return point, segments


def find_missing(
    before: Checkpoint, now: Checkpoint, segments: tuple[Segment, ...], *, away: bool
) -> tuple[int, str]:
    """Return how much was read between two moments and is not in ``segments``, and why not.

    ``segments`` are those of the run; ``away`` says that nobody has looked for a while. They are
    read only where what was read and how much they have grown do not fit, or where the disk is
    nearly full.
    """
    read, calls = now.read - before.read_after, now.calls - before.calls_after
    since = [one for one in segments if one.number >= before.number]
    grown = sum(one.size for one in since) - before.offset
    tight = _left(segments[-1].path.parent) < TIGHT
    # At the least so much came from the container; the log of it is longer by every head.
    if grown >= read - OWN_READ * calls and not tight:
        return 0, ""
    kept = sum(_content(one, before.offset if one.number == before.number else 0) for one in since)
    missing = read - OWN_READ * calls // 2 - kept
    if missing <= NOISE + read // 100:
        return 0, ""
    return missing, FULL if tight else AWAY if away else UNKNOWN


def _counted(monitor: int) -> tuple[int, int] | None:
    try:
        # Of its thread alone: what is counted of a process takes in the children it has
        # collected, and with them all that the container itself has read.
        lines = Path(f"/proc/{monitor}/task/{monitor}/io").read_text().split()
        return int(lines[lines.index("rchar:") + 1]), int(lines[lines.index("syscr:") + 1])
    except (OSError, ValueError):
        return None


def _left(folder: Path) -> int:
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def _content(segment: Segment, offset: int) -> int:
    """Return how many bytes of the container's own are in a file from ``offset`` on."""
    try:
        source = FileSource(segment)
    except FileNotFoundError:
        return 0
    size = heads = 0
    try:
        while data := source.read_at(offset, PIECE):
            size += len(data)
            heads += data.count(b"\n")
            offset += len(data)
    finally:
        source.close()
    return size - HEAD_SIZE * heads
