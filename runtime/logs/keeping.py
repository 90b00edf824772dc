"""Keeps the logs of running containers within their bounds, and counts what they lose.

Woken by the first write after a look, never by every one: what a log costs here does not grow
with how fast it is written. Should the daemon die at any point, the next one goes on from what
is on disk.
"""

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runtime.files import in_thread, read_json, write_atomic
from runtime.logs import turning
from runtime.logs.changes import Changes
from runtime.logs.floods import Flood, Floods
from runtime.logs.folder import Segment, current, end_run, keep_name, list_segments, make_spare
from runtime.logs.forwarding import Forwarding
from runtime.logs.ledger import SLACK, Checkpoint, find_missing, take_checkpoint
from runtime.logs.losses import Loss, note_loss
from runtime.logs.records import NANO
from runtime.logs.targets import LocalSockets
from runtime.types import LogConfig

SLOW, FAST = 0.5, 0.05
"""Seconds between a write and the look at it: at most, and where there is little room left."""
SETTLED = 3.0
"""Seconds after which a log that was turned over is compressed, if it was not again."""
REST = 15
"""Of so many seconds, one is spent compressing."""
SHARE = 4
"""Of a cap's bytes, one in so many may be in files that are still written to."""
SMALLEST = 64 * 1024
CAP_PAUSE = 2.0
"""Seconds between two counts of everything below folders with caps."""
LONGEST = 30 * NANO
"""Nanoseconds a small difference is waited for to go away."""

OnLoss = Callable[[Path, Loss], None]
OnFlood = Callable[[Path, Flood], None]


@dataclass(slots=True, kw_only=True)
class KeptLog:
    """The log of one running container. ``control`` is its monitor's fifo."""

    folder: Path
    run: int
    config: LogConfig
    control: Path
    monitor: int | None
    notes: Path
    """Where the last checkpoint is written down."""
    number: int = 0
    inode: int = 0
    size: int = 0
    looked: float = field(default_factory=time.monotonic)
    turned: float = 0.0
    checkpoint: Checkpoint | None = None
    doubted: Checkpoint | None = None
    """Since the checkpoint something was missing then that might only have been on its way."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class LogKeeper:
    """The logs of everything that runs. Run it, and tell it what begins and ends."""

    def __init__(self, local: LocalSockets | None = None) -> None:
        """Keep nothing yet. ``local`` says where the host listens for lines that are sent on."""
        self.changes = Changes()
        """To be told that there is more to read."""
        self.forwarding = Forwarding(self.changes, local or LocalSockets())
        """What sends lines on."""
        self._logs: dict[str, KeptLog] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._caps: dict[Path, int] = {}
        self._to_count: set[Path] = set()
        self._grown = asyncio.Event()
        self._to_pack: asyncio.Queue[KeptLog] = asyncio.Queue()
        self._packing: dict[Path, asyncio.TimerHandle] = {}
        self._callbacks: list[OnLoss] = []
        self._floods = Floods()
        self._flood_callbacks: list[OnFlood] = []

    def begin(self, container: str, log: KeptLog) -> None:
        """Keep the log of a container that runs."""
        self._logs[container] = log
        self.forwarding.begin(log.folder, log.run, log.config)
        if self._group is not None:
            self._start(container, log)

    async def end(self, container: str) -> None:
        """Settle the log of a container that has ended; its monitor is not collected yet."""
        log = self._logs.pop(container, None)
        task = self._tasks.pop(container, None)
        if task is not None:
            task.cancel()
        if log is not None:
            self._told(log, await in_thread(_settle, log))
            self.forwarding.end(log.folder)
            await self._tidy(log)
            self._tell_floods(log.folder)

    def cap(self, folder: Path, size: int | None) -> None:
        """Let the logs below ``folder`` take no more than ``size`` together."""
        if size is None:
            self._caps.pop(folder, None)
        else:
            self._caps[folder] = size

    def on_loss(self, callback: OnLoss) -> None:
        """Have ``callback`` called with the folder of a log and what of it was lost."""
        self._callbacks.append(callback)

    def on_flood(self, callback: OnFlood) -> None:
        """Have ``callback`` called with the folder of a log whose files go too soon."""
        self._flood_callbacks.append(callback)

    async def run(self) -> None:
        """Keep logs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.changes.run(), name="log changes")
            group.create_task(self._pack(), name="log packing")
            group.create_task(self._count(), name="log caps")
            group.create_task(self.forwarding.run(), name="log forwarding")
            self._group = group
            for container, log in self._logs.items():
                self._start(container, log)
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None
                for handle in self._packing.values():
                    handle.cancel()

    # ── one log ──────────────────────────────────────────────────────────────────────────

    def _start(self, container: str, log: KeptLog) -> None:
        assert self._group is not None
        task = self._group.create_task(self._keep(log), name=f"log of {container}")
        self._tasks[container] = task

    async def _keep(self, log: KeptLog) -> None:
        woken = asyncio.Event()
        try:
            while True:
                woken.clear()
                self.changes.ask(log.folder, woken)
                turned, loss = await in_thread(_look, log, self._limit(log))
                self._told(log, loss)
                if turned:
                    await self._tidy(log)
                if log.doubted is None:
                    await woken.wait()
                await asyncio.sleep(self._pause(log))
        finally:
            self.changes.forget(woken)

    def _limit(self, log: KeptLog) -> int:
        limit = turning.segment_limit(log.config)
        for folder, cap in self._caps.items():
            if folder in log.folder.parents:
                count = sum(1 for one in self._logs.values() if folder in one.folder.parents)
                limit = min(limit, max(cap // SHARE // max(count, 1), SMALLEST))
        return limit

    def _pause(self, log: KeptLog) -> float:
        """Return when to look again at a log that is written to."""
        passed = max(time.monotonic() - log.looked, 0.001)
        try:
            size = os.stat(current(log.folder, log.run), follow_symlinks=False).st_size
        except OSError:
            return SLOW
        rate = max(size - log.size, 0) / passed
        room = max(self._limit(log) - size, 0)
        return min(max(room / rate / 2, FAST), SLOW) if rate else SLOW

    def _told(self, log: KeptLog, loss: Loss | None) -> None:
        if loss is not None:
            for callback in self._callbacks:
                callback(log.folder, loss)

    async def _tidy(self, log: KeptLog) -> None:
        # A disk that takes no change: what is too much stays, and whoever waits goes on.
        with contextlib.suppress(OSError):
            await self._drop(log)
        if log.config.compress:
            # Who is turned over again before that is flooded: its files go before they would
            # be of use compressed.
            if (planned := self._packing.pop(log.folder, None)) is not None:
                planned.cancel()
            loop = asyncio.get_running_loop()
            self._packing[log.folder] = loop.call_later(SETTLED, self._to_pack.put_nowait, log)

    async def _drop(self, log: KeptLog) -> None:
        before = self._before(log.folder)
        await in_thread(
            turning.drop_old, log.folder, log.config, before=before, remove=self._remove
        )
        self._to_count.update(folder for folder in self._caps if folder in log.folder.parents)
        if self._to_count:
            self._grown.set()
        self.forwarding.tell_unsent()
        self._tell_floods()

    def _tell_floods(self, ended: Path | None = None) -> None:
        for folder, flood in self._floods.due(time.monotonic(), ended=ended):
            for callback in self._flood_callbacks:
                callback(folder, flood)

    def _before(self, folder: Path) -> turning.Place:
        """Return the file of a log from which on none may go yet."""
        for log in self._logs.values():
            if log.folder == folder:
                # What has not been reckoned with would be missed.
                reckoned = log.checkpoint.number if log.checkpoint else log.number
                return log.run, min(log.number, reckoned)
        return turning.NEVER

    async def _count(self) -> None:
        """Keep what is below a folder with a cap within it, however often its logs turn over."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            while self._to_count:
                folder = self._to_count.pop()
                if (cap := self._caps.get(folder)) is None:
                    continue
                with contextlib.suppress(OSError):
                    await in_thread(self._drop_over_cap, folder, cap)
            self.forwarding.tell_unsent()
            self._tell_floods()
            await asyncio.sleep(CAP_PAUSE)

    def _drop_over_cap(self, folder: Path, cap: int) -> None:
        before = {log.folder: self._before(log.folder) for log in [*self._logs.values()]}
        turning.drop_over_cap(folder.glob("*/*"), cap - cap // SHARE, before, remove=self._remove)

    def _remove(self, segment: Segment) -> None:
        self._floods.note(segment)
        self.forwarding.remove(segment, turning.remove)

    async def _pack(self) -> None:
        """Compress what was turned over, one file at a time, and never for long."""
        while True:
            log = await self._to_pack.get()
            self._packing.pop(log.folder, None)
            before = self._before(log.folder)
            with contextlib.suppress(OSError):
                for segment in await in_thread(turning.to_pack, log.folder, before=before):
                    await self._pack_one(segment)

    async def _pack_one(self, segment: Segment) -> None:
        steps = turning.pack(segment)
        try:
            while True:
                began = time.monotonic()
                if not await in_thread(_step, steps):
                    return
                await asyncio.sleep((time.monotonic() - began) * REST)
        except OSError:
            # A full disk: it stays as it is, and is kept within its bounds all the same.
            return
        finally:
            steps.close()


def _step(steps: Iterator[None]) -> bool:
    """Take one step; return whether there was one."""
    return next(steps, True) is None


def _look(log: KeptLog, limit: int) -> tuple[bool, Loss | None]:
    """Turn a log over if it is time; return whether it was, and what it lost since the last look.

    A disk that is full at the wrong moment leaves everything as it is: the next look is soon.
    """
    with log.lock:
        try:
            facts = os.stat(current(log.folder, log.run), follow_symlinks=False)
            away = log.inode not in (0, facts.st_ino)
            if log.inode != facts.st_ino:
                # It took another file by itself.
                keep_name(log.folder, log.run)
                make_spare(log.folder, log.run)
            turned = False
            if facts.st_size >= limit:
                turned = turning.turn_over(log.folder, log.run, log.control)
                facts = os.stat(current(log.folder, log.run), follow_symlinks=False)
            newest = keep_name(log.folder, log.run)
            log.number = newest.number if newest else log.number
            # Only then: files that are reckoned with may go.
            loss = _reckon(log, away=away)
            if turned:
                _write_down(log)
            log.inode, log.size, log.looked = facts.st_ino, facts.st_size, time.monotonic()
        except OSError:
            return False, None
    return turned, loss


def _settle(log: KeptLog) -> Loss | None:
    with log.lock:
        try:
            keep_name(log.folder, log.run)
            loss = _reckon(log, away=False, ended=True)
            end_run(log.folder, log.run)
            log.notes.unlink(missing_ok=True)
        except OSError:
            return None
    return loss


def _reckon(log: KeptLog, *, away: bool, ended: bool = False) -> Loss | None:
    def list_run() -> tuple[Segment, ...]:
        return tuple(one for one in list_segments(log.folder) if one.run == log.run)

    taken = take_checkpoint(log.monitor, list_run)
    before = log.checkpoint
    if before is None:
        before = _written_down(log)
        away = True
    if taken is None:
        return None
    now, segments = taken
    loss = None
    if before is not None:
        missing, why = find_missing(before, now, segments, away=away, ended=ended)
        still = log.doubted is not None and now.rested and log.doubted.read == now.read
        log.doubted = None
        if missing and missing <= SLACK and not (still or ended) and now.at - before.at < LONGEST:
            # It may be on its way still; if not, the difference stays, and grows.
            log.doubted = now
            return None
        if missing:
            loss = Loss(since=before.at, at=now.at, size=missing, why=why)
            note_loss(log.folder, loss)
    log.checkpoint = now
    if before is None or loss is not None:
        _write_down(log)
    return loss


def _write_down(log: KeptLog) -> None:
    if log.checkpoint is not None:
        document = {"run": log.run, "monitor": log.monitor, **asdict(log.checkpoint)}
        write_atomic(log.notes, json.dumps(document).encode())


def _written_down(log: KeptLog) -> Checkpoint | None:
    found = read_json(log.notes)
    if found is None or (found.pop("run", None), found.pop("monitor", None)) != (
        log.run,
        log.monitor,
    ):
        return None
    try:
        return Checkpoint(**found)  # type: ignore[arg-type]
    except TypeError:
        return None
