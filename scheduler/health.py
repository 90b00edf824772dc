"""The health table: probe results in, starting, healthy or unhealthy out."""

from dataclasses import dataclass

from scheduler.desired import Healthcheck
from scheduler.observed import Health

RAMP = (0.0, 0.1, 0.25, 0.5)
"""Pauses before the first probes of a run, in seconds: nobody waits an interval for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """What the probes of one run add up to so far."""

    health: Health = Health.STARTING
    failures: int = 0
    """In a row, counted as the check says."""
    probes: int = 0
    last: float | None = None
    """When the last probe ended."""


def judge_probe(
    check: Healthcheck, state: HealthState, *, passed: bool, since: float, now: float
) -> HealthState:
    """Return the state after one more result, for a run that began at ``since``.

    A success is health at once. A failure counts, except before the first success within
    the start period; ``retries`` of them in a row are illness.
    """
    probes = state.probes + 1
    if passed:
        return HealthState(health=Health.HEALTHY, probes=probes, last=now)
    starting = state.health is Health.STARTING
    if starting and (now - since < check.start_period or probes <= len(RAMP)):
        # Probes of the ramp come before the interval the file asked for: they may only help.
        return HealthState(health=Health.STARTING, probes=probes, last=now)
    failures = state.failures + 1
    sick = failures >= max(check.retries, 1)
    return HealthState(
        health=Health.UNHEALTHY if sick else state.health,
        failures=failures,
        probes=probes,
        last=now,
    )


def next_probe(check: Healthcheck, state: HealthState, *, since: float, now: float) -> float:
    """Return when the next probe of a run that began at ``since`` is due."""
    last = since if state.last is None else state.last
    if state.health is not Health.STARTING:
        return last + check.interval
    if state.probes < len(RAMP):
        return last + min(RAMP[state.probes], check.interval)
    if now - since < check.start_period:
        return last + check.start_interval
    return last + min(check.interval, max(1.0, (last - since) / 2))
