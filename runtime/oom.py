"""Notice that the kernel ended a process of a control group for want of memory, as it happens.

On version 1 the kernel writes to an eventfd (cgroups/memory.txt, 10), on version 2 it wakes
whoever polls ``memory.events`` (cgroup-v2.rst). That says only: look.
"""

import asyncio
import contextlib
import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime import cgroups
from runtime.limits import size
from runtime.types import Limits

NEAR = 2**20


@dataclass(slots=True)
class OomWatch:
    """One group that is watched, until it is closed."""

    waked: int
    """Readable when there is something to see."""
    watched: int
    waker: "select.epoll | None"
    callback: Callable[[], None]

    def open(self) -> None:
        """Begin to watch in the running event loop."""
        asyncio.get_running_loop().add_reader(self.waked, self._look)

    def close(self) -> None:
        """Watch no more."""
        asyncio.get_running_loop().remove_reader(self.waked)
        os.close(self.watched)
        if self.waker is None:
            os.close(self.waked)
        else:
            self.waker.close()

    def _look(self) -> None:
        # What was told once has to be read, or it is told again at once.
        with contextlib.suppress(OSError):
            if self.waker is None:
                os.eventfd_read(self.waked)
            else:
                os.pread(self.watched, 4096, 0)
        self.callback()


def watch_oom(path: str, callback: Callable[[], None]) -> OomWatch | None:
    """Have ``callback`` called in the event loop whenever memory ran out in a group.

    None where the kernel counts no memory for it, or the group is gone.
    """
    found = None
    with contextlib.suppress(OSError):
        if (events := cgroups.find(path, "memory.events.local")) is not None:
            found = _watch_events(events, callback)
        elif (control := cgroups.find(path, "memory.oom_control")) is not None:
            found = _watch_control(control, callback)
    if found is not None:
        found.open()
    return found


def explain_oom(path: str, limits: Limits) -> str:
    """Say in a few words whose limit it was that a group of these limits died of."""
    if limits.memory is not None and _reached(path, limits.memory):
        return f"out of memory, limit {size(limits.memory)}"
    above = str(Path(path).parent)
    most = cgroups.read(above, "memory.max") or cgroups.read(above, "memory.limit_in_bytes")
    if most is not None and most.isdigit() and int(most) < cgroups.UNLIMITED:
        return f"out of memory, limit of its stack {size(int(most))}"
    return "out of memory, as is the whole machine"


def _reached(path: str, limit: int) -> bool:
    """Whether a group was at its own limit."""
    hits = cgroups.count(path, "memory.events.local", "max")
    if hits is not None:
        return hits != "0"
    # Version 1 counts the hits of one of its two counters only; what was used says it, too, but
    # for what processors had put aside.
    most = int(cgroups.read(path, "memory.max_usage_in_bytes") or 0)
    return most > limit - NEAR


def _watch_events(file: Path, callback: Callable[[], None]) -> OomWatch:
    watched = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    waker = select.epoll()
    waker.register(watched, select.EPOLLPRI)
    return OomWatch(waker.fileno(), watched, waker, callback)


def _watch_control(file: Path, callback: Callable[[], None]) -> OomWatch:
    watched = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    waked = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        file.with_name("cgroup.event_control").write_text(f"{waked} {watched}")
    except OSError:
        os.close(watched)
        os.close(waked)
        raise
    return OomWatch(waked, watched, None, callback)
