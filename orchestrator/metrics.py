"""Figures for Prometheus, put together when somebody asks for them and at no other time.

Names and labels are promises: ``docs/watching.md`` lists them.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.service import Orchestrator
from orchestrator.tally import Tally
from orchestrator.views import ReplicaView, StackView
from runtime.types import ContainerId, Usage
from scheduler.ids import ReplicaId, ServiceName, StackName, container_name

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STACK = ("stack",)
REPLICA = ("stack", "service", "replica")

USAGES: tuple[tuple[str, str, bool, Callable[[Usage], float | None]], ...] = (
    ("cpu_seconds", "Seconds of a processor it has used in this run.", True, lambda one: one.cpu),
    ("memory_bytes", "Memory it uses, files it has read included.", False, lambda one: one.memory),
    (
        "memory_cache_bytes",
        "What of that is given back before anything runs out.",
        False,
        lambda one: one.cache,
    ),
    ("pids", "Processes and threads it has.", False, lambda one: one.pids),
    ("read_bytes", "Bytes it has read from block devices in this run.", True, lambda one: one.read),
    (
        "written_bytes",
        "Bytes it has written to block devices in this run.",
        True,
        lambda one: one.written,
    ),
    (
        "oom_kills",
        "Processes of it the kernel has ended for want of memory in this run.",
        True,
        lambda one: one.oom_kills,
    ),
)
"""Name, meaning, whether it only ever grows, and where it is in what a driver reports."""
HEALTHS = ("none", "starting", "healthy", "unhealthy", "unready")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything figures are made of, as it was at one moment."""

    stacks: tuple[StackView, ...]
    usages: Mapping[ContainerId, Usage]
    limits: Mapping[ContainerId, int | None]
    """Bytes of memory each container may have, where there is a limit."""
    tally: Tally
    disk_size: int
    disk_free: int


async def look(orchestrator: Orchestrator) -> Look:
    """Ask everybody once."""
    stacks, usages, containers = await asyncio.gather(
        orchestrator.stacks(),
        orchestrator.drivers.containers.usage(),
        orchestrator.drivers.containers.list(),
    )
    disk = os.statvfs(orchestrator.settings.data)
    return Look(
        stacks=stacks,
        usages=usages,
        limits={facts.id: facts.limits.memory for facts in containers},
        # It is written out in a thread, while passes go on.
        tally=deepcopy(orchestrator.tally),
        disk_size=disk.f_blocks * disk.f_frsize,
        disk_free=disk.f_bavail * disk.f_frsize,
    )


def write(found: Look) -> bytes:
    """Return the figures in the text format of Prometheus."""
    # Takes a megabyte, and only where somebody asks.
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Figures(found))  # type: ignore[arg-type,unused-ignore]
    return generate_latest(registry)


@dataclass(frozen=True, slots=True, eq=False)
class _Figures:
    """What the library asks for figures."""

    found: Look

    def collect(self) -> "Iterator[Metric]":
        yield from _daemon(self.found)
        yield from _stacks(self.found)
        yield from _replicas(self.found)


def _daemon(found: Look) -> "Iterator[Metric]":
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
    )

    yield InfoMetricFamily("pyorch", "The daemon.", value={"version": __version__})
    passes = "How long passes over a stack took, from the look at the host to the last step."
    yield HistogramMetricFamily(
        "pyorch_pass_seconds",
        passes,
        buckets=[*found.tally.up_to()],
        sum_value=found.tally.took,
    )
    facts = CounterMetricFamily(
        "pyorch_events", "Facts told since the daemon began, by name.", labels=("event",)
    )
    for name, count in sorted(found.tally.facts.items()):
        facts.add_metric((name,), count)
    yield facts
    size = "Bytes of the filesystem pyorch's data is on."
    yield GaugeMetricFamily("pyorch_data_size_bytes", size, value=found.disk_size)
    free = "Bytes of it that are free."
    yield GaugeMetricFamily("pyorch_data_free_bytes", free, value=found.disk_free)


def _stacks(found: Look) -> "Iterator[Metric]":
    from prometheus_client.metrics_core import GaugeMetricFamily

    settled = GaugeMetricFamily(
        "pyorch_stack_settled", "1 where a stack is as its file says.", labels=STACK
    )
    failed = GaugeMetricFamily(
        "pyorch_stack_failed", "1 where it will not become so by itself.", labels=STACK
    )
    generation = GaugeMetricFamily(
        "pyorch_stack_generation", "Number of what is wanted now.", labels=STACK
    )
    for stack in found.stacks:
        settled.add_metric((stack.name,), int(stack.settled))
        failed.add_metric((stack.name,), int(bool(stack.failure)))
        generation.add_metric((stack.name,), stack.generation)
    yield from (settled, failed, generation)


def _replicas(found: Look) -> "Iterator[Metric]":
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    def gauge(name: str, meaning: str, *more: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"pyorch_container_{name}", meaning, labels=(*REPLICA, *more))

    def counter(name: str, meaning: str) -> CounterMetricFamily:
        return CounterMetricFamily(f"pyorch_container_{name}", meaning, labels=REPLICA)

    running = gauge("running", "1 while it runs.")
    started = gauge("start_time_seconds", "When this run began, in seconds since 1970.")
    restarts = counter("restarts", "Restarts since its slot was first filled.")
    looping = gauge("crash_loop", "1 while it ends and is started again and again.")
    given_up = gauge("given_up", "1 where it is not restarted any more.")
    health = gauge("health", "1 for what it is at present, 0 for the others.", "health")
    limit = gauge("memory_limit_bytes", "Memory it may have, where there is a limit.")
    used: list[Any] = [
        counter(name, meaning) if grows else gauge(name, meaning)
        for name, meaning, grows, _ in USAGES
    ]
    for stack in found.stacks:
        for one in stack.replicas:
            whose = (stack.name, one.service, str(one.slot))
            running.add_metric(whose, int(one.phase in ("running", "stopping")))
            if one.started_wall is not None:
                started.add_metric(whose, one.started_wall)
            restarts.add_metric(whose, one.restarts)
            looping.add_metric(whose, int(one.crash_loop))
            given_up.add_metric(whose, int(bool(one.given_up)))
            for word in HEALTHS:
                health.add_metric((*whose, word), int(one.health == word))
            name = _container(stack.name, one)
            if (most := found.limits.get(name)) is not None:
                limit.add_metric(whose, most)
            usage = found.usages.get(name)
            for family, (_, _, _, value) in zip(used, USAGES, strict=True):
                if usage is not None and (figure := value(usage)) is not None:
                    family.add_metric(whose, figure)
    yield from (running, started, restarts, looping, given_up, health, limit, *used)


def _container(stack: str, one: ReplicaView) -> ContainerId:
    return ContainerId(
        container_name(StackName(stack), ReplicaId(ServiceName(one.service), one.slot))
    )
