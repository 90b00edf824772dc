"""The disk pyorch's data is on fills up: tell of it before it is full."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LEEWAY = 5
"""Per cent less after which it has room again: what goes up and down a little is told once."""


@dataclass(slots=True, kw_only=True)
class DiskWatch:
    """Looks at one filesystem, and tells when it has come to ``limit`` per cent, or back."""

    path: Path
    limit: int
    """0: never."""
    tell: Callable[[str, str], None]
    """Told the name of a fact, and why."""
    full: bool = False

    def look(self) -> None:
        """Look how full it is now."""
        if not self.limit:
            return
        found = os.statvfs(self.path)
        space = share(found.f_blocks - found.f_bfree, found.f_bavail)
        inodes = share(found.f_files - found.f_ffree, found.f_favail)
        used, what = max((space, "space"), (inodes, "inodes"))
        free = found.f_bavail * found.f_frsize / 1e9
        if not self.full and used >= self.limit:
            self.full = True
            reason = (
                f"{used} % of the {what} of {self.path} is used, {free:.1f} GB are free;"
                " `pyorch image prune` and `pyorch builder prune` make room"
            )
            self.tell("disk.nearly_full", reason)
        elif self.full and used <= self.limit - LEEWAY:
            self.full = False
            self.tell("disk.has_room", f"{used} % of the {what} of {self.path} is used")


def share(used: int, free: int) -> int:
    """Return how many per cent are used, rounded up, as df(1) has it."""
    whole = used + free
    return -(-100 * used // whole) if whole else 0
