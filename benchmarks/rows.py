"""What is measured: one function a group of rows, each returning its figures for one round."""

import os
import select
import signal
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from benchmarks.measures import memory, processor_time
from benchmarks.stacks import INTERVAL, RETRIES, WELL


class Side(Protocol):
    """One program under measurement, able to run a stack of ``count`` sleeping services."""

    name: str

    def up(self, count: int) -> None:
        """Bring the stack up detached, or find it up already."""

    def down(self, count: int) -> None:
        """Take it away, killing at once."""

    def process(self, count: int, number: int) -> int:
        """Return the host's id of a service's process; 0 while there is none."""

    def revive(self, number: int) -> None:
        """Bring a killed process back, where nobody else does."""

    def prepare_pull(self) -> None:
        """Have the large image ready to be pulled."""

    def pull(self) -> None:
        """Bring the large image here, and unpack it."""

    def forget(self) -> None:
        """Remove it with everything of it."""

    def close(self) -> None:
        """Leave nothing behind."""


@runtime_checkable
class Manager(Side, Protocol):
    """A side that knows afterwards what it runs."""

    def ps(self, count: int) -> None:
        """List it."""

    def machinery(self) -> tuple[int, list[int]]:
        """Return the daemon, and everything that runs besides the containers' processes."""


@runtime_checkable
class Healer(Side, Protocol):
    """A side that restarts what is unhealthy."""

    def begin_checked(self) -> None:
        """Have a service with a healthcheck run, and be well."""

    def checked(self) -> int:
        """Return the host's id of its process; 0 while there is none."""

    def end_checked(self) -> None:
        """Take it away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a row must reach: so many times faster than Docker, and within absolute limits."""

    docker: float | None = None
    floor: float | None = None
    """At most so many times the floor."""
    at_most: float | None = None


Row = Callable[[Side], Mapping[str, float]]
FIFTY = 50
KILLED = 5
REST = 10.0
"""Seconds to watch a stack that is left alone."""


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
        found: dict[str, float] = {}
        if isinstance(side, Manager):
            found[f"up -d again, {FIFTY}"] = timed(lambda: side.up(FIFTY))
            found[f"ps, {FIFTY}"] = timed(lambda: side.ps(FIFTY))
        found["killed process running again"] = statistics.median(
            killed(side, number) for number in range(KILLED)
        )
        return found
    finally:
        side.down(FIFTY)


def killed(side: Side, number: int) -> float:
    """Return the seconds from the kill of a process to its successor."""
    before = side.process(FIFTY, number)
    watch = os.pidfd_open(before)
    start = time.perf_counter()
    os.kill(before, signal.SIGKILL)
    select.select([watch], [], [])
    os.close(watch)
    side.revive(number)
    while True:
        after = side.process(FIFTY, number)
        if after not in (0, before):
            return time.perf_counter() - start
        # Looking costs the very processors that are measured.
        time.sleep(0.001)


def ill(side: Side) -> Mapping[str, float]:
    """Measure how long a service is unhealthy before a process that is well takes its place."""
    if not isinstance(side, Healer):
        return {}
    side.begin_checked()
    try:
        before = side.checked()
        start = time.perf_counter()
        Path(f"/proc/{before}/root/{WELL}").unlink()
        while side.checked() in (0, before):
            time.sleep(0.005)
        return {"unhealthy, replaced": time.perf_counter() - start}
    finally:
        side.end_checked()


def pull(side: Side) -> Mapping[str, float]:
    """Measure a large image's way from a registry on this machine."""
    side.prepare_pull()
    # What the row before wrote is not this one's to wait for.
    os.sync()
    found = {"pull, 10 layers": timed(side.pull)}
    side.forget()
    return found


def rest(side: Side) -> Mapping[str, float]:
    """Measure what fifty services that are left alone cost."""
    if not isinstance(side, Manager):
        return {}
    side.up(FIFTY)
    try:
        daemon, everything = side.machinery()
        # Whatever the start still has to finish belongs to the start.
        time.sleep(REST / 2)
        before, start = processor_time(everything), time.perf_counter()
        time.sleep(REST * 2)
        used = processor_time(everything) - before
        return {
            f"memory of the daemon, {FIFTY}": memory([daemon]),
            f"memory of the machinery, {FIFTY}": memory(everything),
            f"CPU at rest, {FIFTY}": used / (time.perf_counter() - start) * 100,
        }
    finally:
        side.down(FIFTY)


TARGETS = {
    "up -d, 1": Target(docker=5),
    "up -d, 10": Target(docker=8),
    "up -d, 50": Target(docker=10, floor=1.3),
    "up -d, 200": Target(docker=10),
    "up -d again, 50": Target(docker=1),
    "ps, 50": Target(docker=1),
    "down, 50": Target(docker=10),
    "killed process running again": Target(at_most=0.05),
    # Docker leaves it as it is.
    "unhealthy, replaced": Target(at_most=INTERVAL * RETRIES + 1),
    "pull, 10 layers": Target(docker=1.5),
    "memory of the daemon, 50": Target(at_most=80),
    "memory of the machinery, 50": Target(at_most=150),
    "CPU at rest, 50": Target(at_most=0.2),
}

UNITS = {"memory of the daemon, 50": "MB", "memory of the machinery, 50": "MB"}
UNITS["CPU at rest, 50"] = "%"
"""Of rows that are not seconds; memory is PSS, processor time is of one core."""

ROWS: Mapping[str, Row] = {
    "1": up_and_down(1),
    "10": up_and_down(10),
    "50": up_and_down(50),
    "200": up_and_down(200),
    "steady": steady,
    "ill": ill,
    "rest": rest,
    "pull": pull,
}
