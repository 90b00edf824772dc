"""Replicas the machine has no room for are held; what runs is left alone."""

from dataclasses import replace

import pytest
from builders import NOW, host, replica, service, stack
from hypothesis import given, settings
from hypothesis import strategies as st
from world import CPUS, GIB, MEMORY, World, hosts, reserving, some_cpus, some_memory, stacks

from scheduler import Failed, Reservation, claims, plan_stack, reserve, settled
from scheduler.actions import KillReplica, RemoveReplica, StopReplica
from scheduler.desired import Dependency, Intent, RestartMode, RestartPolicy
from scheduler.ids import ServiceName
from scheduler.observed import Claim, Created, Exited, Health, Machine, Running, Stopping

ALWAYS = RestartPolicy(mode=RestartMode.ALWAYS)


def plan(desired, observed):
    return str(plan_stack(desired, observed, now=NOW))


# ── examples ─────────────────────────────────────────────────────────────────────────────


def test_replicas_that_do_not_fit_are_held_with_the_sum():
    wanted = stack(service(replicas=3, cpu_reservation=0.75))

    found = plan_stack(wanted, host(), now=NOW)

    assert str(found) == (
        "#1 create web.1: slot is empty\n"
        "#2 start web.1 after #1: slot is empty\n"
        "#3 create web.2: slot is empty\n"
        "#4 start web.2 after #3: slot is empty\n"
        "held web.3: needs 0.75 cpus: 0.5 of 2 free, 1.5 reserved"
    )
    (held,) = found.held
    assert held.stuck
    assert held.hint == "reserve less, run fewer replicas, or take another stack down"


def test_memory_is_counted_too():
    wanted = stack(service(replicas=2, memory_reservation=5 * GIB))

    assert plan(wanted, host()) == (
        "#1 create web.1: slot is empty\n"
        "#2 start web.1 after #1: slot is empty\n"
        "held web.2: needs 5 GiB of memory: 3 GiB of 8 GiB free, 5 GiB reserved"
    )


def test_what_other_stacks_hold_is_not_free():
    wanted = stack(service(cpu_reservation=1.0))

    assert plan(wanted, host(reserved_cpus=1.5)) == (
        "held web.1: needs 1 cpus: 0.5 of 2 free, 1.5 reserved"
    )


def test_fractions_that_fill_the_machine_exactly_fit():
    wanted = stack(service(replicas=20, cpu_reservation=0.1))

    assert plan_stack(wanted, host(), now=NOW).held == ()


def test_one_that_does_not_fit_does_not_keep_smaller_ones_out():
    wanted = stack(service("big", cpu_reservation=5.0), service("small", cpu_reservation=0.5))

    assert plan(wanted, host()) == (
        "#1 create small.1: slot is empty\n"
        "#2 start small.1 after #1: slot is empty\n"
        "held big.1: needs 5 cpus: 2 of 2 free, 0 reserved"
    )


def test_what_runs_is_never_stopped_for_want_of_room():
    wanted = stack(service(replicas=2, cpu_reservation=3.0))
    running = [replica(slot, cpu_reservation=3.0) for slot in (1, 2)]

    assert plan(wanted, host(*running)) == ""


def test_a_larger_revision_that_does_not_fit_leaves_the_old_one_running():
    wanted = stack(service(cpu_reservation=3.0))

    assert plan(wanted, host(replica(1, revision="r0", cpu_reservation=1.0))) == (
        "held web.1: needs 3 cpus: 1 of 2 free, 1 reserved"
    )


def test_a_larger_revision_may_use_the_room_of_the_one_it_replaces():
    wanted = stack(service(cpu_reservation=1.5))

    assert plan(wanted, host(replica(1, revision="r0", cpu_reservation=1.0))) == (
        "#1 stop web.1: revision r0 is not r1"
    )


def test_room_that_is_about_to_be_left_is_waited_for():
    wanted = stack(service(cpu_reservation=1.5))
    leaving = replica(1, Stopping(until=NOW + 5), service="old", cpu_reservation=1.0)

    found = plan_stack(wanted, host(leaving), now=NOW)

    assert str(found) == (
        "held old.1: stopping\nheld web.1: needs 1.5 cpus: 1 of 2 free, 1 reserved"
    )
    assert not any(held.stuck for held in found.held)


def test_one_that_crashed_comes_before_a_slot_that_was_never_filled():
    crashed = replica(1, Exited(code=1, at=NOW - 1, lived=60.0), service="z", cpu_reservation=1.5)
    wanted = stack(
        service("a", cpu_reservation=1.5), service("z", cpu_reservation=1.5, restart=ALWAYS)
    )

    assert plan(wanted, host(crashed)) == (
        "#1 start z.1: exited with 1, restart 1\n"
        "held a.1: needs 1.5 cpus: 0.5 of 2 free, 1.5 reserved"
    )


def test_one_that_has_done_its_job_holds_nothing():
    done = replica(1, Exited(code=0, at=NOW - 1), service="job", cpu_reservation=2.0)
    wanted = stack(service("job", cpu_reservation=2.0), service(cpu_reservation=2.0))

    assert plan(wanted, host(done)) == (
        "#1 create web.1: slot is empty\n#2 start web.1 after #1: slot is empty"
    )


def test_one_that_waits_for_another_keeps_its_place():
    after = Dependency(service=ServiceName("web"))
    wanted = stack(
        service(cpu_reservation=1.0),
        service("late", cpu_reservation=1.0, dependencies=(after,)),
        service("zoo", cpu_reservation=1.0),
    )
    created = replica(1, Created(), service="late", cpu_reservation=1.0)

    assert "held zoo.1: needs 1 cpus" in plan(wanted, host(created))
    assert reserve(wanted, host(created), now=NOW) == Reservation(cpus=2.0)


def test_a_machine_of_unknown_size_has_room_for_everything():
    wanted = stack(service(cpu_reservation=100.0))

    assert plan_stack(wanted, host(cpus=0.0, memory=0), now=NOW).held == ()


def test_a_full_machine_still_takes_what_reserves_nothing():
    assert plan_stack(stack(service()), host(reserved_cpus=9.0), now=NOW).held == ()


def test_a_stack_without_room_has_failed_and_says_why():
    wanted = stack(service(cpu_reservation=3.0))
    observed = host()

    verdict = settled(wanted, observed, plan_stack(wanted, observed, now=NOW), now=NOW)

    assert isinstance(verdict, Failed)
    assert "web.1: needs 3 cpus" in verdict.reason


@pytest.mark.parametrize("intent", [Intent.STOP, Intent.REMOVE])
def test_a_stack_that_goes_holds_what_still_runs(intent):
    wanted = stack(service(replicas=3, cpu_reservation=0.5), intent=intent)
    gone = replica(2, Exited(code=0, at=NOW), cpu_reservation=0.5)

    held = reserve(wanted, host(replica(1, cpu_reservation=0.5), gone), now=NOW)

    assert held == Reservation(cpus=0.5)


def test_a_replica_that_is_to_reserve_more_keeps_what_it_has_until_there_is_room():
    wanted = stack(reserving(service(), 1.5, 0))
    observed = host(reserving(replica(1), 0.5, 0), reserved_cpus=1.0)

    assert plan(wanted, observed) == "held web.1: needs 1.5 cpus: 0.5 of 2 free, 1.5 reserved"
    assert plan(wanted, replace(observed, reserved_cpus=0.5)) == (
        "#1 update limits of web.1: reserved cpus 0.5 → 1.5"
    )


def test_a_replica_that_is_to_reserve_less_is_never_held():
    wanted = stack(reserving(service(), 0.5, 0))
    observed = host(reserving(replica(1), 1.5, 0), reserved_cpus=9.0)

    assert plan(wanted, observed) == "#1 update limits of web.1: reserved cpus 1.5 → 0.5"


def test_the_higher_priority_is_let_in_first():
    wanted = stack(service("a", cpu_reservation=1.5), service("b", cpu_reservation=1.5, priority=1))

    assert plan(wanted, host()) == (
        "#1 create b.1: slot is empty\n"
        "#2 start b.1 after #1: slot is empty\n"
        "held a.1: needs 1.5 cpus: 0.5 of 2 free, 1.5 reserved"
    )


def test_room_another_stack_waits_for_with_a_higher_priority_is_left_to_it():
    wanted = stack(service(cpu_reservation=1.0))
    waiting = Claim(priority=5, cpus=1.5)

    assert plan(wanted, host(claims=(waiting,))) == (
        "held web.1: needs 1 cpus: 0.5 of 2 free, 0 reserved"
    )
    assert "start web.1" in plan(
        stack(service(cpu_reservation=1.0, priority=5)), host(claims=(waiting,))
    )


def test_room_is_not_left_to_what_could_not_take_it_now():
    wanted = stack(service(cpu_reservation=1.0))

    assert "start web.1" in plan(wanted, host(claims=(Claim(priority=5, cpus=2.5),)))


def test_what_is_refused_is_what_the_stack_waits_for():
    wanted = stack(service(replicas=2, cpu_reservation=1.5, priority=3))

    assert claims(wanted, host(), now=NOW) == (Claim(priority=3, cpus=1.5),)


# ── properties ───────────────────────────────────────────────────────────────────────────


@st.composite
def crowded(draw):
    """A host on which things run already, of this stack and of others."""
    found = draw(hosts)
    return replace(
        found,
        replicas=tuple(
            reserving(one, draw(some_cpus), draw(some_memory)) for one in found.replicas
        ),
        reserved_cpus=draw(some_cpus),
        reserved_memory=draw(some_memory),
    )


def reserved(world):
    running = [one for one in world.replicas.values() if isinstance(one.phase, Running | Stopping)]
    return (
        round(sum(one.cpu_reservation for one in running) + world.others.reserved_cpus, 6),
        sum(one.memory_reservation for one in running) + world.others.reserved_memory,
    )


@given(desired=stacks(reserves=True), host=crowded())
@settings(max_examples=200, deadline=None)
def test_starts_never_reserve_more_than_the_machine_has(desired, host):
    world = World(desired, host)
    cpus, memory = reserved(world)

    for _ in world.passes():
        now_cpus, now_memory = reserved(world)
        assert now_cpus <= max(cpus, CPUS)
        assert now_memory <= max(memory, MEMORY)
        cpus, memory = now_cpus, now_memory


@given(desired=stacks(reserves=True), host=crowded())
@settings(deadline=None)
def test_it_settles_with_everything_running_that_is_not_held_for_want_of_room(desired, host):
    world = World(desired, host)

    *_, last = world.passes()

    assert last.steps == ()
    held = {one.subject for one in last.held}
    for service_ in desired.services:
        for slot in range(1, service_.replicas + 1):
            name = f"{service_.name}.{slot}"
            found = next((one for one in world.replicas.values() if str(one.id) == name), None)
            assert name in held or (found is not None and isinstance(found.phase, Running))


@given(desired=stacks(reserves=True), host=crowded())
@settings(deadline=None)
def test_nothing_that_runs_as_wanted_is_stopped(desired, host):
    world = World(desired, host)
    fine = {
        one.id
        for one in world.observe().replicas
        if isinstance(one.phase, Running)
        and one.id.service in world.services
        and one.id.slot <= world.services[one.id.service].replicas
        and one.revision == world.services[one.id.service].revision
        # Who is ill, or follows what has changed, is to begin again.
        and one.phase.health is not Health.UNHEALTHY
        and not one.healing
        and one.follows in ("", world.services[one.id.service].follows)
    }

    plan = plan_stack(desired, world.observe(), now=world.now)

    stopped = {
        step.action.replica
        for step in plan.steps
        if isinstance(step.action, StopReplica | KillReplica | RemoveReplica)
    }
    assert not stopped & fine


@given(desired=stacks(reserves=True), host=crowded(), shuffle=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_report_changes_nobodys_room(desired, host, shuffle):
    reported, services = list(host.replicas), list(desired.services)
    shuffle.shuffle(reported)
    shuffle.shuffle(services)
    other = replace(desired, services=tuple(services))

    plan = plan_stack(other, replace(host, replicas=tuple(reported)), now=NOW)

    assert plan == plan_stack(desired, host, now=NOW)
    assert reserve(other, replace(host, replicas=tuple(reported)), now=NOW) == reserve(
        desired, host, now=NOW
    )


# ── what else is counted ─────────────────────────────────────────────────────────────────


def test_what_a_machine_has_a_number_of_is_set_aside_like_the_rest():
    two = Machine(units={"gpu": 2})
    wanted = stack(service(replicas=3, units={"gpu": 1}))

    found = plan_stack(wanted, host(machine=two), now=NOW)

    assert [(one.subject, one.reason) for one in found.held] == [
        ("web.3", "needs 1 of `gpu`: 0 of 2 free, 2 reserved")
    ]
    assert reserve(wanted, host(machine=two), now=NOW) == Reservation(units={"gpu": 2})
    assert claims(wanted, host(machine=two), now=NOW) == (Claim(priority=0, units={"gpu": 1}),)


def test_units_of_what_runs_and_of_other_stacks_are_not_free():
    wanted = stack(service(replicas=2, units={"gpu": 1}))
    machine = Machine(units={"gpu": 2})
    running = replica(1, units={"gpu": 1})

    alone = plan_stack(wanted, host(running, machine=machine), now=NOW)
    beside = plan_stack(wanted, host(running, machine=machine, reserved_units={"gpu": 1}), now=NOW)

    assert alone.held == ()
    assert [one.reason for one in beside.held] == ["needs 1 of `gpu`: 0 of 2 free, 2 reserved"]
    assert beside.held[0].hint.startswith("reserve less")


def test_what_a_machine_has_none_of_is_told_with_where_to_say_so():
    (held,) = plan_stack(stack(service(units={"gpu": 1})), host(), now=NOW).held

    assert held.reason == "needs 1 of `gpu`: 0 of 0 free, 0 reserved"
    assert "PYORCH_RESOURCES" in held.hint


def test_a_part_of_the_machine_is_less_where_anything_of_it_is():
    before = Reservation(cpus=1.0, memory=GIB, units={"gpu": 2})

    assert Reservation(cpus=1.0, memory=GIB, units={"gpu": 1}).is_less(before)
    assert Reservation(cpus=0.5, memory=GIB, units={"gpu": 2}).is_less(before)
    assert not Reservation(cpus=1.0, memory=2 * GIB, units={"gpu": 2}).is_less(before)
    assert before + before == Reservation(cpus=2.0, memory=2 * GIB, units={"gpu": 4})
