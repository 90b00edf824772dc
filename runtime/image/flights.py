"""Work that several want at once and that is done once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from runtime.drivers import OnProgress
from runtime.types import PullProgress

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    listeners: list[OnProgress] = field(default_factory=list)
    waiting: int = 0
    task: "asyncio.Future[T] | None" = None

    def tell(self, step: PullProgress) -> None:
        for listener in self.listeners:
            listener(step)


class Flights(Generic[T]):
    """Whoever asks for what is under way joins it; it ends when nobody waits any more."""

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self._flights: dict[str, _Flight[T]] = {}
        self._tasks: set[asyncio.Future[T]] = set()

    async def share(
        self, key: str, work: Callable[[OnProgress], Awaitable[T]], listener: OnProgress | None
    ) -> T:
        """Return what ``work`` returns, begun by the first who asks for ``key``."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            flight.task = asyncio.ensure_future(work(flight.tell))
            self._tasks.add(flight.task)
            flight.task.add_done_callback(lambda task: self._landed(key, flight, task))
        assert flight.task is not None
        if listener is not None:
            flight.listeners.append(listener)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if listener is not None:
                flight.listeners.remove(listener)
            if not flight.waiting and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    async def close(self) -> None:
        """End everything and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _landed(self, key: str, flight: _Flight[T], task: "asyncio.Future[T]") -> None:
        self._tasks.discard(task)
        self._forget(key, flight)
        if not task.cancelled():
            task.exception()  # nobody may be left to see it

    def _forget(self, key: str, flight: _Flight[T]) -> None:
        # Another one may have begun under the same key meanwhile.
        if self._flights.get(key) is flight:
            del self._flights[key]


class Turns:
    """One at a time for each key."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait until nobody else has ``key``, and have it while the context lasts."""
        lock, users = self._locks.setdefault(key, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                self._locks.pop(key, None)
