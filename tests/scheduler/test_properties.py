"""What holds for every stack and every situation, not only for the examples."""

from dataclasses import replace

from builders import NOW, POOLS
from hypothesis import given, settings
from hypothesis import strategies as st
from world import SHOP, World, hosts, stacks

from scheduler import plan_stack
from scheduler.actions import (
    RemoveVolume,
    StartReplica,
)
from scheduler.desired import (
    Condition,
    Dependency,
    DesiredService,
    DesiredStack,
    Intent,
    ServiceIntent,
)
from scheduler.ids import ReplicaId, Revision, ServiceName
from scheduler.observed import (
    Health,
    ObservedStack,
    Running,
)


@given(desired=stacks(), host=hosts)
@settings(max_examples=200, deadline=None)
def test_every_situation_settles_and_then_holds_exactly_what_was_asked_for(desired, host):
    world = World(desired, host)

    world.settle()

    wanted = {
        ReplicaId(service.name, slot): service.revision
        for service in desired.services
        for slot in range(1, service.replicas + 1)
    }
    assert {key: one.revision for key, one in world.replicas.items()} == wanted
    assert all(isinstance(one.phase, Running) for one in world.replicas.values())


@given(
    desired=stacks(),
    host=hosts,
    intents=st.lists(st.sampled_from(ServiceIntent), min_size=3, max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_every_situation_settles_with_what_is_wanted_of_each_service(desired, host, intents):
    # One that starts alone and shares nothing needs nobody: then every wish can be met.
    services = tuple(
        replace(service, intent=intent, alone=True, shares=())
        for service, intent in zip(desired.services, intents, strict=False)
    )
    world = World(replace(desired, services=services), host)

    world.settle()

    for service in services:
        slots = [one for key, one in world.replicas.items() if key.service == service.name]
        running = [one for one in slots if isinstance(one.phase, Running)]
        match service.intent:
            case ServiceIntent.RUN:
                assert len(running) == len(slots) == service.replicas
            case ServiceIntent.CREATED:
                assert len(slots) == service.replicas
            case ServiceIntent.STOPPED:
                assert running == []
            case ServiceIntent.ABSENT:
                assert slots == []


@given(desired=stacks(), host=hosts)
@settings(max_examples=200, deadline=None)
def test_a_restart_ends_with_every_run_begun_after_it_was_asked_for(desired, host):
    services = tuple(replace(one, restart_before=NOW - 1) for one in desired.services)
    world = World(replace(desired, services=services), host)

    world.settle()

    assert all(one.phase.since >= NOW - 1 for one in world.replicas.values())


@given(desired=stacks(), host=hosts, shuffle=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_in_which_things_are_reported_changes_nothing(desired, host, shuffle):
    reported = list(host.replicas)
    shuffle.shuffle(reported)

    plan = plan_stack(desired, replace(host, replicas=tuple(reported)), now=NOW)

    assert plan == plan_stack(desired, host, now=NOW)


@given(desired=stacks(), host=hosts)
@settings(deadline=None)
def test_running_stacks_never_lose_a_volume(desired, host):
    plan = plan_stack(desired, host, now=NOW)

    assert not any(isinstance(step.action, RemoveVolume) for step in plan.steps)


@given(desired=stacks(), host=hosts, volumes=st.booleans())
@settings(deadline=None)
def test_what_is_taken_down_leaves_nothing_but_the_data_nobody_gave_up(desired, host, volumes):
    leaving = replace(desired, intent=Intent.REMOVE, remove_volumes=volumes)
    world = World(leaving, host)

    world.settle()

    assert not world.replicas
    assert not world.networks
    kept = {one.name for one in host.volumes}
    assert set(world.volumes) == (set() if volumes else kept)


@given(desired=stacks())
@settings(deadline=None)
def test_no_replica_starts_before_its_dependencies(desired):
    world = World(desired, ObservedStack(name=SHOP, images={"img": "sha256:img"}))
    services = {one.name: one for one in desired.services}
    for plan in world.passes():
        starts = {
            step.action.replica: step
            for step in plan.steps
            if isinstance(step.action, StartReplica)
        }
        for replica, step in starts.items():
            for dependency in services[replica.service].dependencies:
                for slot in range(1, services[dependency.service].replicas + 1):
                    first = ReplicaId(dependency.service, slot)
                    if dependency.condition is Condition.HEALTHY:
                        assert world.seen[first].phase.health is Health.HEALTHY
                    elif first in starts:
                        assert starts[first].number in step.after
                    else:
                        assert isinstance(world.seen[first].phase, Running)


def test_f39_a_thousand_services_of_three_replicas_take_two_steps_a_replica():
    many = DesiredStack(
        name=SHOP,
        services=tuple(
            DesiredService(
                name=ServiceName(f"s{number}"),
                revision=Revision("r1"),
                image="img",
                replicas=3,
                dependencies=(
                    (Dependency(service=ServiceName(f"s{number - 1}")),) if number else ()
                ),
            )
            for number in range(1000)
        ),
        pools=POOLS,
    )

    plan = plan_stack(many, ObservedStack(name=SHOP, images={"img": "sha256:img"}), now=NOW)

    assert len(plan.steps) == 6000
    assert not plan.held
