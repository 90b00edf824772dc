"""Whether the dependencies of a service let its replicas start now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from scheduler.desired import Condition, Dependency, DesiredService, ServiceIntent
from scheduler.ids import ReplicaId, ServiceName
from scheduler.numbering import slots_of
from scheduler.observed import Created, Exited, Health, Hooks, ObservedReplica, Running
from scheduler.restart import StayDown, decide_restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Open after some steps of this plan, or shut, with the reason."""

    after: tuple[int, ...] = ()
    shut: str = ""
    stuck: bool = False
    hint: str | None = None


@dataclass(slots=True, kw_only=True)
class Gatekeeper:
    """Knows what runs and what this plan starts, and judges dependencies by that."""

    services: Mapping[ServiceName, DesiredService]
    replicas: Mapping[ServiceName, Sequence[ObservedReplica]]
    now: float
    started: dict[ServiceName, dict[int, int]] = field(default_factory=dict)
    """Service → slot → number of the step of this plan that starts it."""
    filled: dict[ReplicaId, int] = field(default_factory=dict)
    """Replica → number of the step of this plan that makes it, or makes it ready."""
    touched: set[ServiceName] = field(default_factory=set)
    """Services of which this plan stops or replaces a replica."""

    unsettled: set[ServiceName] = field(default_factory=set)
    """Services of which a replica is still to be replaced."""

    hooked: set[ServiceName] = field(default_factory=set)
    """Services of which a replica of this plan has met its hooks of before the first start."""

    def judge(self, service: DesiredService) -> Gate:
        """Return whether a replica of ``service`` may start."""
        after: list[int] = []
        for dependency in service.dependencies if not service.alone else ():
            wanted = self.services.get(dependency.service)
            if wanted is None:
                continue
            gate = self._one(dependency, wanted)
            if gate.shut:
                if gate.stuck and not dependency.required:
                    continue
                return gate
            after.extend(gate.after)
        return Gate(after=tuple(sorted(set(after))))

    def follows_unrest(self, service: DesiredService) -> ServiceName | None:
        """Return a service that it is to be restarted after and that is not done changing."""
        for dependency in service.dependencies:
            name = dependency.service
            changing = name in self.touched or name in self.started or name in self.unsettled
            if dependency.restart and changing:
                return name
        return None

    def _one(self, dependency: Dependency, wanted: DesiredService) -> Gate:
        if wanted.schedule is not None:
            return Gate()  # that it runs now and then is all there is to wait for
        if self._is_kept_down(wanted):
            return Gate(
                shut=f"{wanted.name} is not to run",
                stuck=True,
                hint=f"`pyorch up {wanted.name}` has it run",
            )
        match dependency.condition:
            case Condition.STARTED:
                gate = self._started(wanted)
            case Condition.HEALTHY:
                gate = self._healthy(wanted)
            case Condition.COMPLETED:
                return self._completed(wanted)
            case unknown:
                assert_never(unknown)
        if not gate.shut and wanted.post_start:
            hooked = self._hooked(wanted)
            return hooked if hooked.shut else gate
        return gate

    def _is_kept_down(self, wanted: DesiredService) -> bool:
        """Whether somebody asked for a service not to run, and it neither runs nor is done."""
        return wanted.intent is not ServiceIntent.RUN and not any(
            isinstance(replica.phase, Running)
            or (isinstance(replica.phase, Exited) and replica.phase.succeeded)
            for replica in self.replicas.get(wanted.name, ())
        )

    def _slots(self, wanted: DesiredService) -> list[ObservedReplica | None]:
        by_slot = {replica.id.slot: replica for replica in self.replicas.get(wanted.name, ())}
        numbers = slots_of(wanted, self.replicas.get(wanted.name, ()))
        return [by_slot.get(slot) for slot in numbers]

    def _hooked(self, wanted: DesiredService) -> Gate:
        """Judge the hooks a replica runs before it counts as started."""
        if self.started.get(wanted.name):
            return Gate(shut=f"{wanted.name} is not started: post_start has not run")
        for replica in self._slots(wanted):
            if replica is None or not isinstance(replica.phase, Running):
                continue
            match replica.post_start.state:
                case Hooks.FAILED:
                    return Gate(shut=f"{wanted.name}: {replica.post_start.failure}", stuck=True)
                case Hooks.WAITING | Hooks.RUNNING:
                    return Gate(shut=f"{wanted.name} is not started: post_start runs")
                case _:
                    pass
        return Gate()

    def _started(self, wanted: DesiredService) -> Gate:
        after = []
        starting = self.started.get(wanted.name, {})
        numbers = slots_of(wanted, self.replicas.get(wanted.name, ()))
        for slot, replica in zip(numbers, self._slots(wanted), strict=True):
            if slot in starting:
                after.append(starting[slot])
            elif replica is None or isinstance(replica.phase, Created):
                return Gate(shut=f"{wanted.name} is not started")
            elif isinstance(replica.phase, Exited) and not self._stays_down(wanted, replica):
                return Gate(shut=f"{wanted.name} is not started")
        return Gate(after=tuple(after))

    def _healthy(self, wanted: DesiredService) -> Gate:
        slots = self._slots(wanted)
        if self.started.get(wanted.name) or wanted.name in self.touched:
            return Gate(shut=f"{wanted.name} is not healthy yet")
        for replica in slots:
            if replica is None:
                return Gate(shut=f"{wanted.name} is not healthy yet")
            match replica.phase:
                case Running(health=Health.HEALTHY):
                    continue
                case Running(health=Health.NONE) if not wanted.checks:
                    return Gate(
                        shut=f"{wanted.name} has no healthcheck and can never be healthy",
                        stuck=True,
                        hint=f"give `{wanted.name}` a `healthcheck`, or wait for `service_started`",
                    )
                case Running(health=Health.UNHEALTHY):
                    return Gate(shut=f"{wanted.name} is unhealthy", stuck=True)
                case Exited() as exited if self._stays_down(wanted, replica):
                    return Gate(
                        shut=f"{wanted.name} {exited} and is not restarted",
                        stuck=True,
                    )
                case _:
                    return Gate(shut=f"{wanted.name} is not healthy yet")
        return Gate()

    def _completed(self, wanted: DesiredService) -> Gate:
        for replica in self._slots(wanted):
            if replica is None or wanted.name in self.touched:
                return Gate(shut=f"{wanted.name} has not completed yet")
            match replica.phase:
                case Exited(succeeded=True):
                    continue
                case Exited() as exited if self._stays_down(wanted, replica):
                    return Gate(shut=f"{wanted.name} {exited}", stuck=True)
                case _:
                    return Gate(shut=f"{wanted.name} has not completed yet")
        return Gate()

    def _stays_down(self, wanted: DesiredService, replica: ObservedReplica) -> bool:
        if not isinstance(replica.phase, Exited):
            return False
        decision = decide_restart(wanted.restart, replica, replica.phase, now=self.now)
        return isinstance(decision, StayDown)
