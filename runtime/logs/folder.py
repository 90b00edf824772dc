"""What the log of one replica is on disk: which files there are, and in which order.

``<run>.log`` is what the monitor writes to. Every file has a second name from its first moment
on, ``<run>.<number>.log``, numbered from 1: the monitor replaces ``<run>.log`` by a new file
whenever it is told to (or must), and what was in the old one stays under that name.
``<run>.log.tmp`` is the file it takes next. It is there beforehand, and has its second name
already: a monitor that cannot make it on a full disk would end, and the container with it, and
one that takes it while nobody looks loses nothing. ``<run>.<number>.log.gz`` is a file that was
turned over and then compressed.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE_MODE = 0o640
SPARE = ".log.tmp"
FOLDER_MODE = 0o750

_NUMBERED = re.compile(r"(\d{1,9})\.(\d{1,9})\.log(\.gz)?")
_CURRENT = re.compile(r"(\d{1,9})\.log")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Segment:
    """One file of a log. Segments sort from the oldest to the newest."""

    run: int
    number: int
    path: Path
    packed: bool
    inode: int
    size: int
    """Bytes on disk."""
    changed_wall: float

    @property
    def place(self) -> tuple[int, int]:
        """Run and number."""
        return self.run, self.number


def current(folder: Path, run: int) -> Path:
    """Return the file the monitor of a run writes to."""
    return folder / f"{run}.log"


def numbered(folder: Path, run: int, number: int) -> Path:
    """Return the name a file keeps."""
    return folder / f"{run}.{number}.log"


def spare(folder: Path, run: int) -> Path:
    """Return the file the monitor takes next."""
    return folder / f"{run}.log.tmp"


def list_segments(folder: Path) -> tuple[Segment, ...]:
    """Return a replica's log files, oldest first; none where there is no folder.

    A file that has no second name yet comes under the number it will have; one that is not
    written to yet is none.
    """
    entries = list(_entries(folder))
    spares = {facts.st_ino for name, facts in entries if name.endswith(SPARE)}
    found: dict[tuple[int, int], Segment] = {}
    unnamed: list[tuple[int, Path, os.stat_result]] = []
    for name, facts in entries:
        if match := _NUMBERED.fullmatch(name):
            run, number, packed = int(match[1]), int(match[2]), bool(match[3])
            if facts.st_ino in spares:
                continue
            before = found.get((run, number))
            # Both are there for the moment between packing a file and removing it.
            if before is None or packed:
                found[run, number] = _segment(folder / name, run, number, facts, packed=packed)
        elif match := _CURRENT.fullmatch(name):
            unnamed.append((int(match[1]), folder / name, facts))
    inodes = {(one.run, one.inode) for one in found.values()}
    for run, path, facts in unnamed:
        if (run, facts.st_ino) not in inodes:
            number = max((n for r, n in found if r == run), default=0) + 1
            found[run, number] = _segment(path, run, number, facts, packed=False)
    return tuple(sorted(found.values(), key=lambda one: one.place))


def newest_run(folder: Path) -> int:
    """Return the number of the last run that left a file; 0 where there is none."""
    return max((one.run for one in list_segments(folder)), default=0)


def begin_run(folder: Path, run: int) -> None:
    """Make the files a monitor needs for a new run."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    _touch(current(folder, run))
    keep_name(folder, run)
    make_spare(folder, run)


def keep_name(folder: Path, run: int) -> Segment | None:
    """Give the file the monitor writes to its second name, where it has none; return it."""
    segments = [one for one in list_segments(folder) if one.run == run]
    try:
        inode = os.stat(current(folder, run), follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None
    newest = next((one for one in segments if one.inode == inode), None)
    if newest is None:
        return None
    if newest.path == current(folder, run):
        name = numbered(folder, run, newest.number)
        # Where it did not take the file that was meant for it, that one comes after it.
        _unlink_same(name, spare(folder, run))
        os.link(newest.path, name, follow_symlinks=False)
    return newest


def make_spare(folder: Path, run: int) -> None:
    """See to it that the monitor's next file is there, under both its names."""
    path = spare(folder, run)
    _touch(path)
    numbers = [one.number for one in list_segments(folder) if one.run == run]
    name = numbered(folder, run, max(numbers, default=0) + 1)
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        # Taken meanwhile, or named already.
        os.link(path, name, follow_symlinks=False)


def end_run(folder: Path, run: int) -> None:
    """Leave of a run that is over only the names its files keep."""
    keep_name(folder, run)
    current(folder, run).unlink(missing_ok=True)
    path = spare(folder, run)
    for number in {one.number + 1 for one in list_segments(folder) if one.run == run}:
        _unlink_same(numbered(folder, run, number), path)
    path.unlink(missing_ok=True)


def runs_of(segments: Iterable[Segment]) -> Sequence[int]:
    """Return the numbers of runs that have files, in order."""
    return sorted({one.run for one in segments})


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    above = f"{folder}/"
    for name in names:
        try:
            facts = os.stat(above + name, follow_symlinks=False)
        except FileNotFoundError:
            continue  # old files go at any moment
        if stat.S_ISREG(facts.st_mode):
            yield name, facts


def _segment(path: Path, run: int, number: int, facts: os.stat_result, *, packed: bool) -> Segment:
    return Segment(
        run=run,
        number=number,
        path=path,
        packed=packed,
        inode=facts.st_ino,
        size=facts.st_size,
        changed_wall=facts.st_mtime,
    )


def _unlink_same(path: Path, other: Path) -> None:
    """Remove ``path`` where it is but another name of ``other``."""
    with contextlib.suppress(FileNotFoundError):
        if path.samefile(other):
            path.unlink()


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE))
