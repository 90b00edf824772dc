"""What loading came to the last time, for as long as nothing it depended on has changed.

Loading needs libraries that take longer to import than most commands take. An entry belongs to
what was typed and where. It holds a digest of everything that loading looked at: what is in every
file it read, that a file it looked for is not there, and each variable of the environment that may
have been consulted. A variable can only be consulted where a file or the value of one that is names
it, where its name is put together of parts, or when it is one of those the loader itself knows.
Standard library only.
"""

import argparse
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MOST_ENTRIES = 64
LARGEST_ENTRY = 32 * 1024 * 1024
LARGEST_FILE = 10_000_000
"""What is larger the reader refuses in any case."""
OWN = ("COMPOSE_", "DOCKER_", "PYORCH_", "XDG_", "HOME", "PWD")
"""Beginnings of the names of variables the loader knows by itself."""
WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
SPELT_OTHERWISE = re.compile(rb"\\[xuU\r\n]|\xff\xfe|\xfe\xff")
"""Ways to write a variable's name so that it does not stand in a file letter by letter."""
GLUED = re.compile(rb"\w\$[A-Za-z_{]|\}\w|\}\$[A-Za-z_{]")
"""A value next to a letter or another value: together they may be a variable's name."""
GRAIN = 20_000_000
"""Nanoseconds by which the clock of a file system may lag behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A settled stack file as plain data, and what is to be said of it."""

    name: str
    document: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the entry of what was typed is."""

    path: Path
    cwd: Path


def place_of(args: argparse.Namespace, cwd: Path, services: tuple[str, ...] = ()) -> Place | None:
    """Return where to look; None where nothing can be kept: standard input is read once.

    ``services`` are those that are asked for; all of them where there are none.
    """
    if "-" in args.file:
        return None
    typed = [args.file, args.project_name, args.project_directory, args.env_file, args.profile]
    typed.append(services)
    # Which files there are may follow from these, so they are part of the name.
    own = sorted(pair for pair in os.environ.items() if pair[0].startswith(OWN))
    name = json.dumps([typed, str(cwd), own, _loader()])
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base, "pyorch", "stacks")
    return Place(folder / hashlib.sha256(name.encode()).hexdigest(), cwd)


def recall(place: Place) -> Settled | None:
    """Return what loading would come to, where that is known."""
    try:
        handle = os.open(place.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            status = os.fstat(handle)
            # With another user's home directory comes another user's cache.
            if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                return None
            entry = json.load(stream)
        if entry["digest"] != _digest(map(Path, entry["files"])):
            return None
        kept = entry["settled"]
        return Settled(
            name=kept["name"], document=kept["document"], warnings=tuple(kept["warnings"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(place: Place, settled: Settled, files: Iterable[Path], *, since: int) -> None:
    """Keep what loading came to, unless a file has changed ``since`` it began.

    ``since`` is in nanoseconds of the wall clock. A stack with secrets is never kept: their
    contents would be in it. A cache that cannot be written is none.
    """
    if settled.document.get("secrets"):
        return
    paths = [place.cwd / path for path in files]
    with suppress(OSError, ValueError):
        digest = _digest(paths)
        if any(_changed(path) >= since - GRAIN for path in paths):
            return
        entry = {"digest": digest, "files": list(map(str, paths)), "settled": asdict(settled)}
        data = json.dumps(entry).encode()
        if len(data) <= LARGEST_ENTRY:
            _write(place.path, data)


def now() -> int:
    """Return the wall clock in nanoseconds, for :func:`keep`."""
    return time.time_ns()


def _digest(paths: Iterable[Path]) -> str:
    """Return a hash of everything that loading these files depends on. Raises ValueError."""
    found = hashlib.sha256()
    texts = []
    for path in paths:
        text = _content(path)
        known = "" if text is None else hashlib.sha256(text).hexdigest()
        found.update(json.dumps([str(path), known]).encode())
        texts.append(text or b"")
    for name, value in sorted(_consulted(b"\n".join(texts)).items()):
        found.update(hashlib.sha256(name + b"=" + value).digest())
    return found.hexdigest()


def _consulted(text: bytes) -> dict[bytes, bytes]:
    """Return the variables of the environment that ``text`` may name."""
    given = dict(os.environb)
    if SPELT_OTHERWISE.search(text) or GLUED.search(text):
        return given
    found = {name: value for name, value in given.items() if not WORD.fullmatch(name)}
    words = set(WORD.findall(text))
    while fresh := {name: given[name] for name in words & given.keys() - found.keys()}:
        found |= fresh
        # A value may be the name of another one.
        words = set(WORD.findall(b"\n".join(fresh.values())))
    return found


def _content(path: Path) -> bytes | None:
    """Return what is in a file; None where there is none. Raises ValueError for anything else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
            raise ValueError(f"{path} is no ordinary file, or too large")
        return stream.read()


def _changed(path: Path) -> int:
    """Return when a file was last changed, or when it was taken away at the latest."""
    for place in (path, *path.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            return place.stat().st_ctime_ns
    return 0


def _loader() -> list[tuple[str, int, int]]:
    """Return what tells this loader from an older one: it may read the same file otherwise."""
    return sorted(_sources(Path(__file__).parents[1] / "spec"))


def _sources(folder: Path) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and entry.name != "__pycache__":
                yield from _sources(Path(entry.path))
            elif entry.name.endswith(".py"):
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime_ns


def _write(path: Path, data: bytes) -> None:
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.geteuid():
        return
    # Under a name of its own first: whoever reads sees all of it or nothing.
    fresh = path.with_name(f"{os.urandom(8).hex()}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    entries = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime_ns)
    for old in entries[:-MOST_ENTRIES]:
        old.unlink(missing_ok=True)
