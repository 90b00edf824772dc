"""Every log that is sent on, and the places they go to."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from runtime.files import in_thread
from runtime.logs.changes import Changes
from runtime.logs.folder import Segment
from runtime.logs.forwarder import SETTLE, Forwarded, Forwarder, OnNews, Waiting
from runtime.logs.losses import Loss
from runtime.logs.pace import Turns
from runtime.logs.progress import FOLDER, NAME, Route, end_progress, is_begun
from runtime.logs.targets import LocalSockets, Targets
from runtime.types import LogConfig

LAST = 5.0
"""Seconds the last lines of a log that goes are waited for."""


class Forwarding:
    """Every log that is sent on. Run it, and tell it what begins and ends."""

    def __init__(self, changes: Changes, local: LocalSockets) -> None:
        """Send nothing yet. ``local`` says where the host itself listens."""
        self._changes = changes
        self._targets = Targets(local)
        self._turns = Turns()
        self._forwarders: dict[Path, Forwarder] = {}
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._callbacks: list[OnNews] = []

    def begin(self, folder: Path, run: int, config: LogConfig) -> None:
        """Send on what a run prints, where ``config`` says so."""
        if config.forwards or folder in self._forwarders or is_begun(folder):
            forwarder = self._know(folder)
            forwarder.begin(Route(since=run, config=config if config.forwards else None))
            self._start(folder)

    def end(self, folder: Path) -> None:
        """Nothing more is printed into a log until the next run."""
        if folder in self._forwarders:
            self._forwarders[folder].end()

    async def resume(self, root: Path) -> None:
        """Go on with logs below ``root`` that nobody may print into any more."""
        found = await in_thread(lambda: list(root.glob(f"*/*/*/{FOLDER}/{NAME}")))
        for path in found:
            folder = path.parent.parent
            if folder not in self._forwarders:
                self._know(folder)
                self._start(folder)

    async def settle(self, folder: Path) -> None:
        """Give the last lines of logs below ``folder`` a moment to go, where they can."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LAST
        while loop.time() < deadline:
            left = [one for one in self._below(folder) if one in self._tasks]
            if all(self._forwarders[one].is_stuck for one in left):
                return
            await asyncio.wait([self._tasks[one] for one in left], timeout=SETTLE)

    def forget(self, folder: Path) -> None:
        """Let go of logs below ``folder``, which are about to be removed."""
        for one in self._below(folder):
            self._forwarders.pop(one).abandon()
            if (task := self._tasks.pop(one, None)) is not None:
                task.cancel()

    def remove(self, segment: Segment, remove: Callable[[Segment], None]) -> None:
        """Have a file of a log removed; called beside the event loop."""
        forwarder = self._forwarders.get(segment.path.parent)
        if forwarder is None:
            remove(segment)
        else:
            forwarder.remove(segment, remove)

    def status(self, folder: Path) -> Forwarded | None:
        """Return how it stands with a log; None where its lines stay here."""
        forwarder = self._forwarders.get(folder)
        return None if forwarder is None else forwarder.status

    def tell_unsent(self) -> None:
        """Say of every log what can not be sent any more."""
        for forwarder in self._forwarders.values():
            forwarder.tell_unsent()

    def on_news(self, callback: OnNews) -> None:
        """Have ``callback`` told when lines wait, go on, or are not sent at all."""
        self._callbacks.append(callback)

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for folder in self._forwarders:
                    self._start(folder)
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._targets.close()

    def _below(self, folder: Path) -> list[Path]:
        return [one for one in self._forwarders if folder in one.parents]

    def _know(self, folder: Path) -> Forwarder:
        if folder not in self._forwarders:
            self._forwarders[folder] = Forwarder(folder, self._targets, self._told)
        return self._forwarders[folder]

    def _start(self, folder: Path) -> None:
        if self._group is not None and folder not in self._tasks:
            name = f"sending of {folder.parent.name}.{folder.name}"
            self._tasks[folder] = self._group.create_task(self._run(folder), name=name)

    async def _run(self, folder: Path) -> None:
        forwarder = self._forwarders[folder]
        while True:
            await forwarder.run(self._changes, self._turns)
            forwarder.tell_unsent(now=True)
            if not forwarder.woken.is_set():
                break
        if self._forwarders.get(folder) is not forwarder:
            return
        self._tasks.pop(folder, None)
        if forwarder.config is None:
            # All is sent that was to be, and what comes stays here.
            end_progress(folder)
            self._forwarders.pop(folder, None)

    def _told(self, folder: Path, news: Waiting | Loss) -> None:
        for callback in self._callbacks:
            callback(folder, news)
