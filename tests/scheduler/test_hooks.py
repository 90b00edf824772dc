"""Hooks: run once, in their place, and waited for."""

from dataclasses import replace

import pytest
from builders import NOW, host, replica, service, stack

from scheduler import plan_stack, settled
from scheduler.desired import Dependency, Intent, ServiceIntent
from scheduler.ids import ServiceName
from scheduler.observed import Created, HookProgress, Hooks
from scheduler.status import Failed

WAITING, RUNNING, DONE = (HookProgress(one) for one in (Hooks.WAITING, Hooks.RUNNING, Hooks.DONE))
FAILED = HookProgress(Hooks.FAILED, "post_start 1 of 1 exited with 3: no")


def plan(desired, observed):
    return str(plan_stack(desired, observed, now=NOW))


def test_hooks_after_the_start_follow_it_and_dependents_wait_for_them():
    web = service(post_start=True)
    api = service("api", dependencies=(Dependency(service=ServiceName("web")),))

    assert plan(stack(web, api), host()) == (
        "#1 create web.1: slot is empty\n"
        "#2 start web.1 after #1: slot is empty\n"
        "#3 run post_start of web.1 after #2: it has started\n"
        "#4 create api.1: slot is empty\n"
        "held api.1: web is not started: post_start has not run"
    )


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (WAITING, "#1 run post_start of web.1: it has started"),
        (RUNNING, "held web.1: post_start runs"),
        (DONE, ""),
        (FAILED, "held web.1: post_start 1 of 1 exited with 3: no"),
    ],
)
def test_hooks_of_a_replica_that_runs(progress, expected):
    assert plan(stack(service(post_start=True)), host(replica(1, post_start=progress))) == expected


def test_a_hook_that_failed_fails_the_stack():
    desired, observed = stack(service(post_start=True)), host(replica(1, post_start=FAILED))

    verdict = settled(desired, observed, plan_stack(desired, observed, now=NOW), now=NOW)

    assert isinstance(verdict, Failed)
    assert "exited with 3: no" in verdict.reason


def test_hooks_before_the_first_start_run_once_for_all_replicas():
    desired = stack(service(pre_start=True, replicas=2))
    created = [replica(slot, Created()) for slot in (1, 2)]
    web = ServiceName("web")

    assert plan(desired, host(*created, pre_start={web: WAITING})) == (
        "#1 run pre_start of web.1: before the first start\nheld web.2: pre_start has not run yet"
    )
    assert "start web" not in plan(desired, host(*created, pre_start={web: RUNNING}))
    assert plan(desired, host(*created, pre_start={web: DONE})).count("#") == 2


@pytest.mark.parametrize("intent", [Intent.STOP, Intent.REMOVE])
def test_hooks_before_the_stop_come_before_it(intent):
    desired = stack(service(), intent=intent)

    assert "#1 run pre_stop of web.1" in plan(desired, host(replica(1, pre_stop=WAITING)))
    assert plan(desired, host(replica(1, pre_stop=RUNNING))) == "held web.1: pre_stop runs"
    assert "#1 stop web.1" in plan(desired, host(replica(1, pre_stop=DONE)))
    assert "stop web.1:" not in plan(desired, host(replica(1, pre_stop=FAILED)))


def test_who_gives_no_time_leaves_hooks_out():
    desired = stack(service(), intent=Intent.REMOVE, stop_grace=0.0)

    assert "#1 kill web.1" in plan(desired, host(replica(1, pre_stop=WAITING)))


@pytest.mark.parametrize("progress", [WAITING, RUNNING, FAILED])
def test_a_service_that_is_stopped_runs_its_hooks_first_unless_no_time_is_given(progress):
    stopped = service(intent=ServiceIntent.STOPPED, stop_grace=0.0)
    observed = host(replica(1, pre_stop=progress))

    assert "kill web.1" not in plan(stack(stopped), observed)
    assert plan(stack(replace(stopped, at_once=True)), observed) == (
        "#1 kill web.1: was stopped by hand"
    )


def test_a_restart_without_time_leaves_hooks_out():
    again = service(restart_before=NOW, stop_grace=0.0)
    observed = host(replica(1, pre_stop=WAITING))

    assert "#1 run pre_stop of web.1" in plan(stack(again), observed)
    assert "#1 kill web.1" in plan(stack(replace(again, at_once=True)), observed)


def test_a_machine_that_goes_down_does_not_insist_on_hooks():
    desired = replace(stack(service(), intent=Intent.STOP), pre_stop_binds=False)

    assert "#1 run pre_stop of web.1" in plan(desired, host(replica(1, pre_stop=WAITING)))
    assert "#1 stop web.1" in plan(desired, host(replica(1, pre_stop=FAILED)))


def test_a_replica_that_is_replaced_runs_its_hooks_first():
    old = replica(1, revision="r0", pre_stop=WAITING)

    assert plan(stack(service()), host(old)).startswith("#1 run pre_stop of web.1: revision r0")
