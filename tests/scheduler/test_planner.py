"""What the planner decides, as the plan a person would read."""

import pytest
from builders import NOW, host, replica, service, stack

from scheduler import CyclicDependencyError, plan_stack
from scheduler.desired import (
    CheckKind,
    Condition,
    Content,
    Dependency,
    DesiredVolume,
    Healthcheck,
    Intent,
    OnChange,
    Port,
    RestartMode,
    RestartPolicy,
    Share,
)
from scheduler.ids import ServiceName, StackName, VolumeName
from scheduler.observed import (
    Exited,
    Health,
    HostListener,
    Neighbour,
    ObservedVolume,
    Running,
    Stopping,
)

ALWAYS = RestartPolicy(mode=RestartMode.ALWAYS)
CHECK = {CheckKind.HEALTH: Healthcheck()}


def plan(desired, observed):
    return str(plan_stack(desired, observed, now=NOW))


def test_an_empty_slot_is_filled():
    assert plan(stack(service()), host()) == (
        "#1 create web.1: slot is empty\n#2 start web.1 after #1: slot is empty"
    )


def test_a_matching_replica_is_left_alone():
    assert plan(stack(service()), host(replica(1))) == ""


def test_other_limits_are_taken_on_without_a_new_container():
    wanted = stack(service(limits={"memory": "128 MiB", "cpus": "1"}, replicas=2))
    found = host(
        replica(1, limits={"memory": "64 MiB", "processes": "10"}),
        replica(2, limits={"memory": "128 MiB", "cpus": "1"}),
    )

    assert plan(wanted, found) == (
        "#1 update limits of web.1: memory 64 MiB → 128 MiB, cpus none → 1, processes 10 → none"
    )


def holding(on_change, told=""):
    """Files of a service whose contents are changed in place, and are other ones by now."""
    return {"/f": Content(name="config app", digest="new", on_change=on_change, told=told)}


def test_other_content_is_put_in_place_and_told_as_the_file_says():
    old = {"/f": "old"}
    for on_change, told, step in (
        (OnChange.NONE, "", "#1 refresh files of web.1: config app has other content"),
        (
            OnChange.SIGNAL,
            "sends SIGHUP",
            "#1 refresh files of web.1: config app has other content, sends SIGHUP",
        ),
        (OnChange.RESTART, "", "#1 stop web.1: config app has other content"),
    ):
        wanted = stack(service(contents=holding(on_change, told)))
        assert plan(wanted, host(replica(1, contents=old))) == step
        assert plan(wanted, host(replica(1, contents={"/f": "new"}))) == ""


def test_replicas_are_restarted_for_other_content_one_after_the_other():
    old, new = {"/f": "old"}, {"/f": "new"}
    wanted = stack(service(contents=holding(OnChange.RESTART), replicas=2))

    both = host(replica(1, contents=old), replica(2, contents=old))
    first = host(
        replica(1, Exited(code=0, at=NOW - 1, stopped=True), contents=old),
        replica(2, contents=old),
    )
    second = host(replica(1, contents=new), replica(2, contents=old))

    assert plan(wanted, both) == (
        "#1 stop web.1: config app has other content\nheld web.2: waiting for web.1 to be restarted"
    )
    assert plan(wanted, first).startswith(
        "#1 refresh files of web.1: config app has other content\n"
        "#2 start web.1 after #1: was stopped\n"
    )
    assert plan(wanted, second) == "#1 stop web.2: config app has other content"


def test_what_does_not_run_is_told_nothing_and_finds_other_content_when_it_starts():
    wanted = stack(service(contents=holding(OnChange.SIGNAL, "sends SIGHUP"), restart=ALWAYS))
    down = Exited(code=1, at=NOW - 60, lived=60.0)

    assert plan(wanted, host(replica(1, down, contents={"/f": "old"}))) == (
        "#1 refresh files of web.1: config app has other content\n"
        "#2 start web.1 after #1: exited with 1, restart 1"
    )


def test_a_stopped_replica_takes_on_other_limits_before_it_starts():
    wanted = stack(service(limits={"memory": "128 MiB"}))
    stopped = Exited(code=0, at=NOW - 5, stopped=True)

    assert plan(wanted, host(replica(1, stopped, limits={"memory": "64 MiB"}))) == (
        "#1 update limits of web.1: memory 64 MiB → 128 MiB\n#2 start web.1 after #1: was stopped"
    )


def test_a_replica_that_is_replaced_gets_its_limits_with_the_new_container():
    wanted = stack(service(limits={"memory": "128 MiB"}))

    assert "limits" not in plan(
        wanted, host(replica(1, revision="r0", limits={"memory": "64 MiB"}))
    )


MORE = {"ceiling": {"cpus": "2", "memory": "1 GiB"}, "ceiling_cpus": 2.0}
LESS = {"ceiling": {"cpus": "1"}, "ceiling_cpus": 1.0}


def test_nothing_starts_before_the_stack_keeps_to_its_ceiling():
    assert plan(stack(service(), **MORE), host()) == (
        "#1 update limits of the stack: cpus none → 2, memory none → 1 GiB\n"
        "#2 create web.1: slot is empty\n"
        "#3 start web.1 after #1, #2: slot is empty"
    )
    assert plan(stack(service(), **MORE), host(replica(1), **MORE)) == ""


def test_a_ceiling_that_rises_comes_before_the_limits_below_it_and_one_that_sinks_after():
    high, low = {"cpus": "2"}, {"cpus": "1"}

    assert plan(stack(service(limits=high), **MORE), host(replica(1, limits=low), **LESS)) == (
        "#1 update limits of the stack: cpus 1 → 2, memory none → 1 GiB\n"
        "#2 update limits of web.1 after #1: cpus 1 → 2"
    )
    assert plan(stack(service(limits=low), **LESS), host(replica(1, limits=high), **MORE)) == (
        "#1 update limits of web.1: cpus 2 → 1\n"
        "#2 update limits of the stack after #1: cpus 2 → 1, memory 1 GiB → none"
    )


def test_a_ceiling_that_is_gone_is_lifted():
    assert plan(stack(service()), host(replica(1), **LESS)) == (
        "#1 update limits of the stack: cpus 1 → none"
    )


def test_a_replica_whose_monitor_died_is_stopped_and_started_again_by_its_policy():
    lost = Running(since=NOW - 60, monitored=False)

    assert plan(stack(service(restart=ALWAYS)), host(replica(1, lost))) == (
        "#1 stop web.1: its monitor died: nobody keeps its output"
    )
    assert plan(stack(service()), host(replica(1, lost))) == "", "a job is let go on"


def test_an_end_without_a_monitor_counts_for_no_limit_of_restarts():
    policy = RestartPolicy(mode=RestartMode.ALWAYS, max_attempts=1)
    lost = Exited(code=141, at=NOW, lived=1.0, why="monitor died", lost=True)

    assert plan(stack(service(restart=policy)), host(replica(1, lost, attempts=1))) == (
        "#1 start web.1: exited with 141, monitor died"
    )


def test_more_processors_than_there_are_are_refused():
    found = plan_stack(stack(service(cpus=2.5)), host(), now=NOW)

    assert str(found) == (
        "held web: may use 2.5 cpus: the machine has 2\n"
        "held web.1: may use 2.5 cpus: the machine has 2"
    )
    assert found.held[0].stuck
    assert plan_stack(stack(service(cpus=2.0)), host(), now=NOW).held == ()


def test_a_missing_image_is_pulled_first():
    assert plan(stack(service(image="other")), host()) == (
        "#1 pull image other: is missing\n"
        "#2 create web.1 after #1: slot is empty\n"
        "#3 start web.1 after #2: slot is empty"
    )


def test_scaling_down_empties_the_highest_slot_first():
    assert plan(stack(service()), host(replica(1), replica(2), replica(3))) == (
        "#1 stop web.3: scale down to 1\n#2 stop web.2: scale down to 1"
    )


def test_a_running_replica_of_another_revision_is_told_to_stop_first():
    assert plan(stack(service()), host(replica(1, revision="r0"))) == (
        "#1 stop web.1: revision r0 is not r1"
    )


def test_a_stopped_replica_of_another_revision_is_replaced_in_one_plan():
    gone = replica(1, Exited(code=0, at=NOW, stopped=True), revision="r0")

    assert plan(stack(service()), host(gone)) == (
        "#1 remove web.1: revision r0 is not r1\n"
        "#2 create web.1 after #1: revision r0 is not r1\n"
        "#3 start web.1 after #2: revision r0 is not r1"
    )


def test_replicas_that_run_are_replaced_one_at_a_time():
    old = [replica(slot, revision="r0") for slot in (1, 2)]

    assert plan(stack(service(replicas=2)), host(*old)) == (
        "#1 stop web.1: revision r0 is not r1\nheld web.2: waiting for web.1 to be replaced"
    )


def test_the_first_restart_is_immediate_and_the_second_waits():
    crashed = Exited(code=1, at=NOW - 0.05, lived=1.0)

    first = plan(stack(service(restart=ALWAYS)), host(replica(1, crashed)))
    second = plan_stack(
        stack(service(restart=ALWAYS)), host(replica(1, crashed, attempts=1)), now=NOW
    )

    assert first == "#1 start web.1: exited with 1, restart 1"
    assert second.steps == ()
    assert second.wake_at == pytest.approx(NOW + 0.05)


def test_a_dependent_starts_after_what_it_depends_on_in_the_same_plan():
    web = service(dependencies=(Dependency(service=ServiceName("db")),))

    assert plan(stack(web, service("db")), host()) == (
        "#1 create db.1: slot is empty\n"
        "#2 start db.1 after #1: slot is empty\n"
        "#3 create web.1: slot is empty\n"
        "#4 start web.1 after #2, #3: slot is empty"
    )


def test_a_dependent_is_held_until_its_dependency_is_healthy():
    wait = Dependency(service=ServiceName("db"), condition=Condition.HEALTHY)
    wanted = stack(service(dependencies=(wait,)), service("db", checks=CHECK))
    starting = Running(since=NOW - 1, health=Health.STARTING)
    healthy = Running(since=NOW - 1, health=Health.HEALTHY)

    early = plan(wanted, host(replica(1, starting, service="db")))
    late = plan(wanted, host(replica(1, healthy, service="db")))

    assert early == "#1 create web.1: slot is empty\nheld web.1: db is not healthy yet"
    assert late == "#1 create web.1: slot is empty\n#2 start web.1 after #1: slot is empty"


def test_a_port_somebody_else_has_is_named_with_its_holder():
    wanted = stack(service(ports=(Port(target=80, host_ports=(8080,)),)))
    taken = HostListener(protocol="tcp", address="0.0.0.0", port=8080, holder="nginx (pid 7)")

    found = plan_stack(wanted, host(listeners=(taken,)), now=NOW)

    assert "held web: port 8080 is in use by nginx (pid 7)" in str(found)
    assert any(held.stuck for held in found.held)


def test_f39_a_cycle_is_named():
    one = service("a", dependencies=(Dependency(service=ServiceName("b")),))
    other = service("b", dependencies=(Dependency(service=ServiceName("a")),))

    with pytest.raises(CyclicDependencyError, match="a -> b -> a"):
        plan_stack(stack(one, other), host(), now=NOW)


def test_going_down_stops_dependents_first_and_kills_those_that_take_too_long():
    web = service(dependencies=(Dependency(service=ServiceName("db")),))
    wanted = stack(web, service("db"), intent=Intent.REMOVE)

    first = plan(wanted, host(replica(1), replica(1, service="db")))
    later = plan(wanted, host(replica(1, Stopping(until=NOW - 1)), replica(1, service="db")))

    assert first == "#1 stop web.1: stack goes down\nheld db.1: web stops first"
    assert later == (
        "#1 kill web.1: did not stop in time\n"
        "#2 remove web.1 after #1: stack goes down\n"
        "#3 stop db.1 after #1: stack goes down"
    )


@pytest.mark.parametrize("asked", [True, False])
def test_a_volume_is_removed_only_when_somebody_asked_for_it(asked):
    wanted = stack(
        service(),
        volumes=(DesiredVolume(name=VolumeName("shop_data")),),
        intent=Intent.REMOVE,
        remove_volumes=asked,
    )
    volume = ObservedVolume(name=VolumeName("shop_data"), stack=StackName("shop"))

    assert ("remove volume" in plan(wanted, host(volumes=(volume,)))) is asked


GONE = "its network namespace or its files are gone"


def test_after_a_reboot_a_replica_is_prepared_and_started_not_replaced():
    found = replica(1, Exited(code=255, at=0.0, stopped=True), sandbox_intact=False)

    assert plan(stack(service(restart=ALWAYS)), host(found)) == (
        f"#1 prepare web.1: {GONE}\n#2 start web.1 after #1: was stopped"
    )


def test_after_a_reboot_what_had_ended_stays_as_it_is():
    found = replica(1, Exited(code=0, at=0.0), sandbox_intact=False)

    assert plan(stack(service()), host(found)) == ""


def test_after_a_reboot_dependents_wait_until_what_they_need_is_healthy():
    db = service("db", checks=CHECK)
    web = service(
        dependencies=(Dependency(service=ServiceName("db"), condition=Condition.HEALTHY),)
    )
    ended = Exited(code=255, at=0.0, stopped=True)
    found = [replica(1, ended, service=name, sandbox_intact=False) for name in ("db", "web")]

    assert plan(stack(db, web), host(*found)) == (
        f"#1 prepare db.1: {GONE}\n"
        "#2 start db.1 after #1: was stopped\n"
        f"#3 prepare web.1: {GONE}\n"
        "held web.1: db is not healthy yet"
    )


def test_a_volume_that_others_name_is_kept_whoever_asks():
    wanted = stack(service(), intent=Intent.REMOVE, remove_volumes=True)
    shared = ObservedVolume(
        name=VolumeName("shop_data"), stack=StackName("shop"), others=(StackName("blog"),)
    )

    assert plan(wanted, host(volumes=(shared,))) == ""


# ── sharing with another container ───────────────────────────────────────────────────────────

SHARING = service(
    "side",
    shares=(Share("network", "shop.web.1"),),
    dependencies=(Dependency(service=ServiceName("web")),),
)


def side(made, **settings):
    return replica(1, service="side", shares={"shop.web.1": made}, **settings)


def test_who_shares_is_made_after_whom_it_shares_with():
    assert plan(stack(service(), SHARING), host()) == (
        "#1 create web.1: slot is empty\n"
        "#2 start web.1 after #1: slot is empty\n"
        "#3 create side.1 after #1: slot is empty\n"
        "#4 start side.1 after #2, #3: slot is empty"
    )


def test_who_shares_with_the_container_that_is_there_is_left_alone():
    assert plan(stack(service(), SHARING), host(replica(1, made="m"), side("m"))) == ""


def test_who_shares_with_one_that_is_gone_is_made_anew():
    wanted = stack(service(stop_grace=0.0), SHARING)

    assert "shop.web.1, whose network it shares, is a new one" in plan(
        wanted, host(replica(1, made="new"), side("old"))
    )


def test_who_shares_stays_until_the_new_one_is_there():
    found = host(replica(1, revision="r0", made="m"), side("m"))

    assert plan(stack(service(), SHARING), found) == "#1 stop web.1: revision r0 is not r1"


def test_who_shares_is_not_made_while_the_other_one_is_replaced():
    found = host(replica(1, revision="r0", made="m"))

    said = plan(stack(service(), SHARING), found)

    assert "create side.1" not in said
    assert "side.1: waiting for web.1, whose network it shares" in said


def test_who_shares_with_nobody_is_stuck_and_the_rest_goes_on():
    lost = service("side", shares=(Share("pid", "other-app-1"),))

    found = plan_stack(stack(service(), lost), host(), now=NOW)

    assert [str(step) for step in found.steps] == [
        "#1 create web.1: slot is empty",
        "#2 start web.1 after #1: slot is empty",
    ]
    told = [one for one in found.held if one.stuck]
    assert [one.reason for one in told] == [
        "there is no container `other-app-1`, whose pid it shares"
    ]


def test_who_shares_with_another_stack_knows_it_by_its_id():
    neighbours = {"other-app-1": Neighbour("other.app.1", "m")}
    lost = service("side", shares=(Share("ipc", "other-app-1"),))

    found = plan_stack(stack(lost), host(neighbours=neighbours), now=NOW)

    assert found.steps[0].action.shares == (("ipc", "other.app.1"),)


def test_who_shares_with_a_service_scaled_to_nothing_is_stuck():
    found = plan_stack(stack(service(replicas=0), SHARING), host(), now=NOW)

    assert found.steps == ()
    assert any(one.stuck and "there is to be no web.1" in one.reason for one in found.held)
