"""A plan is carried out in its order, with as much overlap as that allows."""

import asyncio

import pytest

from orchestrator.executor import Done, Failed, Skipped, execute
from runtime.errors import ConflictError
from scheduler.actions import CreateReplica, StartReplica
from scheduler.ids import ReplicaId, Revision, ServiceName
from scheduler.plan import PlanBuilder
from tests.orchestrator.virtual import let_others_run

WEB, DB = (ReplicaId(ServiceName(name), 1) for name in ("web", "db"))


@pytest.fixture
def plan():
    """Two replicas, each created and then started; nothing else binds them."""
    builder = PlanBuilder()
    for replica in (WEB, DB):
        made = builder.add(CreateReplica(replica=replica, revision=Revision("r1")), "test")
        builder.add(StartReplica(replica=replica), "test", after=(made,))
    return builder.build()


async def test_a_refused_step_skips_what_waits_for_it_and_nothing_else(plan):
    refusal = ConflictError("create container", "web.1", "it is frozen")

    async def perform(step):
        if step.number == 1:
            raise refusal

    outcomes = await execute(plan, perform)

    assert outcomes == {1: Failed(refusal), 2: Skipped(), 3: Done(), 4: Done()}


async def test_what_waits_for_a_skipped_step_is_skipped_too():
    builder = PlanBuilder()
    for number in range(3):
        builder.add(StartReplica(replica=WEB), "test", after=range(1, number + 1))

    async def perform(step):
        raise ConflictError("start container", "web.1", "it is frozen")

    outcomes = await execute(builder.build(), perform)

    assert list(map(type, outcomes.values())) == [Failed, Skipped, Skipped]


async def test_steps_overlap_and_begin_only_after_those_they_wait_for(plan):
    gates = {number: asyncio.Event() for number in range(1, 5)}
    begun = []

    async def perform(step):
        begun.append(step.number)
        await gates[step.number].wait()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(execute(plan, perform))
        await let_others_run()
        at_first = list(begun)
        gates[3].set()
        await let_others_run()
        then = list(begun)
        for gate in gates.values():
            gate.set()
        await running

    assert at_first == [1, 3]
    assert then == [1, 3, 4]
    assert begun == [1, 3, 4, 2]


async def test_a_bug_ends_the_other_steps_and_comes_out(plan):
    ended = []

    async def perform(step):
        if step.number == 1:
            raise RuntimeError("a bug")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(step.number)

    with pytest.raises(ExceptionGroup) as caught:
        await execute(plan, perform)

    assert [str(error) for error in caught.value.exceptions] == ["a bug"]
    assert ended == [3]


async def test_an_empty_plan_has_no_outcomes():
    async def perform(step):
        raise AssertionError("nothing is to be done")

    assert await execute(PlanBuilder().build(), perform) == {}
