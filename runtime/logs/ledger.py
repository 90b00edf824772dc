"""What a monitor has read of a container, held against what there is of it in the log.

A monitor that cannot write drops what it has read and goes on: the container is never held up,
and nobody is told. The kernel counts what a process reads and writes, though (proc(5), ``io``).

conmon wakes itself: around every read from elsewhere it writes eight bytes to itself twice, and it
reads them now and then. What it has written besides the log tells how often, so what it has read
from the container is known to the byte, as long as it rests while it is looked at. While it does
not, and when it ends, what comes out is near, and small differences are none.
"""

import os
import re
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
"""Bytes, beside one in a hundred, by which two ways of counting may differ under a flood."""
LITTLE = 256 * 1024
"""Bytes of log that are always looked into."""
TOLD = 8
"""Bytes at most that a monitor reads when it is told to take another file."""
FAREWELL = 128
"""Bytes a monitor reads from the kernel when its container has ended (signalfd(2))."""
TIGHT = 16 * 1024 * 1024
"""Bytes left on the disk below which every difference is looked into."""
OWN_READ = 8
"""Bytes a monitor reads from itself at a time."""
PIECE = 1024 * 1024
COUNTS = ("rchar:", "syscr:", "wchar:")
FULL = "no space left on the disk"
AWAY = "it grew past its last bound while no daemon ran"
UNKNOWN = "it could not be written"

_PIECES = re.compile(rb"^.{35} std(?:out|err) P ", re.MULTILINE)


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
    written: int = 0
    written_after: int = 0

    @property
    def rested(self) -> bool:
        """Whether the monitor did nothing while it was looked at."""
        return (self.read, self.calls, self.written) == (
            self.read_after,
            self.calls_after,
            self.written_after,
        )


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
        written=before[2],
        written_after=after[2],
    )
    return point, segments


def find_missing(
    before: Checkpoint,
    now: Checkpoint,
    segments: tuple[Segment, ...],
    *,
    away: bool,
    ended: bool = False,
) -> tuple[int, str]:
    """Return how much was read between two moments and is not in ``segments``, and why not.

    ``segments`` are those of the run; ``away`` says that nobody has looked for a while, ``ended``
    that the run is over. They are read where they have not grown by much, where what was read and
    how much they have grown do not fit, or where the disk is nearly full.
    """
    read, calls = now.read - before.read_after, now.calls - before.calls_after
    since = [one for one in segments if one.number >= before.number]
    grown = sum(one.size for one in since) - before.offset
    tight = _left(segments[-1].path.parent) < TIGHT
    # At the least so much came from the container; the log of it is longer by every head.
    if grown >= read - OWN_READ * calls and grown > LITTLE and not tight:
        return 0, ""
    kept = sum(_content(one, before.offset if one.number == before.number else 0) for one in since)
    own, noise = OWN_READ * (calls // 2), NOISE + read // 100
    if ended:
        own += FAREWELL
        noise = min(noise, FAREWELL // 4 + OWN_READ * calls // 2)
    elif before.rested and now.rested:
        wakes = (now.written - before.written - grown) // OWN_READ
        mine = calls - wakes // 2
        if 0 <= mine <= min(calls, wakes):
            own, noise = OWN_READ * mine, TOLD * (now.number - before.number)
    missing = read - own - kept
    if missing <= noise:
        return 0, ""
    return missing, FULL if tight else AWAY if away else UNKNOWN


def _counted(monitor: int) -> tuple[int, int, int] | None:
    """Return bytes read, reads, and bytes written by a monitor."""
    try:
        # Of its thread alone: what is counted of a process takes in the children it has
        # collected, and with them all that the container itself has read.
        words = Path(f"/proc/{monitor}/task/{monitor}/io").read_text().split()
        read, calls, written = (int(words[words.index(name) + 1]) for name in COUNTS)
        return read, calls, written
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
    rest = b""
    try:
        while data := source.read_at(offset, PIECE):
            offset += len(data)
            data = rest + data
            end = data.rfind(b"\n") + 1
            data, rest = data[:end], data[end:]
            # A piece of a line has a newline that is not its own.
            size += len(data) - sum(1 for _ in _PIECES.finditer(data))
            heads += data.count(b"\n")
    finally:
        source.close()
    return size + len(rest) - HEAD_SIZE * heads
