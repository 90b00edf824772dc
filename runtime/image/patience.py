"""How long a registry's troubles are put up with, and what is tried again meanwhile."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from runtime.errors import DriverError, UnavailableError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a registry's troubles are put up with, in seconds."""

    attempts: int = 6
    """Tries in a row that bring nothing."""
    first_pause: float = 0.25
    longest_pause: float = 30.0
    connect: float = 30.0
    stall: float = 30.0
    """Within so long a transfer must bring ``least`` bytes, or it counts as broken."""
    least: int = 16 * 1024
    document: float = 120.0
    """For one document, however it trickles in."""
    total: float = 4 * 3600.0
    """For all of one pull or push."""

    def pause(self, subject: str, attempt: int, asked: float | None = None) -> float:
        """Return how long to wait after ``attempt`` failed tries.

        Doubled each time and spread by a quarter, not by chance but by ``subject``: many pulls
        do not come back at one moment, and one pull does the same each time.
        """
        if asked is not None:
            return min(max(asked, 0.0), self.longest_pause)
        whole: float = min(self.first_pause * 2.0 ** (attempt - 1), self.longest_pause)
        seed = hashlib.sha256(f"{subject} {attempt}".encode()).digest()
        return whole * (0.75 + 0.5 * int.from_bytes(seed[:4], "big") / 2**32)


class RetryError(Exception):
    """The same request may succeed later; ``after`` is what the registry asked for."""

    def __init__(self, cause: str, after: float | None = None) -> None:
        super().__init__(cause)
        self.after = after


class Pace:
    """Tells a transfer that trickles from one that flows."""

    def __init__(self, limits: Limits) -> None:
        """Begin now."""
        self._limits = limits
        self._since = time.monotonic()
        self._count = 0

    def note(self, count: int) -> None:
        """Count bytes that came. Raises RetryError when they come too slowly."""
        self._count += count
        now = time.monotonic()
        if now - self._since < self._limits.stall:
            return
        if self._count < self._limits.least:
            raise RetryError(f"only {self._count} bytes in {self._limits.stall:.0f} seconds")
        self._since, self._count = now, 0


async def retrying(
    limits: Limits, verb: str, subject: str, attempt_once: Callable[[], Awaitable[T]]
) -> T:
    """Return what ``attempt_once()`` returns, trying again after what may pass."""
    last: Exception | None = None
    for attempt in range(1, limits.attempts + 1):
        try:
            async with asyncio.timeout(limits.document):
                return await attempt_once()
        except RetryError as error:
            last, after = error, error.after
        except aiohttp.ClientError as error:
            last, after = error, None
        except TimeoutError:
            last, after = TimeoutError("no whole answer in time"), None
        if attempt < limits.attempts:
            await asyncio.sleep(limits.pause(subject, attempt, after))
    raise gave_up(verb, subject, last)


def gave_up(verb: str, subject: str, last: Exception | None) -> DriverError:
    """Return the error for a registry whose troubles did not pass."""
    cause = str(last) or type(last).__name__
    return UnavailableError(
        verb, subject, cause, hint="`pyorch image load ARCHIVE` needs no registry"
    )
