"""Ask replicas how they are: one probe of a kind at a time, and a wake-up when health changes.

What results add up to is decided in :mod:`scheduler.health`; here they are only collected.
Health belongs to one run of a container: a new run starts anew, and what is known is kept
in memory only, because the first probe of a running container is immediate.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from orchestrator.chronicle import Tell
from orchestrator.hiding import blacken
from orchestrator.translate.health import Check
from runtime.drivers import ContainerDriver
from runtime.errors import DriverError
from runtime.types import ContainerId, Probe, ProbeOutput
from scheduler import HealthState, add_up, judge_probe, next_probe
from scheduler.desired import CheckKind, DesiredStack, Healthcheck, Intent
from scheduler.ids import ServiceName, StackName, container_name, parse_container_name
from scheduler.observed import Health, Illness, ObservedStack, Running

log = structlog.get_logger()

KEPT = 5
"""Results of each check that are kept."""
TOLD = 200
"""Characters of an answer that are told with a change of health."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What came of one probe, for people."""

    kind: str
    code: int
    output: str
    at_wall: float
    took: float
    """In seconds."""


@dataclass(slots=True)
class _Asked:
    patience: Healthcheck
    probe: Probe
    since: float
    """From when on it is asked."""
    state: HealthState = field(default_factory=HealthState)
    results: deque[ProbeResult] = field(default_factory=lambda: deque(maxlen=KEPT))
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Watched:
    stack: StackName
    checks: Mapping[CheckKind, Check]
    since: float
    """When the run began: it tells one run of a container from the next."""
    asked: dict[CheckKind, _Asked]
    health: Health = Health.STARTING
    well_since: float | None = None
    ready_since: float | None = None
    illness: Illness | None = None


@dataclass(slots=True, kw_only=True)
class Prober:
    """Holds a task for every check of every running replica."""

    containers: ContainerDriver
    wake: Callable[[str], None]
    tell: Tell
    now: Callable[[], float]
    _watched: dict[ContainerId, _Watched] = field(default_factory=dict)
    _secrets: dict[StackName, Sequence[bytes]] = field(default_factory=dict)
    _past: dict[ContainerId, tuple[ProbeResult, ...]] = field(default_factory=dict)
    """What runs were asked last that are over: it says why they are."""
    _group: asyncio.TaskGroup | None = None

    @property
    def health(self) -> Mapping[ContainerId, Health]:
        """What is known of every replica that is probed."""
        return {name: watched.health for name, watched in self._watched.items()}

    @property
    def illnesses(self) -> Mapping[ContainerId, Illness]:
        """Since when those are unhealthy that are."""
        return {name: one.illness for name, one in self._watched.items() if one.illness}

    @property
    def ready(self) -> Mapping[ContainerId, float]:
        """Since when those are ready that are."""
        return {
            name: one.ready_since
            for name, one in self._watched.items()
            if one.ready_since is not None
        }

    def results(self, container: ContainerId) -> tuple[ProbeResult, ...]:
        """Return what the last probes of a replica's last run came to, the newest last."""
        watched = self._watched.get(container)
        if watched is None:
            return self._past.get(container, ())
        found = (result for one in watched.asked.values() for result in one.results)
        return tuple(sorted(found, key=lambda one: one.at_wall))

    async def run(self) -> None:
        """Own the probes until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def adjust(
        self,
        desired: DesiredStack,
        observed: ObservedStack,
        checks: Mapping[ServiceName, Mapping[CheckKind, Check]],
        *,
        secrets: Sequence[bytes] = (),
    ) -> None:
        """Probe exactly the running replicas of ``desired`` whose service has checks.

        What they answer is told without the contents of ``secrets``.
        """
        self._secrets[desired.name] = secrets
        wanted: dict[ContainerId, tuple[Mapping[CheckKind, Check], float]] = {}
        for replica in observed.replicas if desired.intent is Intent.RUN else ():
            found = checks.get(replica.id.service)
            # What stands still answers nobody, and is not ill for it.
            if found and isinstance(replica.phase, Running) and not replica.phase.paused:
                name = ContainerId(container_name(desired.name, replica.id))
                wanted[name] = (found, replica.phase.since)
        for name, watched in list(self._watched.items()):
            same = wanted.get(name) == (watched.checks, watched.since)
            if watched.stack == desired.name and not same:
                self._drop(name)
        there = {container_name(desired.name, one.id) for one in observed.replicas}
        for name in [name for name in self._past if name not in there]:
            if parse_container_name(name)[0] == desired.name:
                del self._past[name]
        for name, (found, since) in wanted.items():
            if name not in self._watched and self._group is not None:
                asked = {kind: _Asked(*check, since) for kind, check in found.items()}
                self._watched[name] = _Watched(desired.name, found, since, asked)
                self._past.pop(name, None)
                self._begin(name)

    def _begin(self, name: ContainerId) -> None:
        """Ask what can be asked by now: nothing else before it has started."""
        asked = self._watched[name].asked
        startup = asked.get(CheckKind.STARTUP)
        for kind, one in asked.items():
            waits = startup is not None and startup.state.health is not Health.HEALTHY
            if one.task is None and self._group and (kind is CheckKind.STARTUP or not waits):
                if startup is not None and kind is not CheckKind.STARTUP:
                    one.since = self.now()
                work = self._probe(name, kind, one)
                one.task = self._group.create_task(work, name=f"probe {name} {kind}")

    def _drop(self, name: ContainerId) -> None:
        self._past[name] = self.results(name)
        for one in self._watched.pop(name).asked.values():
            if one.task is not None:
                one.task.cancel()

    async def _probe(self, name: ContainerId, kind: CheckKind, asked: _Asked) -> None:
        while True:
            due = next_probe(asked.patience, asked.state, since=asked.since, now=self.now())
            await asyncio.sleep(max(due - self.now(), 0.0))
            began, wall = self.now(), time.time()
            output = await self._ask(name, asked)
            now = self.now()
            secrets = self._secrets.get(parse_container_name(name)[0], ())
            words = blacken(output.output, secrets).decode(errors="replace").strip()
            asked.results.append(
                ProbeResult(
                    kind=kind.value,
                    code=output.code,
                    output=words,
                    at_wall=wall,
                    took=round(now - began, 4),
                )
            )
            asked.state = judge_probe(
                asked.patience,
                asked.state,
                passed=output.code == 0,
                since=asked.since,
                # A sleep may end a moment before its time.
                began=max(began, due),
                now=now,
            )
            self._conclude(name, kind, asked.results[-1])
            if kind is CheckKind.STARTUP and asked.state.health is Health.HEALTHY:
                self._begin(name)
                return

    async def _ask(self, name: ContainerId, asked: _Asked) -> ProbeOutput:
        try:
            return await self.containers.probe(name, asked.probe, timeout=asked.patience.timeout)
        except DriverError as error:
            # It ended under the probe; its exit wakes the stack by another way.
            log.debug("probe.failed", container=name, error=str(error))
            return ProbeOutput(code=1, output=str(error).encode())
        except Exception:
            # A full disk, or a bug: it must not take the other probes down.
            log.exception("probe.crashed", container=name)
            return ProbeOutput(code=1, output=b"it could not be asked: see the daemon's log")

    def _conclude(self, name: ContainerId, kind: CheckKind, result: ProbeResult) -> None:
        watched = self._watched[name]
        before = watched.health
        watched.health = add_up({kind: one.state for kind, one in watched.asked.items()})
        if watched.health is before:
            return
        now = self.now()
        if watched.health is Health.HEALTHY and watched.well_since is None:
            watched.well_since = now
        watched.ready_since = now if watched.health is Health.HEALTHY else None
        watched.illness = None
        if watched.health is Health.UNHEALTHY:
            well = 0.0 if watched.well_since is None else now - watched.well_since
            watched.illness, watched.well_since = Illness(now, well), None
        _, replica = parse_container_name(name)
        self.tell(watched.stack, f"replica.{watched.health}", str(replica), _in_words(kind, result))
        self.wake(watched.stack)


def _in_words(kind: CheckKind, result: ProbeResult) -> str:
    name = "healthcheck" if kind is CheckKind.HEALTH else f"{kind} probe"
    came = "passed" if result.code == 0 else "took too long" if result.code < 0 else "failed"
    said = " ".join(result.output.split())[:TOLD]
    return f"{name} {came}" + (f": {said}" if said else "")
