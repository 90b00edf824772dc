"""When a service runs that does so by the clock: every moment is decided, and once."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from builders import NOW, host, replica, service, stack
from hypothesis import given
from hypothesis import strategies as st

from scheduler import check_schedule, plan_stack
from scheduler.desired import CatchUp, Overlap, RestartMode, RestartPolicy, Run, Schedule
from scheduler.desired import ServiceIntent as Wanted
from scheduler.observed import Created, Exited
from scheduler.schedule import (
    CORRECTION,
    MOST_COUNTED,
    MOST_MADE_UP,
    MOST_WAITING,
    Agenda,
    Fate,
    Over,
    decide,
    judge_run,
    moments_between,
    next_moment,
    with_run,
)

HOUR, DAY = 3600.0, 86400.0
BERLIN = "Europe/Berlin"
HALF_PAST_TWO = Schedule(cron="30 2 * * *", zone=BERLIN)
SPRING = datetime(2026, 3, 27, tzinfo=UTC).timestamp()
AUTUMN = datetime(2026, 10, 23, tzinfo=UTC).timestamp()


def local(moments, zone=BERLIN):
    return [f"{datetime.fromtimestamp(one, ZoneInfo(zone)):%m-%d %H:%M}" for one in moments]


def between(schedule, start, end):
    return moments_between(schedule, start, end, most=MOST_COUNTED)


def fates(decision):
    return [(one.due, one.fate) for one in decision.turns]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (SPRING, ["03-27 02:30", "03-28 02:30", "03-29 03:00", "03-30 02:30"]),
        (AUTUMN, ["10-23 02:30", "10-24 02:30", "10-25 02:30", "10-26 02:30"]),
    ],
)
def test_a_time_of_day_comes_once_a_day_also_where_the_clock_skips_or_repeats_it(start, expected):
    assert local(between(HALF_PAST_TWO, start, start + 4 * DAY)) == expected


def test_what_comes_every_hour_comes_every_hour_whatever_clocks_show():
    hourly = Schedule(cron="0 * * * *", zone=BERLIN)

    for start in (SPRING, AUTUMN):
        found = between(hourly, start, start + 4 * DAY)
        assert {b - a for a, b in pairwise(found)} == {HOUR}
        assert len(found) == 96


@pytest.mark.parametrize(
    ("cron", "zone", "message"),
    [
        ("0 3 * *", "UTC", "`0 3 \\* \\*` is no cron expression of five fields"),
        ("0 0 0 3 * *", "UTC", "is no cron expression of five fields"),
        ("61 * * * *", "UTC", "`61 .*` is no cron expression: bad minute"),
        ("0 0 31 2 *", "UTC", "is no cron expression: bad day-of-month"),
        ("@often", "UTC", "`@often` is no cron expression"),
        ("@daily", "Europe/Atlantis", "`Europe/Atlantis` is no time zone this machine knows"),
        ("@daily", "../../etc/passwd", "is no time zone this machine knows"),
    ],
)
def test_what_is_no_schedule_is_said_to_be_none(cron, zone, message):
    with pytest.raises(ValueError, match=message):
        check_schedule(cron, zone)


def test_words_and_names_are_schedules():
    for cron in ("@hourly", "0 3 * * MON-FRI", "*/5 * * JAN,JUL *", "0 0 L * *"):
        check_schedule(cron, BERLIN)


schedules = st.builds(
    Schedule,
    cron=st.sampled_from(
        ["30 2 * * *", "*/7 * * * *", "0 */6 * * *", "15 1-4 * * *", "0 12 * * 1"]
    ),
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe"]),
    overlap=st.sampled_from(Overlap),
    catch_up=st.sampled_from(CatchUp),
)
steps = st.lists(
    st.one_of(
        st.floats(1, 90),
        st.floats(60, 9 * HOUR),
        st.floats(-2 * HOUR, -1),
    ),
    min_size=1,
    max_size=60,
)


@given(schedules, steps, st.sampled_from([SPRING, AUTUMN]), st.data())
def test_whenever_and_however_late_it_is_looked_every_moment_is_decided_once(
    schedule, steps, start, data
):
    """Also with clocks set back; a run may be over at any look."""
    now, furthest, decided = start, start, 0
    agenda = Agenda(seen=start)
    taken, number = [], 0
    for step in steps:
        now += step
        furthest = max(furthest, now)
        if agenda.going is not None and data.draw(st.booleans(), label="over"):
            agenda = replace(agenda, going=None)
        decision = decide(schedule, agenda, now=now)
        decided += sum(one.count for one in decision.turns)
        going, waiting = agenda.going, list(agenda.waiting)
        if decision.replaced is not None:
            assert schedule.overlap is Overlap.REPLACE
            assert decision.replaced == going
            going = None
        if decision.begins is not None:
            assert going is None
            going = waiting.pop(0)
        for turn in decision.turns:
            number += 1
            if turn.fate is Fate.RUNS:
                assert going is None, "two runs at one time"
                going = Run(number=number, due=turn.due)
            elif turn.fate is Fate.WAITS:
                waiting.append(Run(number=number, due=turn.due))
            if turn.fate in (Fate.RUNS, Fate.WAITS):
                taken.append(turn.due)
        agenda = Agenda(seen=decision.seen, going=going, waiting=tuple(waiting))

    expected = between(schedule, start, furthest)
    assert decided == len(expected)
    assert taken == sorted(set(taken)), "one came twice, or before an earlier one"
    assert set(taken) <= set(expected)


def test_a_run_is_on_time_for_a_minute_and_missed_after_that():
    three = datetime(2026, 5, 5, 3, tzinfo=UTC).timestamp()
    daily = Schedule(cron="0 3 * * *", catch_up=CatchUp.NONE)

    prompt = decide(daily, Agenda(seen=three - HOUR), now=three + 59)
    late = decide(daily, Agenda(seen=three - HOUR), now=three + 61)

    assert fates(prompt) == [(three, Fate.RUNS)]
    assert fates(late) == [(three, Fate.MISSED)]


@pytest.mark.parametrize(
    ("catch_up", "runs", "missed"),
    [(CatchUp.NONE, 0, 5), (CatchUp.ONCE, 1, 4), (CatchUp.ALL, 5, 0)],
)
def test_what_was_missed_is_made_up_for_as_the_file_says(catch_up, runs, missed):
    start = datetime(2026, 5, 5, 0, 30, tzinfo=UTC).timestamp()
    hourly = Schedule(cron="0 * * * *", catch_up=catch_up)

    found = decide(hourly, Agenda(seen=start), now=start + 5 * HOUR).turns

    taken = [one for one in found if one.fate in (Fate.RUNS, Fate.WAITS)]
    assert len(taken) == runs
    assert [one.fate for one in taken] == [Fate.RUNS, *[Fate.WAITS] * 4][:runs]
    assert sum(one.count for one in found if one.fate is Fate.MISSED) == missed


@pytest.mark.parametrize(
    ("overlap", "fate", "replaced"),
    [
        (Overlap.SKIP, Fate.SKIPPED, False),
        (Overlap.QUEUE, Fate.WAITS, False),
        (Overlap.REPLACE, Fate.RUNS, True),
    ],
)
def test_a_run_that_is_due_while_another_goes_on_does_as_the_file_says(overlap, fate, replaced):
    three = datetime(2026, 5, 5, 3, tzinfo=UTC).timestamp()
    going = Run(number=7, due=three - HOUR)

    found = decide(
        Schedule(cron="0 3 * * *", overlap=overlap),
        Agenda(seen=three - 1, going=going),
        now=three,
    )

    assert fates(found) == [(three, fate)]
    assert found.replaced == (going if replaced else None)


def test_a_clock_that_was_wrong_by_more_than_a_day_begins_anew_and_a_year_is_slept_through():
    start = datetime(2026, 5, 5, 0, 30, tzinfo=UTC).timestamp()
    every_minute = Schedule(cron="* * * * *", catch_up=CatchUp.ALL)

    back = decide(every_minute, Agenda(seen=start), now=start - CORRECTION - 1)
    asleep = decide(every_minute, Agenda(seen=start), now=start + 400 * DAY)

    assert (back.seen, back.turns) == (start - CORRECTION - 1, ())
    assert decide(every_minute, Agenda(seen=start), now=start - HOUR).seen == start
    made_up = [one for one in asleep.turns if one.fate in (Fate.RUNS, Fate.WAITS)]
    assert len(made_up) == MOST_MADE_UP
    assert made_up[-1].due > start + 400 * DAY - 120


def test_no_more_runs_wait_than_anybody_would_want():
    three = datetime(2026, 5, 5, 3, tzinfo=UTC).timestamp()
    waiting = tuple(Run(number=n, due=three - 1) for n in range(MOST_WAITING))

    found = decide(
        Schedule(cron="0 3 * * *", overlap=Overlap.QUEUE),
        Agenda(seen=three - 1, going=Run(number=0, due=0.0), waiting=waiting),
        now=three,
    )

    assert fates(found) == [(three, Fate.SKIPPED)]


def test_the_next_moment_is_after_now():
    assert local([next_moment(HALF_PAST_TWO, SPRING + 2 * DAY)]) == ["03-29 03:00"]


# ── the plan of a service that runs by the clock ─────────────────────────────────────────

JOB = service("job", restart=RestartPolicy(mode=RestartMode.NO), schedule=HALF_PAST_TWO)
SEVENTH = with_run(JOB, Run(number=7, due=SPRING))


def of(run, phase, **settings):
    return replica(1, phase, service="job", revision=run.revision, **settings)


def test_between_two_runs_nothing_runs_and_what_the_next_one_runs_from_is_fetched():
    idle = with_run(JOB, None)
    ended = of(SEVENTH, Exited(code=1, at=NOW - 9))

    assert idle.intent is Wanted.IDLE
    assert str(plan_stack(stack(idle), host(), now=NOW)) == ""
    assert str(plan_stack(stack(idle), host(ended), now=NOW)) == ""
    assert "pull image img" in str(plan_stack(stack(idle), host(images={}), now=NOW))
    assert "stop job.1" in str(plan_stack(stack(idle), host(of(SEVENTH, None)), now=NOW))


def test_every_run_has_containers_of_its_own_and_begins_once():
    eighth = with_run(JOB, Run(number=8, due=SPRING + DAY))
    ended = of(SEVENTH, Exited(code=0, at=NOW - 9))

    assert str(plan_stack(stack(eighth), host(ended), now=NOW)).splitlines() == [
        "#1 remove job.1: run 8 is due",
        "#2 create job.1 after #1: run 8 is due",
        "#3 start job.1 after #2: run 8 is due",
    ]
    made = plan_stack(stack(eighth), host(of(eighth, Created())), now=NOW)
    assert "start job.1" in str(made), "a daemon died before it was started"
    assert str(plan_stack(stack(eighth), host(of(eighth, None)), now=NOW)) == ""
    done = of(eighth, Exited(code=0, at=NOW - 1))
    assert str(plan_stack(stack(eighth), host(done), now=NOW)) == ""


def test_a_run_goes_on_as_it_began_when_its_file_changes():
    changed = with_run(replace(JOB, revision="r2", image="other"), Run(number=7, due=SPRING))
    running = of(SEVENTH, None)

    assert str(plan_stack(stack(changed), host(running, images={"other": "x"}), now=NOW)) == ""


def test_a_run_is_over_when_all_of_it_has_succeeded_or_failed_for_good():
    both = with_run(replace(JOB, replicas=2), Run(number=7, due=SPRING))
    retried = replace(both, restart=RestartPolicy(mode=RestartMode.ON_FAILURE, max_attempts=1))

    def judged(service, first, second, **settings):
        found = [
            replica(slot, phase, service="job", revision=both.revision, **settings)
            for slot, phase in ((1, first), (2, second))
            if phase
        ]
        return judge_run(service, found, now=NOW)

    good, bad = Exited(code=0, at=NOW), Exited(code=3, at=NOW)
    assert judged(both, good, good) == Over(succeeded=True, code=0, reason="")
    assert judged(both, good, bad) == Over(
        succeeded=False, code=3, reason="exited with 3, restart policy is `no`"
    )
    assert judged(both, good, None) is None
    assert judged(both, good, Created()) is None
    assert judged(retried, good, bad) is None
    assert not judged(retried, good, bad, counted=(NOW - 1,)).succeeded
    assert judge_run(both, [of(SEVENTH, good)], now=NOW) is None
