"""Whether an exited replica comes back, and when."""

from collections.abc import Container
from dataclasses import dataclass, replace

from scheduler.desired import RestartMode, RestartPolicy
from scheduler.ids import ServiceName
from scheduler.observed import (
    Exited,
    Health,
    Illness,
    ObservedReplica,
    ObservedStack,
    Running,
)

LOOPING = 3
"""Restarts in a row from which on it is a crash loop."""
PROVEN = 1.0
"""Seconds of a run after which somebody who has failed before counts as doing well again."""


@dataclass(frozen=True, slots=True)
class RestartNow:
    """Start it.

    ``attempt`` counts restarts in a row, 0 for a start that is none. ``counted`` are the moments
    of those that the policy allows so many of, this one included.
    """

    attempt: int
    reason: str
    counted: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RestartAt:
    """Start it at ``moment`` and not before."""

    moment: float
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class StayDown:
    """Leave it. ``given_up``: its policy would have it run, had it not failed so often."""

    reason: str
    given_up: bool = False


RestartDecision = RestartNow | RestartAt | StayDown


def decide_restart(
    policy: RestartPolicy, replica: ObservedReplica, exited: Exited, *, now: float
) -> RestartDecision:
    """Apply ``policy`` to a replica that has ended as ``exited`` says."""
    if replica.asked:
        return RestartNow(0, f"{exited}, and is asked for again")
    if exited.stopped:
        if replica.healing and policy.mode is not RestartMode.NO:
            reason = f"was unhealthy, restart {replica.attempts}"
            return RestartNow(replica.attempts, reason, replica.counted)
        if exited.before_boot and policy.mode is RestartMode.NO:
            return StayDown("ended with the machine, restart policy is `no`")
        return RestartNow(0, "was stopped", replica.counted)
    match policy.mode:
        case RestartMode.NO:
            return StayDown(f"{exited}, restart policy is `no`")
        case RestartMode.ON_FAILURE if exited.succeeded:
            return StayDown(str(exited))
        case _:
            pass
    if exited.lost:
        return RestartNow(replica.attempts, str(exited), replica.counted)
    settled = exited.lived >= policy.settled_after
    return _next_attempt(policy, replica, str(exited), settled=settled, since=exited.at, now=now)


def decide_healing(
    policy: RestartPolicy, replica: ObservedReplica, illness: Illness, *, now: float
) -> RestartDecision:
    """Say whether a replica that runs and is unhealthy is to run anew, and when.

    It is a restart like any other: the same pauses, counts and limits hold for it. Besides, what
    is never well for long is left as it is in the end: it may still do some of its work.
    """
    if policy.mode is RestartMode.NO:
        return StayDown("is unhealthy, restart policy is `no`")
    settled = illness.well_for >= policy.settled_after
    if not settled and policy.heal_limit is not None and replica.attempts >= policy.heal_limit:
        reason = f"is unhealthy, left as it is after {replica.attempts} restarts in a row"
        return StayDown(reason, given_up=True)
    return _next_attempt(
        policy, replica, "is unhealthy", settled=settled, since=illness.since, now=now
    )


def _next_attempt(
    policy: RestartPolicy,
    replica: ObservedReplica,
    why: str,
    *,
    settled: bool,
    since: float,
    now: float,
) -> RestartDecision:
    """Say when a replica that failed at ``since`` may run again.

    ``settled``: it did well before, so that restarts are counted anew.
    """
    counted = _still_counted(policy, replica, since=since)
    attempt = 1 if settled else replica.attempts + 1
    if policy.max_attempts is not None and len(counted) >= policy.max_attempts:
        within = "" if policy.window is None else f" within {policy.window:g} s"
        return StayDown(f"{why}, gave up after {len(counted)} restarts{within}", given_up=True)
    if policy.quarantine is not None and attempt > policy.quarantine:
        reason = f"{why}, in quarantine after {replica.attempts} restarts in a row"
        return StayDown(reason, given_up=True)
    due = since + pause_before(policy, attempt)
    if now < due:
        return RestartAt(due, attempt, f"{why}, restart {attempt} after a pause")
    moments = (*counted, now) if policy.max_attempts is not None else ()
    return RestartNow(attempt, f"{why}, restart {attempt}", moments)


def proven_at(replica: ObservedReplica, running: Running) -> float:
    """Return from when on a run counts as one that does well, as far as anybody can tell.

    Where nobody asks how a replica is, one in a crash loop looks well in every run.
    """
    unproven = replica.attempts > 0 and running.health is Health.NONE
    return running.since + (PROVEN if unproven else 0.0)


def ask_for_ended(
    observed: ObservedStack, services: Container[ServiceName] | None = None
) -> ObservedStack:
    """Return an observation as it is once somebody has asked for services, or for all there are.

    That asks for a run of everything of them that has ended, except of jobs that are done.
    """

    def asked(one: ObservedReplica) -> bool:
        ended = isinstance(one.phase, Exited) and (one.phase.stopped or not one.phase.succeeded)
        return one.asked or (ended and (services is None or one.id.service in services))

    replicas = tuple(replace(one, asked=asked(one)) for one in observed.replicas)
    return replace(observed, replicas=replicas)


def pause_before(policy: RestartPolicy, attempt: int) -> float:
    """Return how long to wait before the ``attempt``-th restart in a row, from 1."""
    if attempt <= 1:
        return policy.delay
    # The exponent is capped so that a year of crashes cannot overflow.
    backoff = min(policy.first_delay * 2 ** min(attempt - 2, 32), policy.longest_delay)
    return float(max(policy.delay, backoff))


def _still_counted(
    policy: RestartPolicy, replica: ObservedReplica, *, since: float
) -> tuple[float, ...]:
    # Judged by the moment it failed, so that giving up is for good: time alone undoes nothing.
    if policy.window is None:
        return replica.counted
    return tuple(moment for moment in replica.counted if moment > since - policy.window)
