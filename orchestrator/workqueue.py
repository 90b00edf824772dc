"""A queue of keys: which stack to look at, never what happened to it.

One entry a key however often it is added, one worker a key at a time, different keys
overlap. A key added while it is worked on is worked on once more afterwards, so no
wake-up is ever lost and none is ever counted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Work = Callable[[str], Awaitable[float | None]]
"""Work on a key; the answer is the pause in seconds before it is looked at again, if any."""


@dataclass(slots=True)
class WorkQueue:
    """Runs ``work`` for every key added, until cancelled."""

    work: Work
    _ready: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _waiting: set[str] = field(default_factory=set)
    _busy: set[str] = field(default_factory=set)
    _again: set[str] = field(default_factory=set)
    _timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)

    def add(self, key: str) -> None:
        """Have ``key`` looked at as soon as possible."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: str, pause: float) -> None:
        """Have ``key`` looked at in ``pause`` seconds, or earlier if that was asked for."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(pause, 0.0)
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    async def run(self) -> None:
        """Own the loop: one task a busy key. Ends when cancelled, after its tasks."""
        async with asyncio.TaskGroup() as group:
            while True:
                key = await self._ready.get()
                self._waiting.discard(key)
                self._busy.add(key)
                group.create_task(self._work_on(key), name=f"pass {key}")

    def _fire(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _work_on(self, key: str) -> None:
        try:
            pause = await self.work(key)
        finally:
            self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif pause is not None:
            self.add_after(key, pause)
