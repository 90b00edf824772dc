"""What is measured: one function a row, each returning seconds for one round."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Protocol


class Side(Protocol):
    """One program under measurement, able to run a stack of ``count`` sleeping services."""

    name: str

    def up(self, count: int) -> None:
        """Bring the stack up detached, or find it up already."""

    def ps(self, count: int) -> None:
        """List it."""

    def down(self, count: int) -> None:
        """Take it away, killing at once."""

    def process(self, count: int) -> int:
        """Return the host's id of one service's process."""

    def close(self) -> None:
        """Leave nothing behind."""


Row = Callable[[Side], Mapping[str, float]]
FIFTY = 50


def timed(act: Callable[[], object]) -> float:
    """Return how many seconds ``act`` takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def up_and_down(count: int) -> Row:
    """Return a row that brings up ``count`` services and takes them down again."""

    def row(side: Side) -> Mapping[str, float]:
        found = {f"up -d, {count}": timed(lambda: side.up(count))}
        found[f"down, {count}"] = timed(lambda: side.down(count))
        return found

    return row


def steady(side: Side) -> Mapping[str, float]:
    """Measure what is done to fifty services that run already."""
    side.up(FIFTY)
    try:
        return {
            f"up -d again, {FIFTY}": timed(lambda: side.up(FIFTY)),
            f"ps, {FIFTY}": timed(lambda: side.ps(FIFTY)),
            "killed process running again": killed(side),
        }
    finally:
        side.down(FIFTY)


def killed(side: Side) -> float:
    """Return the seconds from the kill of a process to its successor."""
    before = side.process(FIFTY)
    start = time.perf_counter()
    os.kill(before, signal.SIGKILL)
    while True:
        after = side.process(FIFTY)
        if after not in (0, before):
            return time.perf_counter() - start


TARGETS = {
    "up -d, 1": ("docker", 5.0),
    "up -d, 10": ("docker", 8.0),
    "up -d, 50": ("docker", 10.0),
    "up -d, 200": ("docker", 10.0),
    "up -d again, 50": ("docker", 1.0),
    "ps, 50": ("docker", 1.0),
    "down, 50": ("docker", 10.0),
    "killed process running again": ("seconds", 0.05),
}
"""How many times faster than docker compose a row must be, or how many seconds it may take."""

ROWS: Mapping[str, Row] = {
    "1": up_and_down(1),
    "10": up_and_down(10),
    "50": up_and_down(50),
    "200": up_and_down(200),
    "steady": steady,
}
