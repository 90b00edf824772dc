"""Control groups below our own directory: found, emptied and removed by ourselves.

The runtime makes a container's groups; it is not trusted to remove them. On version 1 a
group exists once a controller, in every hierarchy that is mounted; on version 2 once.

Under systemd our directory stands beside its slices and not inside the daemon's unit. It
must outlive that unit, and be where every other daemon looks for it: one that is installed,
one that was begun for a command, one on a machine without systemd. systemd leaves groups
alone that it has not made. It may take a controller it has no use for from the groups at
the top, but the kernel refuses that while a group of ours hands it on to its children
(cgroups(7), cgroup.subtree_control), so limits outlast whatever systemd reloads; where
nothing of ours is left, the runtime asks for the controllers again with the next container.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from runtime.errors import UnavailableError, UnsupportedError
from runtime.procfs import mounts

ROOT = Path("/sys/fs/cgroup")
UNLIMITED = 2**62
"""Version 1 says that memory is not limited with a number of about this size."""
PATIENCE = 5.0
"""Seconds to wait for killed processes to leave a group."""


class Mode(StrEnum):
    """Which control groups this host has (cgroups(7))."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted tree and what it controls; no controllers for version 2."""

    root: Path
    controllers: frozenset[str]


@cache
def hierarchies() -> tuple[Hierarchy, ...]:
    """Return every mounted hierarchy, version 2 last."""
    found: dict[Path, Hierarchy] = {}
    v2: list[Hierarchy] = []
    for point, fstype, options in mounts():
        root = Path(point)
        if root != ROOT and ROOT not in root.parents:
            continue
        if fstype == "cgroup2":
            v2.append(Hierarchy(root, frozenset()))
        elif fstype == "cgroup":
            names = frozenset(options.split(",")) - {"rw", "ro", "relatime"}
            found[root] = Hierarchy(root, names)
    return (*found.values(), *v2)


def mode() -> Mode:
    """Return which version this host runs."""
    trees = hierarchies()
    unified = any(not tree.controllers for tree in trees)
    if len(trees) == 1 and unified:
        return Mode.V2
    return Mode.HYBRID if unified else Mode.V1


def directories(path: str) -> list[Path]:
    """Return where the group ``path`` exists, deepest first."""
    found: list[Path] = []
    for tree in hierarchies():
        top = tree.root / path.lstrip("/")
        if top.is_dir():
            found += [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
    return found


def processes(path: str) -> set[int]:
    """Return the ids of every process in the group ``path`` or below, in any hierarchy."""
    found: set[int] = set()
    for folder in directories(path):
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    return found


def kill(path: str) -> None:
    """End every process in the group and below with SIGKILL; blocks until they are gone.

    Raises UnavailableError when one does not go: it hangs in the kernel.
    """
    deadline = time.monotonic() + PATIENCE
    while alive := processes(path):
        for folder in directories(path):
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
            with contextlib.suppress(OSError):
                (folder / "freezer.state").write_text("THAWED")
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise UnavailableError("end processes of", path, f"{sorted(alive)} do not go away")
        time.sleep(0.002)


def remove(path: str) -> None:
    """Remove the group and those below it in every hierarchy, killing what is in there."""
    if _remove_empty(path):
        return
    kill(path)
    deadline = time.monotonic() + PATIENCE
    while left := directories(path):
        for folder in left:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if time.monotonic() > deadline:
            raise UnavailableError("remove cgroup", path, "it stays busy")
        if directories(path):
            time.sleep(0.002)


def _remove_empty(path: str) -> bool:
    """Remove a group that holds nothing; say whether it is gone from every hierarchy."""
    gone = True
    for tree in hierarchies():
        try:
            (tree.root / path.lstrip("/")).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone


def children(path: str) -> set[str]:
    """Return the names of the groups directly below ``path``, in any hierarchy."""
    found: set[str] = set()
    for tree in hierarchies():
        top = tree.root / path.lstrip("/")
        with contextlib.suppress(OSError):
            found.update(entry.name for entry in os.scandir(top) if entry.is_dir())
    return found


def make(path: str, controllers: Collection[str]) -> None:
    """Make the group and those above it, where ``controllers`` are to count for it."""
    parts = Path(path.lstrip("/")).parts
    for tree in hierarchies():
        if tree.controllers and not tree.controllers & set(controllers):
            continue
        (tree.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        for depth in range(0 if tree.controllers else len(parts)):
            handed_on = tree.root.joinpath(*parts[:depth]) / "cgroup.subtree_control"
            for one in controllers:
                # What this kernel has in another hierarchy, or not at all, is counted there.
                with contextlib.suppress(OSError):
                    handed_on.write_text(f"+{one}")


def remove_if_empty(path: str) -> None:
    """Remove one group where nothing is in it; leave it otherwise."""
    for tree in hierarchies():
        with contextlib.suppress(OSError):
            (tree.root / path.lstrip("/")).rmdir()


def has(file: str) -> bool:
    """Whether a hierarchy has such a file at its top."""
    return any((tree.root / file).exists() for tree in hierarchies())


def find(path: str, file: str) -> Path | None:
    """Return where a file of the group is; None where no hierarchy has it."""
    places = (tree.root / path.lstrip("/") / file for tree in hierarchies())
    return next((place for place in places if place.exists()), None)


def read(path: str, file: str) -> str | None:
    """Return what a file of the group says; None where no hierarchy has it."""
    found = find(path, file)
    try:
        return found.read_text().strip() if found else None
    except OSError:
        return None


def count(path: str, file: str, key: str) -> str | None:
    """Return what a file of ``key value`` lines says of ``key``."""
    for line in (read(path, file) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return value.strip()
    return None


def write(path: str, file: str, value: str) -> None:
    """Write into a file of the group. Raises OSError, FileNotFoundError where there is none."""
    target = find(path, file)
    if target is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
    target.write_text(f"{value}\n")


def freeze(path: str, *, frozen: bool) -> None:
    """Have every process in the group stand still, or go on; blocks until it is so.

    Raises UnsupportedError where no hierarchy can, UnavailableError where it takes too long.
    """
    old, new = find(path, "freezer.state"), find(path, "cgroup.freeze")
    if old is None and new is None:
        raise UnsupportedError("freeze processes of", path, "this kernel has no freezer for them")
    deadline = time.monotonic() + PATIENCE
    if old is not None:
        write(path, "freezer.state", "FROZEN" if frozen else "THAWED")
    else:
        write(path, "cgroup.freeze", str(int(frozen)))
    while is_frozen(path) is not frozen:
        if time.monotonic() > deadline:
            if frozen:
                freeze(path, frozen=False)
            raise UnavailableError("freeze processes of", path, "some do not stand still")
        time.sleep(0.002)


def is_frozen(path: str) -> bool:
    """Whether every process in the group stands still."""
    state = read(path, "freezer.state")
    if state is not None:
        return state == "FROZEN"
    return count(path, "cgroup.events", "frozen") == "1"


def oom_kills(path: str) -> int:
    """Return how often the kernel killed something in the group for want of memory."""
    found = count(path, "memory.events", "oom_kill") or count(
        path, "memory.oom_control", "oom_kill"
    )
    return int(found) if found else 0
