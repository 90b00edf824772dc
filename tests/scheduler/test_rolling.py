"""Updates of any service: who serves meanwhile, how many are replaced at a time, how they end."""

from dataclasses import replace

from builders import NOW, host, replica, service, stack
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from scheduler import plan_stack
from scheduler.actions import (
    AdmitReplica,
    BeginUpdate,
    CreateReplica,
    FailTrial,
    PauseUpdate,
    RollBack,
    WithdrawReplica,
)
from scheduler.desired import (
    CheckKind,
    FailureAction,
    Healthcheck,
    RestartMode,
    RestartPolicy,
    UpdateOrder,
    UpdatePolicy,
)
from scheduler.observed import (
    Exited,
    Health,
    Running,
    Trial,
    UpdateRecord,
    UpdateState,
)
from scheduler.rolling import target_of

FOREVER = RestartPolicy(mode=RestartMode.ALWAYS)


def updated(name="web", *, checked=False, **settings):
    """Return a service that is to be updated to another revision."""
    policy = UpdatePolicy(**({"order": UpdateOrder.START_FIRST, "drain": 2.0} | settings))
    return service(
        name,
        revision="r2",
        update=policy,
        fixed_slots=False,
        restart=FOREVER,
        checks={CheckKind.HEALTH: Healthcheck()} if checked else {},
    )


def begun(wanted, state=UpdateState.RUNNING, *, reversible=True):
    """Return the note of its update."""
    target = target_of(wanted, "sha256:img")
    return {wanted.name: UpdateRecord(target=target, state=state, reversible=reversible)}


def steps(plan, kind):
    return [step.action for step in plan.steps if isinstance(step.action, kind)]


def planned(wanted, *replicas, replicas_wanted=None, state=UpdateState.RUNNING, **more):
    wanted = replace(wanted, replicas=replicas_wanted or wanted.replicas)
    found = host(*replicas, updates=begun(wanted, state, **more))
    return plan_stack(stack(wanted), found, now=NOW)


def newcomer(slot, *, ready=None, trial=10.0, failed=False, phase=None, **more):
    """Return a replica on trial that began some seconds ago, and is ready for as many."""
    since = None if ready is None else NOW - ready
    running = Running(since=NOW - trial, ready_since=since)
    return replica(
        slot, phase or running, revision="r2", trial=Trial(NOW - trial, failed=failed), **more
    )


def test_an_update_is_noted_before_anything_else_is_done():
    wanted = updated()

    plan = plan_stack(stack(wanted), host(replica(1)), now=NOW)

    (step,) = plan.steps
    assert step.action == BeginUpdate(
        service="web", target=target_of(wanted, "sha256:img"), revision="r1", image="sha256:img"
    )


def test_without_a_policy_a_replica_is_stopped_first_and_nothing_is_noted():
    plan = plan_stack(stack(service(revision="r2")), host(replica(1)), now=NOW)

    assert [type(step.action).__name__ for step in plan.steps] == ["StopReplica"]


def test_a_new_one_starts_beside_the_old_one_in_a_slot_of_its_own():
    plan = planned(updated(), replica(1))

    (made,) = steps(plan, CreateReplica)
    assert (made.replica.slot, made.trial) == (2, True)
    assert not steps(plan, WithdrawReplica)


def test_the_old_one_is_withdrawn_only_once_the_new_one_was_ready_long_enough():
    early = planned(updated(monitor=5.0), replica(1), newcomer(2, ready=4.0))
    late = planned(updated(monitor=5.0), replica(1), newcomer(2, ready=5.0))

    assert early.steps == ()
    assert early.wake_at == NOW + 1.0
    assert [one.replica.slot for one in steps(late, AdmitReplica)] == [2]
    (withdrawn,) = [one for one in late.steps if isinstance(one.action, WithdrawReplica)]
    assert (withdrawn.action.replica.slot, withdrawn.after) == (1, (1,))


def test_the_old_one_is_stopped_once_it_has_drained():
    fresh = replica(2, Running(since=NOW - 60, ready_since=NOW - 60), revision="r2")

    drains = planned(updated(), replica(1, leaving=NOW - 1.0), fresh)
    drained = planned(updated(), replica(1, leaving=NOW - 2.0), fresh)

    assert (drains.steps, drains.wake_at) == ((), NOW + 1.0)
    assert [type(step.action).__name__ for step in drained.steps] == ["StopReplica"]


def test_a_new_one_that_ends_has_the_update_undone():
    ended = newcomer(2, phase=Exited(code=3, at=NOW - 1))

    plan = planned(updated(failure_action=FailureAction.ROLLBACK), replica(1), ended)

    assert [type(step.action) for step in plan.steps] == [FailTrial, RollBack]
    assert plan.steps[-1].reason == "web.2 exited with 3"


def test_a_new_one_that_is_not_ready_in_time_has_failed():
    slow = newcomer(2, phase=Running(since=NOW - 30, health=Health.STARTING), trial=30.0)
    policy = {"failure_action": FailureAction.ROLLBACK, "checked": True}

    in_time = planned(updated(deadline=31.0, **policy), replica(1), slow)
    too_late = planned(updated(deadline=30.0, **policy), replica(1), slow)

    assert (in_time.steps, in_time.wake_at) == ((), NOW + 1.0)
    assert steps(too_late, RollBack)


def test_an_update_that_cannot_be_undone_is_paused_instead():
    ended = newcomer(2, phase=Exited(code=3, at=NOW - 1))
    policy = updated(failure_action=FailureAction.ROLLBACK)

    plan = planned(policy, replica(1), ended, reversible=False)

    assert steps(plan, PauseUpdate)
    assert not steps(plan, RollBack)


def test_a_paused_update_starts_no_further_replica_and_says_so():
    plan = planned(updated(), replica(1), state=UpdateState.PAUSED)

    assert plan.steps == ()
    (held,) = plan.held
    assert held.stuck
    assert "its update is paused" in held.reason


def test_some_failures_are_put_up_with():
    ended = newcomer(5, phase=Exited(code=3, at=NOW - 1))
    old = [replica(slot) for slot in (1, 2, 3, 4)]

    plan = planned(updated(max_failure_ratio=0.25), *old, ended, replicas_wanted=4)

    assert steps(plan, FailTrial)
    assert not steps(plan, PauseUpdate)


def test_the_next_replica_waits_for_the_delay():
    fresh = replica(3, revision="r2", admitted=NOW - 4.0)

    plan = planned(updated(delay=5.0), replica(2), fresh, replicas_wanted=2)

    assert not steps(plan, CreateReplica)
    assert plan.wake_at == NOW + 1.0


policies = st.builds(
    UpdatePolicy,
    parallelism=st.integers(0, 3),
    delay=st.sampled_from([0.0, 7.0]),
    monitor=st.sampled_from([0.0, 5.0]),
    order=st.sampled_from(UpdateOrder),
    failure_action=st.sampled_from(FailureAction),
    drain=st.sampled_from([0.0, 3.0]),
)


def serving(world):
    """Return who takes part: new connections come to them."""
    return [
        one
        for one in world.replicas.values()
        if isinstance(one.phase, Running)
        and one.phase.health is not Health.STARTING
        and one.trial is None
        and one.leaving is None
    ]


@given(
    policy=policies,
    number=st.integers(1, 4),
    checked=st.booleans(),
    slots=st.sets(st.integers(1, 6), min_size=4, max_size=4),
    grace=st.sampled_from([0.0, 10.0]),
)
@settings(max_examples=150, deadline=None)
def test_an_update_ends_and_keeps_its_promises_on_the_way(policy, number, checked, slots, grace):
    wanted = replace(updated(checked=checked), update=policy, replicas=number, stop_grace=grace)
    health = Health.HEALTHY if checked else Health.NONE
    old = [
        replica(slot, Running(since=NOW - 60, health=health, ready_since=NOW - 60))
        for slot in sorted(slots)[:number]
    ]
    world = World(stack(wanted), host(*old))
    most = policy.parallelism or number

    for _ in world.passes():
        taking_part = len(serving(world))
        away = number - taking_part
        if policy.order is UpdateOrder.START_FIRST:
            assert taking_part >= number, "fewer take part than there are to be"
            assert len(world.replicas) <= 2 * number + most
        else:
            assert away <= most, "more are replaced at a time than may be"
        unproven = [one for one in world.replicas.values() if one.trial is not None]
        assert len(unproven) <= most

    assert len(world.replicas) == number
    assert {one.revision for one in world.replicas.values()} == {"r2"}
    assert world.updates["web"].state is UpdateState.COMPLETED
    again = plan_stack(world.desired, world.observe(), now=world.now)
    assert again.steps == ()


@given(policy=policies, number=st.integers(1, 4), cut=st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_an_update_whose_passes_are_cut_short_ends_all_the_same(policy, number, cut):
    wanted = replace(updated(), update=policy, replicas=number)
    ready = Running(since=NOW - 60, ready_since=NOW - 60)
    world = World(stack(wanted), host(*(replica(slot, ready) for slot in range(1, number + 1))))

    for _ in range(40):
        plan = plan_stack(world.desired, world.observe(), now=world.now)
        kept = cut.randint(0, len(plan.steps))
        world.carry_out(replace(plan, steps=plan.steps[:kept]))
        if policy.order is UpdateOrder.START_FIRST:
            assert len(serving(world)) >= number
        world.pass_time(plan)
    world.settle()

    assert len(world.replicas) == number
    assert {one.revision for one in world.replicas.values()} == {"r2"}
