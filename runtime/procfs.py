"""Files of the kernel in which others choose a part: a process its name, a user a mount point.

They are bytes, and may hold anything but what ends a field: no text in any encoding, and
characters at which Python ends a line and the kernel does not.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MOUNTS = Path("/proc/self/mountinfo")


class Mounted(NamedTuple):
    """A line of the kernel's table of mounts (proc_pid_mountinfo(5))."""

    point: str
    fstype: str
    options: str
    """Those of the filesystem itself."""


def mounts() -> list[Mounted]:
    """Return what is mounted where this process sees it, in the order it was mounted."""
    return parse_mounts(MOUNTS.read_bytes())


def parse_mounts(table: bytes) -> list[Mounted]:
    """Return the lines of a table of mounts. Pure."""
    found = []
    for line in table.split(b"\n")[:-1]:
        place, _, kind = line.partition(b" - ")
        fstype, _, options = kind.split(b" ", 2)
        found.append(Mounted(_plain(place.split(b" ")[4]), _plain(fstype), _plain(options)))
    return found


def stat_of(pid: int) -> tuple[str, ...]:
    """Return the fields of a process's ``stat`` after its name, state first.

    Raises FileNotFoundError or ProcessLookupError for one that is gone.
    """
    data = Path(f"/proc/{pid}/stat").read_bytes()
    return tuple(data.rpartition(b")")[2].decode().split())


def groups_of(pid: int) -> tuple[str, ...]:
    """Return the control groups a process is in, one for each hierarchy. Raises OSError."""
    lines = Path(f"/proc/{pid}/cgroup").read_bytes().split(b"\n")[:-1]
    return tuple(os.fsdecode(line.split(b":", 2)[2]) for line in lines)


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Yield every process with the words it was called with; kernel threads have none."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
            except OSError:
                continue
            yield int(folder.name), [os.fsdecode(word) for word in words]


def name_of(pid: int) -> str:
    """Return what a process calls itself, as it may be printed. Raises OSError."""
    name = Path(f"/proc/{pid}/comm").read_bytes().removesuffix(b"\n").decode(errors="replace")
    return "".join(mark if mark.isprintable() else "?" for mark in name)


def _plain(word: bytes) -> str:
    # White space in a path is written as three octal digits.
    return os.fsdecode(re.sub(rb"\\([0-3][0-7]{2})", lambda one: bytes([int(one[1], 8)]), word))
