"""Empty a slot: what runs in it is asked to stop, then made to, then removed."""

from typing import assert_never

from scheduler.actions import KillReplica, RemoveReplica, StopReplica
from scheduler.desired import HookKind
from scheduler.hooks import await_hooks
from scheduler.observed import Created, Exited, ObservedReplica, Running, Stopping
from scheduler.plan import PlanBuilder


def discard(
    plan: PlanBuilder,
    replica: ObservedReplica,
    *,
    grace: float,
    reason: str,
    now: float,
    after: tuple[int, ...] = (),
    keep_address: bool = False,
) -> int | None:
    """Empty a slot as far as this pass can; return the removing step once there is one."""
    stops = isinstance(replica.phase, Running)
    if stops and await_hooks(
        plan, replica.id, HookKind.PRE_STOP, replica.pre_stop, reason=reason, after=after
    ):
        return None
    match replica.phase:
        case Running() if grace > 0:
            plan.add(StopReplica(replica=replica.id, grace=grace), reason, after=after)
            return None
        case Stopping(until=until) if until > now and grace > 0:
            plan.wake(until)
            plan.hold(str(replica.id), "stopping")
            return None
        case Running() | Stopping():
            killed = plan.add(
                KillReplica(replica.id),
                reason if isinstance(replica.phase, Running) else "did not stop in time",
                after=after,
            )
            return plan.add(RemoveReplica(replica.id, keep_address), reason, after=(killed,))
        case Created() | Exited():
            return plan.add(RemoveReplica(replica.id, keep_address), reason, after=after)
        case unknown:
            assert_never(unknown)
