"""To be told that something in a folder has changed, once for every time it is asked for.

A log that is written a hundred thousand times a second must not wake anybody as often. Whoever
waits says so, looks, and only then waits; the kernel forgets the wish when it comes true.
"""

import asyncio
import contextlib
from collections import defaultdict
from pathlib import Path

from asyncinotify import Inotify, Mask

POLL = 1.0
"""Seconds between looks where the kernel watches nothing for us (inotify(7), limits)."""
WATCHED = Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.ONESHOT | Mask.ONLYDIR


class Changes:
    """Tells of changes in folders. Run it, then ask."""

    def __init__(self) -> None:
        """Begin without a watch."""
        self._inotify: Inotify | None = None
        self._waiting: defaultdict[Path, set[asyncio.Event]] = defaultdict(set)
        self._polled: set[Path] = set()

    def ask(self, folder: Path, event: asyncio.Event) -> None:
        """Have ``event`` set at the next change in ``folder``. Look after this, then wait."""
        self._waiting[folder].add(event)
        try:
            if self._inotify is None:
                raise OSError("not watching")
            self._inotify.add_watch(folder, WATCHED)
        except OSError:
            self._polled.add(folder)

    def forget(self, event: asyncio.Event) -> None:
        """Do not set ``event`` any more."""
        for folder in [one for one, events in self._waiting.items() if event in events]:
            self._waiting[folder].discard(event)
            if not self._waiting[folder]:
                del self._waiting[folder]
                self._polled.discard(folder)

    async def run(self) -> None:
        """Tell of changes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll(), name="polled logs")
            with contextlib.suppress(OSError), Inotify() as inotify:
                self._inotify = inotify
                for folder in [*self._polled]:
                    self._polled.discard(folder)
                    for event in [*self._waiting.get(folder, ())]:
                        self.ask(folder, event)
                try:
                    async for change in inotify:
                        if change.mask & Mask.Q_OVERFLOW:
                            for folder in [*self._waiting]:
                                self._tell(folder)
                        elif change.watch is not None:
                            self._tell(Path(change.watch.path))
                finally:
                    self._inotify = None
                    self._polled |= set(self._waiting)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            for folder in [*self._polled]:
                self._tell(folder)

    def _tell(self, folder: Path) -> None:
        self._polled.discard(folder)
        for event in self._waiting.pop(folder, ()):
            event.set()
