"""Past-tense facts, told to whoever listens, without ever waiting for a listener.

Each subscriber has a bounded buffer. One that falls behind loses facts, never the present:
a stream opens with the state and sends it again after every pass, so losing one in between
costs nothing but detail.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BUFFER = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact: ``name`` is dotted and past tense.

    ``subject`` is what it happened to: a replica, a network, a volume, an image, or empty for
    the stack as a whole.
    """

    stack: str
    name: str
    subject: str = ""
    reason: str = ""
    at_wall: float = field(default_factory=time.time)


@dataclass(slots=True)
class EventBus:
    """Hands events to subscribers of a stack; ``None`` in a queue says only: look again."""

    _listeners: list[Callable[[Event], None]] = field(default_factory=list)
    _subscribers: dict[str, set[asyncio.Queue[Event | None]]] = field(
        default_factory=lambda: defaultdict(set)
    )

    def publish(self, event: Event) -> None:
        """Tell every listener, and every subscriber of the event's stack."""
        for listener in self._listeners:
            listener(event)
        self._put(event.stack, event)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Have ``listener`` called with every event of every stack; it must not wait."""
        self._listeners.append(listener)

    def changed(self, stack: str) -> None:
        """Tell every subscriber that a pass over ``stack`` has ended."""
        self._put(stack, None)

    @contextmanager
    def subscribe(self, stack: str) -> Iterator[asyncio.Queue[Event | None]]:
        """Listen while the context lasts."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(BUFFER)
        self._subscribers[stack].add(queue)
        try:
            yield queue
        finally:
            self._subscribers[stack].discard(queue)
            if not self._subscribers[stack]:
                del self._subscribers[stack]

    def _put(self, stack: str, item: Event | None) -> None:
        for queue in self._subscribers.get(stack, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(item)
