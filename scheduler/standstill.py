"""Bring the replicas of a service to rest that is not to run while its stack does."""

from collections.abc import Mapping, Sequence

from scheduler.actions import KillReplica, StopReplica
from scheduler.desired import DesiredService, HookKind, ServiceIntent
from scheduler.discarding import discard
from scheduler.hooks import await_hooks
from scheduler.ids import ServiceName
from scheduler.observed import ObservedReplica, Running, Stopping
from scheduler.plan import PlanBuilder
from scheduler.shutdown import REMOVED_BY_HAND

REASONS = {
    ServiceIntent.STOPPED: "was stopped by hand",
    ServiceIntent.ABSENT: REMOVED_BY_HAND,
    ServiceIntent.IDLE: "none of its runs is due",
}


def plan_standstill(
    plan: PlanBuilder,
    service: DesiredService,
    observed: Sequence[ObservedReplica],
    *,
    services: Mapping[ServiceName, DesiredService],
    replicas: Mapping[ServiceName, Sequence[ObservedReplica]],
    now: float,
) -> None:
    """Add the steps that stop a service, or take its containers away; none where it is so.

    What depends on it and is to come to rest, too, comes first.
    """
    first = _stops_first(service, services, replicas)
    for replica in reversed(observed):
        running = isinstance(replica.phase, Running | Stopping)
        if running and first is not None:
            plan.hold(str(replica.id), f"{first} stops first")
        elif service.intent is ServiceIntent.ABSENT:
            reason = REASONS[service.intent]
            discard(plan, replica, grace=service.stop_grace, reason=reason, now=now)
        elif running:
            _stop(plan, replica, service, reason=REASONS[service.intent], now=now)


def _stop(
    plan: PlanBuilder, replica: ObservedReplica, service: DesiredService, *, reason: str, now: float
) -> None:
    """Add what ends a replica that runs, as far as this pass can."""
    stops = isinstance(replica.phase, Running) and not service.at_once
    if stops and await_hooks(plan, replica.id, HookKind.PRE_STOP, replica.pre_stop, reason=reason):
        return
    match replica.phase:
        case Running() if service.stop_grace > 0:
            plan.add(StopReplica(replica=replica.id, grace=service.stop_grace), reason)
        case Running():
            plan.add(KillReplica(replica.id), reason)
        case Stopping(until=until) if until > now and service.stop_grace > 0:
            plan.wake(until)
            plan.hold(str(replica.id), "stopping")
        case Stopping():
            plan.add(KillReplica(replica.id), "did not stop in time")
        case _:
            pass


def _stops_first(
    service: DesiredService,
    services: Mapping[ServiceName, DesiredService],
    replicas: Mapping[ServiceName, Sequence[ObservedReplica]],
) -> ServiceName | None:
    for other in services.values():
        depends = any(one.service == service.name for one in other.dependencies)
        alive = any(
            isinstance(one.phase, Running | Stopping) for one in replicas.get(other.name, ())
        )
        if depends and alive and other.intent in REASONS:
            return other.name
    return None
