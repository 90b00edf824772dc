"""When an exited replica comes back: modes, counts, windows, pauses."""

from builders import NOW, replica
from hypothesis import given
from hypothesis import strategies as st

from scheduler.desired import RestartMode, RestartPolicy
from scheduler.ids import StackName
from scheduler.observed import Exited, Illness, ObservedStack, Running
from scheduler.restart import (
    RestartAt,
    RestartNow,
    StayDown,
    ask_for_ended,
    decide_healing,
    decide_restart,
)

FOREVER = (RestartMode.ALWAYS, RestartMode.UNLESS_STOPPED)
moments = st.floats(0, 1e6)
policies = st.builds(
    RestartPolicy,
    mode=st.sampled_from(RestartMode),
    max_attempts=st.none() | st.integers(1, 5),
    window=st.none() | st.floats(0.1, 600),
    delay=st.floats(0, 30),
    first_delay=st.floats(0.01, 5),
    longest_delay=st.floats(5, 300),
    settled_after=st.floats(0, 60),
    quarantine=st.none() | st.integers(1, 5),
)


def decide(policy, code=1, *, lived=1.0, ago=0.0, now=NOW, **history):
    exited = Exited(code=code, at=now - ago, lived=lived)
    return decide_restart(policy, replica(1, exited, **history), exited, now=now)


def lives(policy, *, code=1, lived=0.0, runs):
    """Play a replica that ends again and again; return how long each pause was, until it stays."""
    now, attempts, counted, pauses = NOW, 0, (), []
    for _ in range(runs):
        ended = now = now + lived
        exited = Exited(code=code, at=ended, lived=lived)
        found = replica(1, exited, attempts=attempts, counted=counted)
        decision = decide_restart(policy, found, exited, now=now)
        if isinstance(decision, RestartAt):
            now = decision.moment
            decision = decide_restart(policy, found, exited, now=now)
        if isinstance(decision, StayDown):
            break
        attempts, counted = decision.attempt, decision.counted
        pauses.append(round(now - ended, 3))
    return pauses


def test_pauses_begin_with_the_second_restart_and_double_up_to_the_longest():
    policy = RestartPolicy(mode=RestartMode.ALWAYS)

    assert lives(policy, runs=6) == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6]
    assert lives(policy, runs=20)[-3:] == [60.0, 60.0, 60.0]


def test_after_ten_seconds_of_life_every_restart_is_immediate():
    policy = RestartPolicy(mode=RestartMode.ALWAYS)

    assert lives(policy, lived=10.0, runs=5) == [0.0] * 5
    assert lives(policy, lived=9.9, runs=3) == [0.0, 0.1, 0.2]


def test_a_delay_is_the_least_pause_and_the_back_off_still_grows_beyond_it():
    policy = RestartPolicy(mode=RestartMode.ALWAYS, delay=0.5)

    assert lives(policy, runs=6) == [0.5, 0.5, 0.5, 0.5, 0.8, 1.6]
    assert lives(policy, lived=60.0, runs=2) == [0.5, 0.5]


def test_attempts_are_counted_however_long_the_runs_last():
    policy = RestartPolicy(mode=RestartMode.ON_FAILURE, max_attempts=3)

    assert len(lives(policy, lived=1.0, runs=9)) == 3
    assert len(lives(policy, lived=3600.0, runs=9)) == 3


def test_only_attempts_within_the_window_are_counted():
    policy = RestartPolicy(mode=RestartMode.ALWAYS, max_attempts=2, window=30.0)

    assert len(lives(policy, lived=1.0, runs=9)) == 2
    assert len(lives(policy, lived=20.0, runs=9)) == 9


def test_who_is_given_up_stays_so_however_much_time_goes_by():
    policy = RestartPolicy(mode=RestartMode.ALWAYS, max_attempts=1, window=30.0)

    given_up = decide(policy, ago=0.0, counted=(NOW - 1,))
    later = decide(policy, ago=1000.0, counted=(NOW - 1001,))

    assert given_up == later
    assert isinstance(later, StayDown)
    assert later.given_up
    assert later.reason == "exited with 1, gave up after 1 restarts within 30 s"


def test_a_crash_loop_is_put_into_quarantine_and_a_run_that_lasts_is_not():
    policy = RestartPolicy(mode=RestartMode.ALWAYS, quarantine=4)

    assert len(lives(policy, runs=9)) == 4
    assert len(lives(policy, lived=10.0, runs=9)) == 9


def test_what_is_never_well_for_long_is_healed_so_often_and_then_left_as_it_is():
    policy = RestartPolicy(mode=RestartMode.ALWAYS, heal_limit=2, longest_delay=1.0)
    ill, well = Illness(since=NOW - 60, well_for=1.0), Illness(since=NOW - 60, well_for=60.0)

    def heal(attempts, illness):
        found = replica(1, Running(since=NOW - 99, illness=illness), attempts=attempts)
        return decide_healing(policy, found, illness, now=NOW)

    assert isinstance(heal(1, ill), RestartNow)
    assert heal(2, ill) == StayDown(
        "is unhealthy, left as it is after 2 restarts in a row", given_up=True
    )
    assert heal(2, well) == RestartNow(1, "is unhealthy, restart 1")
    assert isinstance(decide(policy, attempts=9, lived=0.0, ago=60.0), RestartNow)


@given(policy=policies, code=st.integers(0, 255), lived=moments, attempts=st.integers(0, 99))
def test_a_decision_only_ever_moves_on_with_time(policy, code, lived, attempts):
    exited = Exited(code=code, at=NOW, lived=lived)
    found = replica(1, exited, attempts=attempts)
    first = decide_restart(policy, found, exited, now=NOW)
    later = decide_restart(policy, found, exited, now=NOW + 1000)

    match first:
        case StayDown():
            assert later == first
        case RestartAt(moment, attempt, _):
            assert NOW < moment <= NOW + max(policy.longest_delay, policy.delay)
            assert isinstance(later, RestartNow)
            assert later.attempt == attempt
        case RestartNow(attempt):
            assert isinstance(later, RestartNow)
            assert later.attempt == attempt


@given(policy=policies, lived=st.floats(0, 100))
def test_no_more_restarts_are_made_than_allowed(policy, lived):
    made = lives(policy, lived=lived, runs=12)

    if policy.mode is RestartMode.NO:
        assert made == []
    elif policy.max_attempts is not None and policy.window is None:
        assert len(made) <= policy.max_attempts
    elif policy.mode in FOREVER and policy.max_attempts is None and policy.quarantine is None:
        assert len(made) == 12


@given(policy=policies, code=st.integers(0, 255), stopped=st.booleans(), tries=st.integers(0, 9))
def test_whatever_is_asked_for_again_runs_again_and_is_counted_anew(policy, code, stopped, tries):
    exited = Exited(code=code, at=NOW, stopped=stopped)
    found = replica(1, exited, attempts=tries, counted=(NOW,) * tries, asked=True)
    decision = decide_restart(policy, found, exited, now=NOW)

    assert isinstance(decision, RestartNow)
    assert (decision.attempt, decision.counted) == (0, ())


@given(policy=policies)
def test_what_ended_with_the_machine_comes_back_if_its_policy_has_anything_come_back(policy):
    exited = Exited(code=255, at=0.0, stopped=True, before_boot=True)
    decision = decide_restart(policy, replica(1, exited), exited, now=NOW)

    assert isinstance(decision, StayDown) == (policy.mode is RestartMode.NO)


def test_asking_for_a_stack_asks_for_what_failed_or_was_stopped_and_not_for_jobs_done():
    ends = {
        1: Exited(code=1, at=NOW),
        2: Exited(code=0, at=NOW),
        3: Exited(code=0, at=NOW, stopped=True),
    }
    found = ObservedStack(
        name=StackName("shop"), replicas=tuple(replica(slot, one) for slot, one in ends.items())
    )

    assert [one.asked for one in ask_for_ended(found).replicas] == [True, False, True]
    assert not any(one.asked for one in ask_for_ended(found, ()).replicas)


# ── healing ──────────────────────────────────────────────────────────────────────────────


def heals(policy, *, well, runs):
    """Play a replica that is ill again and again; return how long each was left so."""
    now, attempts, counted, pauses = NOW, 0, (), []
    for _ in range(runs):
        ill = now = now + 30.0 + well
        illness = Illness(since=ill, well_for=well)
        found = replica(1, Running(since=NOW), attempts=attempts, counted=counted)
        decision = decide_healing(policy, found, illness, now=now)
        if isinstance(decision, RestartAt):
            now = decision.moment
            decision = decide_healing(policy, found, illness, now=now)
        if isinstance(decision, StayDown):
            break
        attempts, counted = decision.attempt, decision.counted
        pauses.append(round(now - ill, 3))
    return pauses


def test_the_ill_are_healed_at_once_and_ever_more_slowly_unless_they_were_well_for_long():
    policy = RestartPolicy(mode=RestartMode.ON_FAILURE)

    assert heals(policy, well=1.0, runs=4) == [0.0, 0.1, 0.2, 0.4]
    assert heals(policy, well=10.0, runs=4) == [0.0] * 4


@given(policy=policies, well=st.floats(0, 100))
def test_healing_keeps_to_the_limits_of_restarts(policy, well):
    made = heals(policy, well=well, runs=12)

    if policy.mode is RestartMode.NO:
        assert made == []
    elif policy.max_attempts is not None and policy.window is None:
        assert len(made) <= policy.max_attempts
    elif policy.max_attempts is None and policy.quarantine is not None:
        assert len(made) == 12 if well >= policy.settled_after else policy.quarantine


@given(policy=policies, attempts=st.integers(1, 9))
def test_what_was_stopped_to_be_healed_runs_again_and_its_restart_counts(policy, attempts):
    exited = Exited(code=143, at=NOW, stopped=True)
    found = replica(1, exited, attempts=attempts, counted=(NOW,), healing=True)
    decision = decide_restart(policy, found, exited, now=NOW)

    if policy.mode is not RestartMode.NO:
        assert decision == RestartNow(attempts, f"was unhealthy, restart {attempts}", (NOW,))
