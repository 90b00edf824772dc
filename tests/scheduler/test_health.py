"""When a replica is asked how it is, and what its answers add up to."""

from dataclasses import dataclass, field

from hypothesis import assume, given
from hypothesis import strategies as st

from scheduler.desired import CheckKind, Healthcheck
from scheduler.health import HealthState, add_up, judge_probe, next_probe
from scheduler.observed import Health

SINCE = 1000.0
checks = st.builds(
    Healthcheck,
    interval=st.floats(0.01, 100),
    retries=st.integers(0, 5),
    start_period=st.just(0.0) | st.floats(0.01, 200),
    start_interval=st.none() | st.floats(0.01, 100),
)
answers = st.lists(st.tuples(st.booleans(), st.floats(0, 30)), min_size=1, max_size=60)


@dataclass
class Run:
    """A run that is asked until its answers are over."""

    check: Healthcheck
    state: HealthState = field(default_factory=HealthState)
    now: float = SINCE
    asked: list[float] = field(default_factory=list)
    passed: float | None = None
    """When a probe last passed."""
    sick: float | None = None
    """When it first was unhealthy."""

    def answer(self, passed: bool, took: float = 0.0) -> None:
        due = next_probe(self.check, self.state, since=SINCE, now=self.now)
        began = max(due, self.now)
        self.now = began + took
        self.asked.append(round(began - SINCE, 3))
        self.state = judge_probe(
            self.check, self.state, passed=passed, since=SINCE, began=began, now=self.now
        )
        if self.state.health is Health.UNHEALTHY and self.sick is None:
            self.sick = self.now
        if passed:
            self.passed = self.now


@given(check=checks, answers=answers)
def test_nobody_is_unhealthy_earlier_than_the_file_says(check, answers):
    run = Run(check)
    for passed, took in answers:
        run.answer(passed, took)
        if run.sick is not None:
            break
    assume(run.sick is not None)

    retries = max(check.retries, 1)
    if run.passed is not None:
        earliest = run.passed + retries * check.interval
    elif check.start_period:
        earliest = SINCE + check.start_period + (retries - 1) * check.interval
    else:
        earliest = SINCE + retries * check.interval
    assert run.sick >= earliest - 1e-6


@given(check=checks)
def test_what_never_answers_well_is_unhealthy_when_the_file_says_and_not_later(check):
    run = Run(check)
    while run.sick is None:
        run.answer(False)

    first = check.start_period or check.interval
    assert run.sick - SINCE <= first + (max(check.retries, 1) - 1) * check.interval + 1e-6


@given(check=checks, answers=answers)
def test_probes_are_in_order_and_after_the_start_an_interval_apart(check, answers):
    run = Run(check)
    for passed, took in answers:
        before, ended = run.state, run.now
        run.answer(passed, took)
        assert run.asked[-1] >= round(ended - SINCE, 3)
        if before.health is not Health.STARTING:
            assert abs(run.asked[-1] - (ended - SINCE) - check.interval) < 0.01
        elif before.probes:
            longest = max(check.interval, check.start_interval or 0)
            assert run.asked[-1] - (ended - SINCE) <= longest + 0.01


def test_the_first_probe_is_immediate_and_a_ramp_follows_until_it_is_ready():
    run = Run(Healthcheck(interval=30.0))
    for _ in range(8):
        run.answer(False)
    run.answer(True)
    run.answer(True)

    assert run.asked[:6] == [0.0, 0.1, 0.35, 0.85, 1.85, 2.85]
    assert run.asked[-1] == run.asked[-2] + 30.0
    assert run.state.health is Health.HEALTHY


def test_where_the_file_says_how_often_there_is_no_ramp():
    run = Run(Healthcheck(interval=10.0, start_period=7.0, start_interval=2.0, retries=1))
    while run.sick is None:
        run.answer(False)

    assert run.asked == [0.0, 2.0, 4.0, 6.0, 7.0]


def test_one_success_is_health_and_undoes_failures():
    run = Run(Healthcheck(interval=1.0, retries=2))
    run.answer(True)
    run.answer(False)
    assert run.state.health is Health.HEALTHY
    run.answer(True)
    run.answer(False)
    assert run.state.health is Health.HEALTHY
    run.answer(False)
    assert run.state.health is Health.UNHEALTHY
    run.answer(True)
    assert run.state.health is Health.HEALTHY


def states(**found):
    return {CheckKind(kind): HealthState(health=health) for kind, health in found.items()}


def test_nothing_else_counts_before_it_has_started():
    for health in (Health.STARTING, Health.UNHEALTHY):
        assert add_up(states(startup=health, liveness=Health.STARTING)) is health
    assert add_up(states(startup=Health.HEALTHY, liveness=Health.UNHEALTHY)) is Health.UNHEALTHY


def test_who_is_not_ready_is_not_ill():
    ill = states(readiness=Health.UNHEALTHY, health=Health.UNHEALTHY)

    assert add_up(states(readiness=Health.UNHEALTHY)) is Health.UNREADY
    assert add_up(states(readiness=Health.UNHEALTHY, liveness=Health.HEALTHY)) is Health.UNREADY
    assert add_up(ill) is Health.UNHEALTHY
    assert add_up(states(readiness=Health.HEALTHY, liveness=Health.HEALTHY)) is Health.HEALTHY


@given(st.dictionaries(st.sampled_from(CheckKind), st.sampled_from(Health), min_size=1))
def test_a_replica_is_healthy_only_when_every_check_says_so(found):
    found = {
        kind: HealthState(health=health)
        for kind, health in found.items()
        if health in (Health.STARTING, Health.HEALTHY, Health.UNHEALTHY)
    }
    assume(found)

    well = all(state.health is Health.HEALTHY for state in found.values())
    assert (add_up(found) is Health.HEALTHY) == well
