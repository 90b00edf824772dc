"""How much of the processor goes into sending lines on: containers are to notice nothing of it."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from runtime.files import in_thread

SHARE = 4
"""Of so many seconds, one of a processor is spent on lines, as long as there are more."""
FLOODED = 12
"""The same of logs that are written so fast that hardly any of it can be sent either way."""
BESIDE = 2
"""What lines cost over again that was spent on reading them: they are sent, too."""
WINDOW = 10.0
"""Seconds over which it is judged what goes unsent."""
HOPELESS = 4
"""So many times as much goes unsent as could be sent, where more effort is wasted."""
T = TypeVar("T")


class Pace:
    """Judges whether a log can be kept up with. Tell it what was sent, and what went unsent."""

    def __init__(self) -> None:
        """Hope for the best."""
        self.is_hopeless = False
        self._sent = self._unsent = 0
        self._since: float | None = None

    def unsent(self, size: int) -> None:
        """So many bytes were removed before they could be sent."""
        self._unsent += size

    def sent(self, size: int, now: float) -> None:
        """So many bytes were sent, up to a moment of the monotonic clock."""
        if self._since is None:
            self._since = now
        self._sent += size
        if now - self._since < WINDOW:
            return
        could = self._sent * (FLOODED // SHARE if self.is_hopeless else 1)
        self.is_hopeless = self._unsent > HOPELESS * could
        self._sent = self._unsent = 0
        self._since = now


class Turns:
    """Has one log read at a time, and never for long."""

    def __init__(self) -> None:
        """Let the first one read at once."""
        self._lock, self._slow = asyncio.Lock(), asyncio.Lock()
        self._free = self._slow_free = 0.0

    async def take(self, read: Callable[[], T], *, hopeless: bool = False) -> T:
        """Return what ``read``, which blocks, returns beside the event loop.

        All logs that are ``hopeless`` together get the smaller share.
        """
        if not hopeless:
            found, _ = await self._take(read)
            return found
        async with self._slow:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(self._slow_free - loop.time())
            found, spent = await self._take(read)
            self._slow_free = loop.time() + spent * BESIDE * (FLOODED - 1)
            return found

    async def _take(self, read: Callable[[], T]) -> tuple[T, float]:
        async with self._lock:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(self._free - loop.time())
            found, spent = await in_thread(_spending, read)
            self._free = loop.time() + spent * BESIDE * (SHARE - 1)
            return found, spent


def _spending(read: Callable[[], T]) -> tuple[T, float]:
    began = time.thread_time()
    found = read()
    return found, time.thread_time() - began
