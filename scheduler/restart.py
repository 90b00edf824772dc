"""Whether an exited replica comes back, and when."""

from dataclasses import dataclass

from scheduler.desired import RestartMode, RestartPolicy
from scheduler.observed import Exited


@dataclass(frozen=True, slots=True)
class RestartNow:
    """Start it; ``attempt`` counts restarts in a row."""

    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class RestartAt:
    """Start it at ``moment`` and not before."""

    moment: float
    reason: str


@dataclass(frozen=True, slots=True)
class StayDown:
    """Leave it."""

    reason: str


RestartDecision = RestartNow | RestartAt | StayDown


def decide_restart(
    policy: RestartPolicy, exited: Exited, *, attempts: int, now: float
) -> RestartDecision:
    """Apply ``policy`` to a replica restarted ``attempts`` times in a row before."""
    match policy.mode:
        case RestartMode.NO:
            return StayDown(f"{exited}, restart policy is `no`")
        case RestartMode.ON_FAILURE if exited.code == 0:
            return StayDown(str(exited))
        case _:
            pass
    if exited.lost:
        return RestartNow(attempts, str(exited))
    done = 0 if exited.lived >= policy.settled_after else attempts
    if policy.max_attempts is not None and attempts >= policy.max_attempts:
        return StayDown(f"{exited}, gave up after {attempts} restarts")
    due = exited.at + pause_before(policy, done + 1)
    if now < due:
        return RestartAt(due, f"{exited}, restart {done + 1} after a pause")
    return RestartNow(done + 1, f"{exited}, restart {done + 1}")


def pause_before(policy: RestartPolicy, attempt: int) -> float:
    """Return how long to wait before the ``attempt``-th restart in a row, from 1."""
    if attempt <= 1:
        return 0.0
    # The exponent is capped so that a year of crashes cannot overflow.
    return float(min(policy.first_delay * 2 ** min(attempt - 2, 32), policy.longest_delay))
