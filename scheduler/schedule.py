"""When a service that runs by the clock is to run.

Moments are seconds of the wall clock, which people set and which jumps. So a moment is decided
once and for all: what has been looked at is known by how far, and never looked at again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from scheduler.desired import CatchUp, DesiredService, Overlap, Run, Schedule
from scheduler.observed import Exited, ObservedReplica
from scheduler.restart import StayDown, decide_restart
from scheduler.revision import revision_of

ON_TIME = 60.0
"""Seconds after which a moment is one that was missed: what a daemon may take to start anew."""
CORRECTION = 86400.0
"""A clock that goes back by more had been wrong before: from then on everything is new."""
MOST_MADE_UP = 100
"""Missed moments that are made up for, the last ones."""
MOST_COUNTED = 10_000
MOST_WAITING = 100
"""Runs that wait for their turn."""

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""What some schedules are called."""


class Fate(StrEnum):
    """What becomes of a moment."""

    RUNS = "running"
    WAITS = "waiting"
    SKIPPED = "skipped"
    MISSED = "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A moment, or ``count`` of them up to one, and what becomes of it."""

    due: float
    fate: Fate
    reason: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What is known of a service's runs: how far moments are decided, and which runs there are."""

    seen: float
    going: Run | None = None
    waiting: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is new: how far moments are decided now, those that came, and which runs change."""

    seen: float
    turns: tuple[Turn, ...] = ()
    begins: Run | None = None
    """A run that has waited, and whose turn it is."""
    replaced: Run | None = None
    """A run that ends because the next one is due."""


@dataclass(frozen=True, slots=True)
class Over:
    """How a run ended."""

    succeeded: bool
    code: int
    reason: str


def check_schedule(cron: str, zone: str) -> None:
    """Raise ValueError for what is no cron expression, or never comes, or for an unknown zone."""
    try:
        _clock(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"`{zone[:60]}` is no time zone this machine knows") from None
    words = cron.split()
    if len(words) not in (1, 5) or (len(words) == 1 and cron not in WORDS):
        raise ValueError(f"`{cron[:60]}` is no cron expression of five fields")
    try:
        moment = next(_upwards(Schedule(cron=cron, zone=zone), 0.0), None)
    except CronSimError as error:
        raise ValueError(f"`{cron[:60]}` is no cron expression: {str(error).lower()}") from None
    if moment is None:
        raise ValueError(f"`{cron[:60]}` never comes")


def next_moment(schedule: Schedule, after: float) -> float | None:
    """Return the first moment after another."""
    return next(_upwards(schedule, after), None)


def moments_between(
    schedule: Schedule, after: float, until: float, *, most: int
) -> tuple[float, ...]:
    """Return the last moments after one and not after another, in order; ``most`` of them."""

    def moments(after: float) -> Iterator[float]:
        return takewhile(lambda moment: moment <= until, _upwards(schedule, after))

    found = list(islice(moments(after), most))
    if len(found) == most:
        # A machine may have slept for a year: what is long past is not walked through.
        span = found[-1] - after
        found += moments(max(found[-1], until - span))
    return tuple(found[-most:])


def decide(schedule: Schedule, agenda: Agenda, *, now: float) -> Decision:
    """Decide every moment up to now that is not decided yet."""
    if now < agenda.seen:
        # Set back a little, what has been decided stays so, and comes no second time.
        seen = now if agenda.seen - now > CORRECTION else agenda.seen
        return _begin(agenda, Decision(seen=seen))
    moments = moments_between(schedule, agenda.seen, now, most=MOST_COUNTED)
    late = [one for one in moments if one <= now - ON_TIME]
    prompt = [one for one in moments if one > now - ON_TIME]
    made_up: list[float] = []
    if schedule.catch_up is CatchUp.ALL:
        made_up = late[-MOST_MADE_UP:]
    elif schedule.catch_up is CatchUp.ONCE and not prompt:
        made_up = late[-1:]
    missed = late[: len(late) - len(made_up)]
    turns = []
    if missed:
        often = f"{len(missed)} times" if len(missed) > 1 else "once"
        reason = f"its time came {often} while nobody looked"
        turns.append(Turn(due=missed[-1], fate=Fate.MISSED, reason=reason, count=len(missed)))
    decision = _begin(agenda, Decision(seen=now))
    going = decision.begins or agenda.going
    waits = len(agenda.waiting) - (decision.begins is not None)
    for moment in (*made_up, *prompt):
        if going is None and not waits:
            turns.append(Turn(due=moment, fate=Fate.RUNS))
            going = Run(number=0, due=moment)
        elif moment in late or schedule.overlap is Overlap.QUEUE:
            if waits < MOST_WAITING:
                turns.append(Turn(due=moment, fate=Fate.WAITS))
                waits += 1
            else:
                reason = f"{MOST_WAITING} runs wait already"
                turns.append(Turn(due=moment, fate=Fate.SKIPPED, reason=reason))
        elif schedule.overlap is Overlap.REPLACE and agenda.going and not decision.begins:
            decision = replace(decision, replaced=agenda.going)
            turns.append(Turn(due=moment, fate=Fate.RUNS))
            going = Run(number=0, due=moment)
            agenda = replace(agenda, going=None)
        else:
            turns.append(Turn(due=moment, fate=Fate.SKIPPED, reason="the run before still goes on"))
    return replace(decision, turns=tuple(turns))


def _begin(agenda: Agenda, decision: Decision) -> Decision:
    if agenda.going is None and agenda.waiting:
        return replace(decision, begins=agenda.waiting[0])
    return decision


def with_run(service: DesiredService, run: Run | None) -> DesiredService:
    """Return a service as it is to be while a run of it goes on, or none does.

    Every run has containers of its own, so that it begins with nothing of the one before: those
    of another run are as outdated as those of another file.
    """
    if run is None:
        return replace(service, run=None, intent=service.intent.between_runs)
    parts = {"service": service.name, "run": run.number, "due": run.due}
    return replace(service, run=run, revision=revision_of(parts))


def judge_run(
    service: DesiredService, replicas: Sequence[ObservedReplica], *, now: float
) -> Over | None:
    """Say how the run that a service is in has ended; None while it goes on.

    It goes on until every replica has succeeded, or has failed and is not tried again.
    """
    by_slot = {replica.id.slot: replica for replica in replicas}
    failed: Over | None = None
    for slot in range(1, service.replicas + 1):
        replica = by_slot.get(slot)
        if replica is None or replica.revision != service.revision:
            return None
        if not isinstance(replica.phase, Exited):
            return None
        decision = decide_restart(service.restart, replica, replica.phase, now=now)
        if not isinstance(decision, StayDown):
            return None
        if not replica.phase.succeeded and failed is None:
            failed = Over(succeeded=False, code=replica.phase.code, reason=decision.reason)
    return failed or Over(succeeded=True, code=0, reason="")


def _clock(zone: str) -> tzinfo:
    # The one that every machine knows, also without a list of the others.
    return UTC if zone == "UTC" else ZoneInfo(zone)


def _upwards(schedule: Schedule, after: float) -> Iterator[float]:
    expression = WORDS.get(schedule.cron, schedule.cron)
    last = after
    for found in CronSim(expression, datetime.fromtimestamp(after, _clock(schedule.zone))):
        moment = found.timestamp()
        # Where the clock goes back, the same time of day comes twice: once counts.
        if moment > last:
            last = moment
            yield moment
