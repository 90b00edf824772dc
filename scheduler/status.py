"""Whether a stack is what was asked for: the question of whoever waits for it."""

from dataclasses import dataclass

from scheduler.desired import DesiredStack, Intent, ServiceIntent
from scheduler.observed import Exited, Health, ObservedStack, Running, Stopping
from scheduler.plan import Plan
from scheduler.restart import proven_at


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to do, nothing held, everybody ready or done."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet; nobody needs to do anything."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Not by itself: somebody has to change something."""

    reason: str


def settled(
    desired: DesiredStack, observed: ObservedStack, plan: Plan, *, now: float
) -> Settled | Waiting | Failed:
    """Judge an observation and the plan made from it.

    A replica that exited with 0 and is not to be restarted has done its job: it counts as
    ready. Any other that stays down, and one that is unhealthy, fails the stack. One that was
    restarted is waited for until its run has lasted a moment, and a job until it has ended.
    """
    for held in plan.held:
        if held.stuck:
            hint = f" ({held.hint})" if held.hint else ""
            return Failed(f"{held.subject}: {held.reason}{hint}")
    if desired.intent is not Intent.RUN:
        done = not plan.steps and not plan.held
        return Settled() if done else Waiting()
    down = None
    waiting = bool(plan.steps or plan.held)
    planned = {getattr(step.action, "replica", None) for step in plan.steps}
    held_now = {held.subject for held in plan.held}
    at_rest = {
        service.name
        for service in desired.services
        if service.intent is not ServiceIntent.RUN or service.one_off
    }
    jobs = {one.name for one in desired.services if one.is_job and one.schedule is None}
    for replica in observed.replicas:
        if replica.id.service in at_rest:
            continue
        match replica.phase:
            case Running(health=Health.UNHEALTHY):
                down = down or f"{replica.id} is unhealthy"
            case Running(health=Health.STARTING | Health.UNREADY):
                waiting = True
            case Running() | Stopping() if replica.id.service in jobs:
                waiting = True
            case Running() as running if now < proven_at(replica, running):
                waiting = True
            case Exited(succeeded=False, stopped=False) as exited:
                if replica.id not in planned and str(replica.id) not in held_now:
                    down = down or f"{replica.id} {exited}"
            case _:
                pass
    if down:
        return Failed(down)
    return Waiting() if waiting else Settled()
