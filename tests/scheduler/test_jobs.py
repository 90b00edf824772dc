"""Runs of services that end: how long one may take, and how many go at one time."""

from builders import NOW, host, replica, service, stack

from scheduler import Failed, Settled, Waiting, plan_stack, settled
from scheduler.actions import StartReplica
from scheduler.desired import Condition, Dependency, RestartMode, RestartPolicy, Schedule
from scheduler.ids import ServiceName
from scheduler.observed import Created, Exited, Running

ONCE = RestartPolicy(mode=RestartMode.NO)
RETRIED = RestartPolicy(mode=RestartMode.ON_FAILURE, max_attempts=1)


def plan(desired, observed, *, now=NOW):
    return plan_stack(desired, observed, now=now)


def starts(plan):
    return [str(one.action.replica) for one in plan.steps if isinstance(one.action, StartReplica)]


def test_a_run_may_take_its_time_and_no_longer():
    wanted = stack(service(timeout=60.0, restart=ONCE))
    running = host(replica(1, Running(since=NOW - 10)))

    early = plan(wanted, running)
    late = plan(wanted, running, now=NOW + 50)

    assert (str(early), early.wake_at) == ("", NOW + 50)
    assert str(late).splitlines() == [
        "#1 give web.1 no more time: ran for more than 60 s",
        "#2 stop web.1 after #1: ran for more than 60 s",
    ]


def test_who_gets_no_time_to_stop_is_killed_when_its_run_is_over():
    wanted = stack(service(timeout=60.0, restart=ONCE, stop_grace=0.0))

    made = plan(wanted, host(replica(1, Running(since=NOW - 60))))

    assert str(made).splitlines()[1] == "#2 kill web.1 after #1: ran for more than 60 s"


def test_a_run_that_was_too_long_is_a_failure_even_when_it_ends_with_0():
    ended = replica(1, Exited(code=0, at=NOW, lived=60.0, overdue=True))
    once, retried = stack(service(restart=ONCE)), stack(service(restart=RETRIED))

    assert settled(once, host(ended), plan(once, host(ended)), now=NOW) == Failed(
        "web.1 ran too long and exited with 0"
    )
    assert starts(plan(retried, host(ended))) == ["web.1"]


def test_nobody_who_waits_for_success_takes_a_run_that_was_too_long_for_one():
    last = Dependency(service=ServiceName("web"), condition=Condition.COMPLETED)
    wanted = stack(service(restart=ONCE), service("next", dependencies=(last,)))
    ended = replica(1, Exited(code=0, at=NOW, overdue=True))

    made = plan(wanted, host(ended))

    assert [(one.subject, one.stuck) for one in made.held] == [("next.1", True)]
    assert starts(plan(wanted, host(replica(1, Exited(code=0, at=NOW))))) == ["next.1"]


def test_a_job_is_waited_for_until_it_has_ended_and_other_services_are_not():
    for wanted in (service(), service(is_job=True, schedule=Schedule(cron="@daily"))):
        found = host(replica(1))
        state = settled(stack(wanted), found, plan(stack(service()), found), now=NOW)
        assert state == Settled()

    job = stack(service(is_job=True, restart=ONCE))
    running, done = host(replica(1)), host(replica(1, Exited(code=0, at=NOW)))
    assert settled(job, running, plan(job, running), now=NOW) == Waiting()
    assert settled(job, done, plan(job, done), now=NOW) == Settled()


def test_so_many_replicas_run_at_one_time_and_the_others_follow():
    wanted = stack(service(replicas=4, most_at_once=2, restart=ONCE))

    first = plan(wanted, host())
    going = host(replica(1), replica(2, Exited(code=0, at=NOW)), replica(3, Created()))

    assert starts(first) == ["web.1", "web.2"]
    assert [one.subject for one in first.held] == ["web.3", "web.4"]
    assert starts(plan(wanted, going)) == ["web.3"]
    assert starts(plan(wanted, host(replica(1), replica(2)))) == []
