"""Collect children nobody waits for: orphans that came to this process as their subreaper.

A process whose parent died in a container stays a zombie until its new parent collects it,
and as long as it does, its whole PID namespace cannot end (pid_namespaces(7)): the container
would never stop.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from runtime.process import awaited
from runtime.procfs import stat_of

PAUSE = 0.1
"""Seconds a dead child must have been left alone before it is taken for an orphan."""


@dataclass(slots=True)
class Orphans:
    """Collects dead children, except those somebody else wants to collect.

    Whoever starts a program collects it within moments; what is still there at a second look
    belongs to nobody. ``wanted`` names those that may lie longer, because their exit code is.
    """

    wanted: Callable[[], Collection[int]]
    _seen: frozenset[int] = frozenset()
    _timer: asyncio.TimerHandle | None = field(default=None)

    def look(self) -> None:
        """A child ended: look for orphans in a moment. Call it in the event loop."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._collect)

    def _collect(self) -> None:
        self._timer = None
        # However late the loop comes to it: a program somebody waits for is no orphan.
        dead = _dead_children() - awaited() - set(self.wanted())
        for pid in dead & self._seen:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        self._seen = frozenset(dead - self._seen)
        if self._seen:
            self.look()


def _dead_children() -> set[int]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:
            continue
        for pid in map(int, children):
            with contextlib.suppress(OSError):
                if stat_of(pid)[0] == "Z":
                    found.add(pid)
    return found
