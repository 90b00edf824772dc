"""Whether a service may run on this machine, and how many of its replicas."""

import pytest
from builders import NOW, host, replica, service, stack

from scheduler import claims, plan_stack, reserve
from scheduler.desired import Constraint
from scheduler.ids import Revision
from scheduler.observed import Machine

HERE = Machine(name="Attic", architecture="x86_64", labels={"disk": "ssd"})


def held(service_, *replicas):
    found = plan_stack(stack(service_), host(*replicas, machine=HERE), now=NOW).held
    return {one.subject: one.reason for one in found}


@pytest.mark.parametrize(
    "constraint",
    [
        Constraint(key="node.hostname", value="attic"),
        Constraint(key="node.hostname", value="cellar", equal=False),
        Constraint(key="node.platform.os", value="linux"),
        Constraint(key="node.platform.arch", value="amd64"),
        Constraint(key="node.platform.arch", value="x86_64"),
        Constraint(key="node.labels.disk", value="SSD"),
        Constraint(key="engine.labels.disk", value="ssd"),
        Constraint(key="node.labels.zone", value="a", equal=False),
        Constraint(key="node.role", value="manager"),
        Constraint(key="node.role", value="manager", equal=False),
    ],
    ids=str,
)
def test_a_service_runs_where_what_it_asks_holds(constraint):
    assert held(service(constraints=(constraint,))) == {}


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        (
            Constraint(key="node.hostname", value="cellar"),
            "is to run where `node.hostname == cellar`: this machine's is `attic`",
        ),
        (
            Constraint(key="node.labels.disk", value="ssd", equal=False),
            "is to run where `node.labels.disk != ssd`: this machine's is `ssd`",
        ),
        (
            Constraint(key="node.labels.zone", value="a"),
            "is to run where `node.labels.zone == a`: this machine has no such label",
        ),
        (
            Constraint(key="node.platform.arch", value="arm64"),
            "is to run where `node.platform.arch == arm64`: this machine's is `amd64, x86_64`",
        ),
    ],
    ids=str,
)
def test_a_service_is_held_where_it_does_not(constraint, reason):
    assert held(service(replicas=2, constraints=(constraint,))) == {
        "web.1": reason,
        "web.2": reason,
    }


def test_replicas_beyond_what_one_machine_may_hold_are_held():
    assert held(service(replicas=3, most_here=2)) == {
        "web.3": "there are to be 2 replicas on a machine at most"
    }


def test_what_runs_is_not_stopped_for_being_misplaced_and_not_replaced_either():
    elsewhere = (Constraint(key="node.labels.zone", value="a"),)

    same = plan_stack(
        stack(service(constraints=elsewhere)), host(replica(1), machine=HERE), now=NOW
    )
    other = plan_stack(
        stack(service(constraints=elsewhere, revision=Revision("r2"))),
        host(replica(1), machine=HERE),
        now=NOW,
    )

    assert (same.steps, same.held) == ((), ())
    assert other.steps == ()
    assert [one.subject for one in other.held] == ["web.1"]


def test_what_may_not_run_here_takes_no_room_from_others():
    elsewhere = (Constraint(key="node.labels.zone", value="a"),)
    wanted = stack(
        service("first", cpu_reservation=1.5, constraints=elsewhere),
        service("second", cpu_reservation=1.5),
    )
    seen = host(machine=HERE)

    plan = plan_stack(wanted, seen, now=NOW)

    assert [one.subject for one in plan.held] == ["first.1"]
    assert reserve(wanted, seen, now=NOW).cpus == 1.5
    assert claims(wanted, seen, now=NOW) == ()
