"""Commands at points of a replica's life: run once, and waited for by what comes after them.

Whether they have run is observed, never remembered by a plan: one that was interrupted is asked
for again by the next.
"""

from collections.abc import Iterable

from scheduler.actions import RunHooks
from scheduler.desired import HookKind
from scheduler.ids import ReplicaId
from scheduler.observed import HookProgress, Hooks
from scheduler.plan import PlanBuilder

HINTS = {
    HookKind.PRE_START: "its container is kept to be looked at; `pyorch up` runs it again",
    HookKind.POST_START: "`pyorch up` runs it again",
    HookKind.PRE_STOP: "the same command runs it again, and with `-t 0` it is left out",
}


def await_hooks(
    plan: PlanBuilder,
    replica: ReplicaId,
    kind: HookKind,
    progress: HookProgress,
    *,
    reason: str,
    after: Iterable[int] = (),
) -> bool:
    """Have hooks run, or wait for them; return whether what comes after them must wait."""
    match progress.state:
        case Hooks.NONE | Hooks.DONE:
            return False
        case Hooks.WAITING:
            plan.add(RunHooks(replica=replica, kind=kind), reason, after=after)
        case Hooks.RUNNING:
            plan.hold(str(replica), f"{kind} runs")
        case Hooks.FAILED:
            plan.hold(str(replica), progress.failure, hint=HINTS[kind], stuck=True)
    return True
