"""Turning a log over, keeping so much of it, and compressing what was turned over. Blocks.

What is kept is bounded three ways: a file of a run by its size, a replica by the sizes of its
files and their number, and everything below one folder together where that has a cap.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path

from runtime.files import drop_staging
from runtime.logs.folder import (
    FILE_MODE,
    Segment,
    current,
    keep_name,
    list_segments,
    make_spare,
)
from runtime.logs.packed import BLOCK, pack_block
from runtime.types import LogConfig

Place = tuple[int, int]
"""A run, and the number of a file of it."""
Remove = Callable[[Segment], None]

MOST_FILES = 100
"""Files of one replica: one that ends all the time leaves many small ones."""
SEGMENT = 20 * 1024 * 1024
"""Bytes of one file where the log as a whole has no bound."""
REOPEN = b"2 0 0\n"
"""Has a monitor take its next file."""
NEVER = (2**63, 0)
"""After every file: nothing of a log is written to."""
PATIENCE = 1.0
"""Seconds a monitor is given to do so."""


def segment_limit(config: LogConfig) -> int:
    """Return the size at which a file is turned over."""
    if config.max_size is None:
        return SEGMENT
    # With one file alone, turning it over would leave nothing.
    return config.max_size if config.max_files > 1 else max(config.max_size // 2, 1)


def last_resort(config: LogConfig) -> int:
    """Return the size at which a monitor drops the file by itself: nobody turned it over."""
    return max(2 * segment_limit(config) * config.max_files, 256 * 1024 * 1024)


def turn_over(folder: Path, run: int, control: Path) -> bool:
    """Have the monitor go on in a new file; return whether it did.

    Nothing is lost: the old file keeps its name, and what is written meanwhile is in one of
    both. May be repeated, and may be cut off at any point.
    """
    before = keep_name(folder, run)
    make_spare(folder, run)
    if before is None or not _tell(control):
        return False
    deadline = time.monotonic() + PATIENCE
    path = current(folder, run)
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if path.stat(follow_symlinks=False).st_ino != before.inode:
                keep_name(folder, run)
                make_spare(folder, run)
                return True
        time.sleep(0.001)
    return False


def remove(segment: Segment) -> None:
    """Remove a file, however it is at this moment."""
    segment.path.unlink(missing_ok=True)
    # Half-way through being replaced, both are there.
    plain = segment.path.with_suffix("") if segment.packed else None
    if plain is not None:
        plain.unlink(missing_ok=True)


def drop_old(folder: Path, config: LogConfig, *, before: Place, remove: Remove = remove) -> None:
    """Remove a replica's oldest files, as many as are too many; none from ``before`` on."""
    if config.max_size is None:
        return
    segments = list(list_segments(folder))
    budget = config.max_size * config.max_files
    most = max(config.max_files, 2)
    # A burst may fill a file beyond all bounds before it is turned over: it stays until the next.
    while len(segments) > 2:
        oldest = segments[0]
        same_run = sum(1 for one in segments if one.run == oldest.run)
        total = sum(one.size for one in segments)
        if total <= budget and same_run <= most and len(segments) <= MOST_FILES:
            return
        if oldest.place >= before:
            return
        remove(oldest)
        segments.pop(0)


def drop_over_cap(
    folders: Iterable[Path], cap: int, before: Mapping[Path, Place], *, remove: Remove = remove
) -> None:
    """Remove the oldest files of all ``folders`` together until they are within ``cap``.

    None are removed of a folder from its place in ``before`` on.
    """
    found = [(one, folder) for folder in folders for one in list_segments(folder)]
    total = sum(one.size for one, _ in found)
    for segment, folder in sorted(found, key=lambda pair: pair[0].changed_wall):
        if total <= cap:
            return
        if segment.place < before.get(folder, NEVER):
            remove(segment)
            total -= segment.size


def to_pack(folder: Path, *, before: Place) -> tuple[Segment, ...]:
    """Return the files before a place that are not compressed yet, oldest first."""
    drop_staging(folder)
    segments = list_segments(folder)
    return tuple(one for one in segments[:-1] if not one.packed and one.place < before)


def pack(segment: Segment) -> Generator[None, None, None]:
    """Compress a file, a block at every step, and put it in the place of the file at the last.

    One that is closed before leaves the file as it was.
    """
    target = segment.path.with_name(f"{segment.path.name}.gz")
    staging = target.with_name(f".{target.name}.writing")
    try:
        source = os.open(segment.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(staging, flags, FILE_MODE), "wb") as file:
            while data := os.read(source, BLOCK):
                file.write(pack_block(data))
                yield
                if os.fstat(source).st_nlink == 0:
                    return  # too old meanwhile
        facts = os.fstat(source)
        os.utime(staging, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        os.rename(staging, target)
        segment.path.unlink(missing_ok=True)
    finally:
        os.close(source)
        staging.unlink(missing_ok=True)


def _tell(control: Path) -> bool:
    try:
        fd = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False  # nobody listens: the monitor has ended
        raise
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return False
        return os.write(fd, REOPEN) == len(REOPEN)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
