"""Every key is looked at after it was added, by one worker at a time."""

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.workqueue import WorkQueue
from tests.orchestrator.virtual import let_others_run, run_virtual


class Worker:
    """Notes when it works on what, and takes the time it is told to."""

    def __init__(self, takes=0.0, pauses=()):
        self.takes = takes
        self.pauses = list(pauses)
        self.queue = WorkQueue(self.work)
        self.spans = defaultdict(list)
        self.busy = set()

    async def work(self, key):
        assert key not in self.busy, f"two workers on {key}"
        self.busy.add(key)
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(self.takes)
        self.spans[key].append((begun, asyncio.get_running_loop().time()))
        self.busy.discard(key)
        return self.pauses.pop(0) if self.pauses else None

    @asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.queue.run())
            yield self.queue
            task.cancel()

    def starts(self, key):
        return [begun - 1000 for begun, _ in self.spans[key]]


async def test_a_key_added_many_times_is_worked_on_once():
    worker = Worker()

    async with worker.running() as queue:
        for _ in range(5):
            queue.add("shop")
        await let_others_run()

    assert len(worker.spans["shop"]) == 1


async def test_a_key_added_while_it_is_worked_on_is_worked_on_once_more():
    worker = Worker(takes=1.0)

    async with worker.running() as queue:
        queue.add("shop")
        await asyncio.sleep(0.5)
        for _ in range(5):
            queue.add("shop")
        await asyncio.sleep(10)

    assert worker.starts("shop") == [0.0, 1.0]


async def test_different_keys_overlap():
    worker = Worker(takes=1.0)

    async with worker.running() as queue:
        queue.add("shop")
        queue.add("blog")
        await asyncio.sleep(5)

    assert worker.starts("shop") == worker.starts("blog") == [0.0]


async def test_the_answer_of_the_work_is_the_pause_before_the_next():
    worker = Worker(takes=1.0, pauses=[3.0, 0.0])

    async with worker.running() as queue:
        queue.add("shop")
        await asyncio.sleep(60)

    assert worker.starts("shop") == pytest.approx([0.0, 4.0, 5.0])


async def test_a_wake_up_cuts_a_pause_short_and_replaces_it():
    worker = Worker(pauses=[30.0])

    async with worker.running() as queue:
        queue.add("shop")
        await asyncio.sleep(5)
        queue.add("shop")
        await asyncio.sleep(60)

    assert worker.starts("shop") == [0.0, 5.0]


async def test_the_earlier_of_two_pauses_counts():
    worker = Worker()

    async with worker.running() as queue:
        queue.add_after("shop", 10)
        queue.add_after("shop", 2)
        queue.add_after("shop", 20)
        await asyncio.sleep(60)

    assert worker.starts("shop") == [2.0]


async def test_the_end_of_the_queue_is_the_end_of_its_work():
    worker = Worker(takes=10.0)

    async with worker.running() as queue:
        queue.add("shop")
        await asyncio.sleep(1)

    assert worker.busy == {"shop"}
    assert worker.spans == {}


async def test_a_bug_in_the_work_is_not_kept_from_anybody():
    async def work(key):
        raise RuntimeError(key)

    queue = WorkQueue(work)
    queue.add("shop")

    with pytest.raises(ExceptionGroup) as caught:
        await queue.run()

    assert [str(error) for error in caught.value.exceptions] == ["shop"]


wishes = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.3, 1.0, 2.5]),
        st.sampled_from(["shop", "blog"]),
        st.sampled_from([None, 0.0, 0.4, 2.0]),
    ),
    max_size=12,
)


@given(wishes=wishes, takes=st.sampled_from([0.0, 0.7, 2.0]), pauses=st.lists(st.just(1.5)))
@settings(max_examples=200, deadline=None)
def test_no_wake_up_is_ever_lost(wishes, takes, pauses):
    async def main():
        worker = Worker(takes=takes, pauses=pauses)
        asked = []
        async with worker.running() as queue:
            for wait, key, pause in wishes:
                await asyncio.sleep(wait)
                moment = asyncio.get_running_loop().time()
                asked.append((key, moment, moment + (pause or 0.0)))
                if pause is None:
                    queue.add(key)
                else:
                    queue.add_after(key, pause)
            await asyncio.sleep(1000)
        for key, moment, due in asked:
            # One look begins after the asking and by the moment asked for, or else when the
            # work that was under way at that moment has ended.
            patience = due + takes + 1e-6
            assert any(moment <= begun <= patience for begun, _ in worker.spans[key])

    run_virtual(main())
