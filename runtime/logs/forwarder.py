"""Sends one log on to syslog or to the journal, out of the files its monitors write.

A container knows nothing of it: what cannot be sent waits in its log, for as long as files are
kept. How far it was sent is written down, so that another daemon goes on there; the last lines
may then come twice, but none is left out. What was removed before it could be sent is counted.
"""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from runtime.files import in_thread
from runtime.logs.changes import Changes
from runtime.logs.folder import Segment, list_segments
from runtime.logs.journal import JournalWriter
from runtime.logs.losses import Loss
from runtime.logs.pace import Pace, Turns
from runtime.logs.progress import (
    Progress,
    Route,
    load_progress,
    note_unsent,
    routed,
    save_progress,
)
from runtime.logs.reading import BEGIN, LogReader, Place
from runtime.logs.records import Line
from runtime.logs.source import FileSource
from runtime.logs.syslog import SyslogWriter
from runtime.logs.targets import Target, Targets
from runtime.types import LogConfig, LogDriver

BATCH = 256 * 1024
"""Bytes of lines read and sent at once."""
SETTLE = 0.1
"""Seconds in which further lines join the first."""
SAVE = 1.0
"""Seconds between two notes of how far it is."""
TELL = 60.0
"""Seconds between two words on what cannot be sent any more."""
AGAIN = 1.0
"""Seconds after which a log is looked at again that could not be read."""
REMOVED = "its log was removed"
NEVER = 2**62
"""After every run: it is not known yet where to begin."""
FULL = "its place was needed before it could be sent"


class Writer(Protocol):
    """Writes lines as messages."""

    def write(self, line: Line) -> Iterator[bytes]:
        """Yield the messages a line makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Lines cannot be sent, and wait; or can again, without a cause."""

    target: str
    cause: str


OnNews = Callable[[Path, Waiting | Loss], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """How it stands with the sending of one log."""

    driver: LogDriver
    target: str
    since_wall: float | None
    """Since when it cannot be reached; None where it can."""
    cause: str
    unsent: int
    """Bytes of log that went before they could be sent."""


@dataclass(slots=True)
class _Batch:
    """Messages that go to one place, and how far the log is when they have gone."""

    route: Route | None = None
    messages: deque[bytes] = field(default_factory=deque)
    size: int = 0
    place: Place = BEGIN
    lines: int = 0


class Forwarder:
    """One log that is sent on."""

    def __init__(self, folder: Path, targets: Targets, tell: OnNews) -> None:
        """Go on from where it was sent to; nothing is read yet."""
        self.folder = folder
        self.woken = asyncio.Event()
        self.lasts = False
        """Whether a container writes to it."""
        self._targets = targets
        self._tell = tell
        self._lock = threading.Lock()
        """Held while files are read or removed."""
        self._progress: Progress | None = None
        self._wanted: deque[Route] = deque()
        self._reader: LogReader | None = None
        self._lines: Iterator[Line] | None = None
        self._skip = 0
        self._held: tuple[Line, Route | None] | None = None
        self._pace = Pace()
        self._writers: dict[int, Writer] = {}
        self._target: Target | None = None
        self._saved = 0.0
        self._dirty = False
        self._unsent = 0
        self._since = 0
        self._told = 0.0
        self._abandoned = False

    def begin(self, route: Route) -> None:
        """Send what a run prints where ``route`` says; earlier runs go where they were to."""
        self.lasts = route.config is not None
        self._wanted.append(route)
        self.woken.set()

    def end(self) -> None:
        """Nothing more comes until the next run."""
        self.lasts = False
        self.woken.set()

    @property
    def config(self) -> LogConfig | None:
        """Return where the lines of the last run go; None where they stay here."""
        routes = [*(self._progress.routes if self._progress else ()), *self._wanted]
        return routes[-1].config if routes else None

    @property
    def status(self) -> Forwarded | None:
        """Return how it stands; None where lines stay here."""
        config = self.config
        if config is None:
            return None
        target = self._target or self._targets.find(config)
        return Forwarded(
            driver=config.driver,
            target=target.name,
            since_wall=target.trouble.since_wall if target.trouble else None,
            cause=target.trouble.cause if target.trouble else "",
            unsent=self._progress.unsent if self._progress else 0,
        )

    @property
    def is_stuck(self) -> bool:
        """Whether what is to be sent cannot be at present."""
        return self._target is not None and self._target.trouble is not None

    async def run(self, changes: Changes, turns: Turns) -> None:
        """Send lines; return once nothing is left to send and nothing more comes."""
        self.close()
        try:
            while True:
                self.woken.clear()
                changes.ask(self.folder, self.woken)
                lasts = self.lasts
                batch, failed = await self._next(turns, ended=not lasts)
                if batch is not None:
                    await self._deliver(batch)
                    continue
                if not failed and not lasts and not self.woken.is_set():
                    return
                await in_thread(self._save)
                if failed:
                    await asyncio.sleep(AGAIN)
                    continue
                await self.woken.wait()
                await asyncio.sleep(SETTLE)
        finally:
            changes.forget(self.woken)
            if self._target is not None:
                self._target.unwatch(self._on_trouble)
                self._target = None
            # Without a thread: whoever is cancelled has none to wait for.
            self.close()

    def close(self) -> None:
        """Write down how far it is, and let go of files."""
        with self._lock:
            self._save_now()
            if self._reader is not None:
                self._reader.close()
            self._reader = self._lines = self._held = None

    def remove(self, segment: Segment, remove: Callable[[Segment], None]) -> None:
        """Have a file removed, and reckon with what of it was not sent."""
        with self._lock:
            progress = self._loaded()
            size = _size_of(segment)
            remove(segment)
            if segment.place < progress.place[:2]:
                return
            route = progress.route(segment.run)
            if route is None or route.config is None:
                return
            reader = self._reader
            reached = reader.reached if reader else progress.place
            is_safe = reader is not None and (
                segment.place < reached[:2] or reader.has_open(segment.place)
            )
            if is_safe:
                # It has been read, or is open: but only as long as this process lasts.
                gone = (*progress.gone, (*segment.place, size))
                self._progress = replace(progress, gone=gone)
            else:
                begun = segment.place == reached[:2]
                self._miss(size - reached.offset if begun else size)
            self._dirty = True
            self._save_now()

    def tell_unsent(self, why: str = FULL, *, now: bool = False) -> None:
        """Say what could not be sent since it was last said."""
        moment = time.monotonic()
        if not self._unsent or (not now and self._told and moment - self._told < TELL):
            return
        with self._lock:
            size, self._unsent = self._unsent, 0
        self._told = moment
        loss = Loss(since=self._since, at=time.time_ns(), size=size, why=why)
        # Where the disk is full the sum is known all the same, and it is told.
        with contextlib.suppress(OSError):
            note_unsent(self.folder, loss)
        self._tell(self.folder, loss)

    def abandon(self) -> None:
        """Reckon with what will never be sent: the log is about to be removed."""
        self.tell_unsent(now=True)
        with self._lock:
            place = self._loaded().place
            self._abandoned = True
            self._miss(
                sum(
                    _size_of(one) - (place.offset if one.place == place[:2] else 0)
                    for one in list_segments(self.folder)
                    if one.place >= place[:2]
                )
            )
        self.tell_unsent(REMOVED, now=True)

    # ── reading ──────────────────────────────────────────────────────────────────────────

    async def _next(self, turns: Turns, *, ended: bool) -> tuple[_Batch | None, bool]:
        """Return what is to be sent next, if anything is, and whether the log cannot be read."""
        try:
            return await turns.take(
                partial(self._read, ended=ended), hopeless=self._pace.is_hopeless
            ), False
        except OSError:
            # No descriptors, or a disk that fails: what is there is there later, too.
            return None, True

    def _read(self, *, ended: bool) -> _Batch | None:
        with self._lock:
            progress = self._loaded()
            if self._reader is None:
                self._reader = LogReader(self.folder, start=progress.place)
                self._skip = progress.lines
            if self._lines is None:
                self._lines = self._reader.read(ended=ended)
            batch = _Batch()
            while batch.size < BATCH:
                found = self._held or self._one()
                if found is None:
                    break
                line, route = found
                if batch.route is not None and route != batch.route:
                    self._held = found
                    break
                self._held = None
                batch.route = route
                batch.size += len(line.text) + 64
                batch.place, batch.lines = self._reader.place, self._reader.beyond
                if route is not None and route.config is not None:
                    batch.messages.extend(self._writer(route.since, route.config).write(line))
            if batch.size:
                return batch
            # At the end of everything: as little as can be is read again.
            self._advance(self._reader.place, self._reader.beyond)
            return None

    def _one(self) -> tuple[Line, Route | None] | None:
        assert self._reader is not None
        assert self._lines is not None
        try:
            for line in self._lines:
                if self._skip:
                    self._skip -= 1
                    continue
                return line, self._loaded().route(self._reader.reached.run)
        except BaseException:
            self._lines = None
            raise
        self._lines = None
        return None

    def _writer(self, since: int, config: LogConfig) -> Writer:
        if since not in self._writers:
            self._writers[since] = (
                JournalWriter(config)
                if config.driver is LogDriver.JOURNALD
                else SyslogWriter(
                    config.syslog, tag=config.tag, host=socket.gethostname(), pid=os.getpid()
                )
            )
        return self._writers[since]

    # ── sending ──────────────────────────────────────────────────────────────────────────

    async def _deliver(self, batch: _Batch) -> None:
        config = batch.route.config if batch.route else None
        if config is not None and batch.messages:
            self._aim(self._targets.find(config))
            assert self._target is not None
            await self._target.send(batch.messages)
        with self._lock:
            self._pace.sent(batch.size, time.monotonic())
            self._advance(batch.place, batch.lines)
        if time.monotonic() - self._saved >= SAVE:
            await in_thread(self._save)

    def _aim(self, target: Target) -> None:
        if target is self._target:
            return
        if self._target is not None:
            self._target.unwatch(self._on_trouble)
        self._target = target
        target.watch(self._on_trouble)
        if target.trouble:
            self._on_trouble()

    def _on_trouble(self) -> None:
        assert self._target is not None
        trouble = self._target.trouble
        self._tell(
            self.folder,
            Waiting(target=self._target.name, cause=trouble.cause if trouble else ""),
        )

    # ── what is written down ─────────────────────────────────────────────────────────────

    def _loaded(self) -> Progress:
        if self._progress is None:
            found = load_progress(self.folder)
            if found is None:
                found = Progress(place=Place(NEVER, 0, 0))
            for run, number, size in found.gone:
                same = (run, number) == found.place[:2]
                if (run, number) >= found.place[:2]:
                    self._miss(size - found.place.offset if same else size)
            self._progress = replace(found, gone=(), unsent=found.unsent + self._unsent)
        while self._wanted:
            route = self._wanted.popleft()
            routes = routed(self._progress.routes, route)
            if self._progress.place.run == NEVER:
                self._progress = replace(self._progress, place=Place(route.since, 0, 0))
            self._progress = replace(self._progress, routes=routes)
            self._dirty = True
        return self._progress

    def _advance(self, place: Place, lines: int) -> None:
        before = self._loaded()
        if (place, lines) != (before.place, before.lines):
            gone = tuple(one for one in before.gone if one[:2] >= place[:2])
            self._progress = replace(before, place=place, lines=lines, gone=gone)
            self._dirty = True

    def _miss(self, size: int) -> None:
        if not self._unsent:
            self._since = time.time_ns()
        self._unsent += size
        self._pace.unsent(size)
        if self._progress is not None:
            self._progress = replace(self._progress, unsent=self._progress.unsent + size)

    def _save(self) -> None:
        with self._lock:
            self._save_now()

    def _save_now(self) -> None:
        self._saved = time.monotonic()
        # Another log may be in its place by now.
        if self._abandoned or not self._dirty or self._progress is None:
            return
        try:
            save_progress(self.folder, self._progress)
        except OSError:
            # A full disk: then lines come twice should this process end before there is room.
            return
        self._dirty = False


def _size_of(segment: Segment) -> int:
    """Return how long a file is, or was before it was compressed."""
    if not segment.packed:
        return segment.size
    try:
        source = FileSource(segment)
    except FileNotFoundError:
        return 0
    try:
        return source.size
    finally:
        source.close()
