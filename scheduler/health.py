"""The health table: results of probes in, starting, healthy or unhealthy out.

Two schedules run beside each other until the first success. One is the file's own: its
``interval``, after its ``start_period``. Only failures on it count. The other is quicker, so
that nobody waits an interval for something that is ready already; on it, success is all that
matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.desired import CheckKind, Healthcheck
from scheduler.observed import Health

RAMP = (0.0, 0.1, 0.25, 0.5)
"""Pauses before the first probes of a run, in seconds."""
SLOWEST = 5.0
"""Seconds between the probes of a start period, where the file does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """What the probes of one run add up to so far."""

    health: Health = Health.STARTING
    failures: int = 0
    """In a row, counted as the check says."""
    counted: float | None = None
    """When the last failure that counted was found out."""
    probes: int = 0
    last: float | None = None
    """When the last probe ended."""


def judge_probe(
    check: Healthcheck,
    state: HealthState,
    *,
    passed: bool,
    since: float,
    began: float,
    now: float,
) -> HealthState:
    """Return the state after one more result, for a run that began at ``since``.

    ``began`` is when the probe was due. A success is health at once. A failure counts, except
    before the first success: there only one that the file's own schedule asked for.
    ``retries`` of them in a row are illness.
    """
    probes = state.probes + 1
    if passed:
        return HealthState(health=Health.HEALTHY, probes=probes, last=now)
    if state.health is Health.STARTING and began < _counts_from(check, state, since=since):
        return HealthState(failures=state.failures, counted=state.counted, probes=probes, last=now)
    failures = state.failures + 1
    sick = failures >= max(check.retries, 1)
    return HealthState(
        health=Health.UNHEALTHY if sick else state.health,
        failures=failures,
        counted=now,
        probes=probes,
        last=now,
    )


def next_probe(check: Healthcheck, state: HealthState, *, since: float, now: float) -> float:
    """Return when the next probe of a run that began at ``since`` is due."""
    last = since if state.last is None else state.last
    if state.health is not Health.STARTING:
        return last + check.interval
    early = now - since < check.start_period
    if check.start_interval is not None and state.probes > 0:
        pause = check.start_interval if early else check.interval
    elif state.probes < len(RAMP):
        pause = min(RAMP[state.probes], check.interval)
    else:
        pause = min(max(1.0, (last - since) / 2), check.interval)
        if early:
            pause = min(pause, SLOWEST)
    soon = last + pause
    # One that counts comes when the file says, however slow the quick ones have become.
    counts = _counts_from(check, state, since=since)
    return min(soon, counts) if counts > last else soon


def add_up(states: Mapping[CheckKind, HealthState]) -> Health:
    """Return what the checks of one replica come to together."""
    startup = states.get(CheckKind.STARTUP)
    if startup is not None and startup.health is not Health.HEALTHY:
        return startup.health
    found = {kind: state.health for kind, state in states.items()}
    readiness = found.pop(CheckKind.READINESS, Health.HEALTHY)
    for worse in (Health.UNHEALTHY, Health.STARTING):
        if worse in found.values():
            return worse
    if readiness is Health.STARTING:
        return Health.STARTING
    return Health.UNREADY if readiness is Health.UNHEALTHY else Health.HEALTHY


def _counts_from(check: Healthcheck, state: HealthState, *, since: float) -> float:
    """Return from when on a failure counts that is found out before the first success."""
    if state.counted is not None:
        return state.counted + check.interval
    return since + (check.start_period or check.interval)
