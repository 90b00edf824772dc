"""Run healthchecks: at most one probe a replica at a time, and a wake-up when health changes.

What results add up to is decided in :mod:`scheduler.health`; here they are only collected.
Health belongs to one run of a container: a new run starts anew, and what is known is kept
in memory only, because the first probe of a running container is immediate.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from runtime.drivers import ContainerDriver
from runtime.errors import DriverError
from runtime.types import ContainerId, ProbeOutput
from scheduler import HealthState, judge_probe, next_probe
from scheduler.desired import DesiredStack, Healthcheck, Intent
from scheduler.ids import StackName, container_name
from scheduler.observed import Health, ObservedStack, Running

log = structlog.get_logger()


@dataclass(slots=True)
class _Watched:
    stack: StackName
    check: Healthcheck
    since: float
    """When the run began: it tells one run of a container from the next."""
    state: HealthState
    task: asyncio.Task[None] | None = None
    last: ProbeOutput | None = None


@dataclass(slots=True, kw_only=True)
class Prober:
    """Holds one task for every running replica with a healthcheck."""

    containers: ContainerDriver
    wake: Callable[[str], None]
    now: Callable[[], float]
    _watched: dict[ContainerId, _Watched] = field(default_factory=dict)
    _group: asyncio.TaskGroup | None = None

    @property
    def health(self) -> Mapping[ContainerId, Health]:
        """What is known of every replica that is probed."""
        return {name: watched.state.health for name, watched in self._watched.items()}

    def last_output(self, container: ContainerId) -> ProbeOutput | None:
        """Return what the last probe of a replica answered, for people."""
        watched = self._watched.get(container)
        return watched.last if watched else None

    async def run(self) -> None:
        """Own the probes until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def adjust(self, desired: DesiredStack, observed: ObservedStack) -> None:
        """Probe exactly the running replicas of ``desired`` that have a healthcheck."""
        checks = {
            service.name: service.healthcheck
            for service in desired.services
            if service.healthcheck and desired.intent is Intent.RUN
        }
        wanted: dict[ContainerId, tuple[Healthcheck, float]] = {}
        for replica in observed.replicas:
            check = checks.get(replica.id.service)
            if check and isinstance(replica.phase, Running):
                name = ContainerId(container_name(desired.name, replica.id))
                wanted[name] = (check, replica.phase.since)
        for name, watched in list(self._watched.items()):
            if watched.stack == desired.name and wanted.get(name) != (watched.check, watched.since):
                self._drop(name)
        for name, (check, since) in wanted.items():
            if name not in self._watched:
                self._begin(name, _Watched(desired.name, check, since, HealthState()))

    def _begin(self, name: ContainerId, watched: _Watched) -> None:
        if self._group is None:
            return
        self._watched[name] = watched
        watched.task = self._group.create_task(self._probe(name, watched), name=f"probe {name}")

    def _drop(self, name: ContainerId) -> None:
        task = self._watched.pop(name).task
        if task is not None:
            task.cancel()

    async def _probe(self, name: ContainerId, watched: _Watched) -> None:
        check = watched.check
        while True:
            due = next_probe(check, watched.state, since=watched.since, now=self.now())
            await asyncio.sleep(max(due - self.now(), 0.0))
            try:
                watched.last = await self.containers.probe(name, check.test, timeout=check.timeout)
                passed = watched.last.code == 0
            except DriverError as error:
                # It ended under the probe; its exit wakes the stack by another way.
                log.debug("probe.failed", container=name, error=str(error))
                passed = False
            except Exception:
                # A full disk, or a bug: it must not take the other probes down.
                log.exception("probe.crashed", container=name)
                passed = False
            before = watched.state.health
            watched.state = judge_probe(
                check, watched.state, passed=passed, since=watched.since, now=self.now()
            )
            if watched.state.health is not before:
                log.info("health.changed", container=name, health=watched.state.health.value)
                self.wake(watched.stack)
