"""Services that run by the clock, on a host in memory: no run is lost, and none comes twice."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.errors import PyorchError
from orchestrator.schedules import Schedules
from orchestrator.store import RunState
from runtime.testing import Program
from scheduler import plan_stack
from scheduler.actions import CreateReplica, RemoveReplica, StartReplica
from scheduler.desired import CatchUp, DesiredService, DesiredStack, Overlap, Schedule
from scheduler.ids import Revision, ServiceName, StackName
from scheduler.observed import Created, Exited, ObservedReplica, ObservedStack, Running
from scheduler.schedule import moments_between

HOUR, DAY = 3600.0, 86400.0
SPRING = datetime(2026, 3, 26, 11, tzinfo=UTC).timestamp()
AUTUMN = datetime(2026, 10, 22, 11, tzinfo=UTC).timestamp()

ONE = """
name: shop
services:
  job:
    image: app
    command: [work]
    x-pyorch:
      schedule: {cron: "CRON", timezone: Europe/Berlin, overlap: OVERLAP, catch_up: CATCH_UP}
"""


def text(cron="0 3 * * *", overlap="skip", catch_up="once"):
    return ONE.replace("CRON", cron).replace("OVERLAP", overlap).replace("CATCH_UP", catch_up)


def runs(world):
    """Return every run that is remembered, the oldest first."""
    return list(reversed(world.store.runs.of("shop")))


def states(world):
    return [str(one.state) for one in runs(world)]


def starts(world):
    return sum(method == "start" for method, _ in world.containers.calls)


async def comes_to(world, so):
    """Return once ``so`` is true of the runs."""
    return await world.until(lambda _: so())


@pytest.fixture(autouse=True)
async def spring(world):
    """Have it be a day in spring."""
    set_clock(world, SPRING)


def set_clock(world, moment):
    world.ahead = moment - asyncio.get_running_loop().time()


class Machine:
    """A host that does what plans say until its power, or only its daemon, goes."""

    def __init__(self, store, start, *, chance):
        self.store, self.chance = store, chance
        self.up, self.ahead = 1000.0, start - 1000.0
        self.replicas, self.started, self.furthest = {}, 0, start

    def wall(self):
        self.furthest = max(self.furthest, self.up + self.ahead)
        return self.up + self.ahead

    def schedules(self):
        """Return what a new daemon begins with: nothing but what is written down."""
        return Schedules(
            store=self.store, tell=lambda *_: None, now=lambda: self.up, wall=self.wall
        )

    def observe(self):
        for key, one in self.replicas.items():
            match one.phase:
                case Running(since=since) if self.up >= since + 100:
                    ended = Exited(code=0, at=since + 100, lived=100.0)
                    self.replicas[key] = replace(one, phase=ended)
        return ObservedStack(
            name=JOB.name, replicas=tuple(self.replicas.values()), images={"app": "sha256:app"}
        )

    def carry_out(self, plan, *, dies):
        """Do the steps of a plan, or only the first ones of them."""
        for step in plan.steps[: self.chance.randint(0, len(plan.steps)) if dies else None]:
            match step.action:
                case RemoveReplica(replica=key):
                    assert isinstance(self.replicas.pop(key).phase, Created | Exited)
                case CreateReplica(replica=key, revision=revision):
                    assert key not in self.replicas
                    self.replicas[key] = ObservedReplica(
                        id=key, revision=revision, image="sha256:app", phase=Created()
                    )
                case StartReplica(replica=key):
                    running = Running(since=self.up)
                    self.replicas[key] = replace(self.replicas[key], phase=running)
                    self.started += 1
                case other:
                    raise AssertionError(other)

    def live(self, until):
        """Pass the time with daemons that die before, between and after whatever they do."""
        chance = self.chance
        while self.up + self.ahead < until:
            daemon, dies = self.schedules(), False
            while not dies and self.up + self.ahead < until:
                observed = self.observe()
                dies = chance.random() < 0.2
                if dies and chance.random() < 0.3:
                    break
                desired = daemon.look(JOB, observed)
                self.carry_out(plan_stack(desired, observed, now=self.up), dies=dies)
                due = daemon.next_look(desired)
                self.up = min(self.up + chance.uniform(1, 3 * HOUR), due or self.up + 60)
                if chance.random() < 0.05:
                    self.ahead += chance.choice((-HOUR, HOUR, -70.0, 70.0))
            self.up += chance.choice((0.1, 20.0, HOUR, 7 * HOUR))


OFTEN = Schedule(
    cron="30 1-3,9,21 * * *",
    zone="Europe/Berlin",
    overlap=Overlap.QUEUE,
    catch_up=CatchUp.ALL,
)
JOB = DesiredStack(
    name=StackName("shop"),
    services=(
        DesiredService(
            name=ServiceName("job"), revision=Revision("r1"), image="app", schedule=OFTEN
        ),
    ),
)


@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("seed", range(10))
async def test_a_week_of_dying_daemons_and_jumping_clocks_loses_no_run_and_doubles_none(
    world, start, seed
):
    """Over a change to daylight saving time, and over one back."""
    world.store.stacks.save_generation("shop", {"name": "shop"}, {}, owner_uid=0)
    machine = Machine(world.store, start, chance=random.Random(seed))
    machine.schedules().look(JOB, machine.observe())
    seen = {}
    for day in range(1, 8):
        machine.live(start + day * DAY)
        seen |= {one.number: one for one in runs(world)}
    machine.chance = random.Random(0)
    while any(one.state in ("waiting", "running") for one in runs(world)):
        machine.live(machine.up + machine.ahead + HOUR)
        seen |= {one.number: one for one in runs(world)}

    expected = moments_between(OFTEN, start, machine.furthest, most=1000)
    decided = {one.due_wall for one in seen.values()}
    assert decided == {one for one in expected if one <= max(decided)}
    assert len(seen) == len(decided), "one came twice"
    assert len(expected) - len(decided) <= 1, "only what the last daemon died of"
    assert {one.state for one in seen.values()} == {RunState.SUCCEEDED}
    assert machine.started == len(seen)


async def test_each_run_has_a_container_of_its_own_and_the_last_one_stays(world):
    world.containers.programs[("work",)] = Program(code=0, lives=5.0)
    async with world.daemon():
        await world.up(text("*/10 * * * *"))
        assert world.phases() == {}, "nothing runs before its time"
        await comes_to(world, lambda: states(world) == ["succeeded"] * 3)

    assert world.phases() == {"shop.job.1": "exited 0"}
    assert world.writes().count("containers create shop.job.1") == 3


async def test_a_run_that_fails_is_told_and_the_stack_does_well(world):
    world.containers.programs[("work",)] = Program(code=3, lives=5.0)
    async with world.daemon():
        await world.up(text("*/10 * * * *"))
        state = await comes_to(world, lambda: states(world) == ["failed"])
        assert state["settled"]
        assert not state["failure"]

    (run,) = runs(world)
    assert (run.code, run.reason) == (3, "exited with 3, restart policy is `no`")


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", ["succeeded", "skipped", "succeeded"]),
        ("queue", ["succeeded", "succeeded", "running"]),
        ("replace", ["replaced", "replaced", "running"]),
    ],
)
async def test_a_run_longer_than_the_time_to_the_next(world, overlap, expected):
    world.containers.programs[("work",)] = Program(code=0, lives=900.0)
    async with world.daemon():
        await world.up(text("*/10 * * * *", overlap))
        await comes_to(world, lambda: states(world)[:3] == expected)

    assert sum(phase == "running" for phase in world.phases().values()) <= 1


async def test_a_run_is_begun_by_hand_beside_the_clock_but_not_beside_another(world):
    world.containers.programs[("work",)] = Program(code=0, lives=50.0)
    async with world.daemon() as orchestrator:
        await world.up(text())
        number = orchestrator.run_now("shop", "job")
        with pytest.raises(PyorchError, match="run 1 of `job` goes on"):
            orchestrator.run_now("shop", "job")
        await comes_to(world, lambda: states(world) == ["succeeded"])
        with pytest.raises(PyorchError, match="service `web` of stack `shop` has no schedule"):
            orchestrator.run_now("shop", "web")

        (told,) = orchestrator.schedules("shop")
    assert number == 1
    assert (told["cron"], told["zone"]) == ("0 3 * * *", "Europe/Berlin")
    assert [one["origin"] for one in told["runs"]] == ["hand"]
    assert told["next_wall"] == datetime(2026, 3, 27, 2, tzinfo=UTC).timestamp()


async def test_what_is_due_while_a_stack_is_stopped_is_nobodys_loss(world):
    world.containers.programs[("work",)] = Program(code=0, lives=5.0)
    async with world.daemon() as orchestrator:
        await world.up(text("*/20 * * * *", "queue", "all"))
        await orchestrator.stop("shop")
        await asyncio.sleep(5 * HOUR)
        assert runs(world) == []
        with pytest.raises(PyorchError, match="`job` is stopped"):
            orchestrator.run_now("shop", "job")

        await orchestrator.start("shop")
        await comes_to(world, lambda: states(world) == ["succeeded"])


async def test_a_service_that_is_stopped_amid_a_run_has_failed_and_waits_for_the_next(world):
    world.containers.programs[("work",)] = Program(code=0, lives=600.0)
    async with world.daemon() as orchestrator:
        await world.up(text("*/20 * * * *"))
        await comes_to(world, lambda: states(world) == ["running"])
        await orchestrator.intents.stop("shop", ["job"], grace=None)
        await comes_to(world, lambda: states(world) == ["failed"])
        assert runs(world)[0].reason == "it was stopped by hand"

        await orchestrator.intents.start("shop", ["job"])
        await comes_to(world, lambda: states(world) == ["failed", "succeeded"])


async def test_a_restart_of_a_stack_leaves_what_runs_by_the_clock_to_its_clock(world):
    other = "  web: {image: app, restart: always, stop_grace_period: 1s}\n"
    async with world.daemon() as orchestrator:
        await world.up(text() + other)
        await asyncio.sleep(1)
        options = {"grace": None, "dependents": True}
        with pytest.raises(PyorchError, match="`job` runs by its schedule"):
            await orchestrator.intents.restart("shop", ["job"], **options)
        await orchestrator.intents.restart("shop", [], **options)
        await world.until(lambda state: state["settled"] and not state["restarting"])
        await orchestrator.intents.stop("shop", ["job"], grace=None)
        await orchestrator.intents.start("shop", ["job"])

    assert world.runs() == {"shop.web.1": 2}


async def test_another_schedule_begins_now_and_makes_up_for_nothing(world):
    world.containers.programs[("work",)] = Program(code=0, lives=5.0)
    async with world.daemon():
        await world.up(text("0 3 * * *"))
        await asyncio.sleep(6 * HOUR)
        await world.up(text("*/10 * * * *"))
        await asyncio.sleep(1)
        assert runs(world) == []

        await world.up(text("0 3 * * *").replace("x-pyorch", "x-other"))
        assert world.phases() == {"shop.job.1": "running"}, "without one it runs like any other"


async def test_a_new_file_changes_the_next_run_and_not_the_one_that_goes_on(world):
    world.containers.programs[("work",)] = Program(code=0, lives=600.0)
    async with world.daemon():
        await world.up(text("*/20 * * * *"))
        await comes_to(world, lambda: states(world) == ["running"])
        before = starts(world)
        await world.up(text("*/20 * * * *").replace("[work]", "[work]\n    environment: {A: b}"))
        assert starts(world) == before
        await comes_to(world, lambda: states(world) == ["succeeded", "running"])
        await world.until(lambda _: world.phases() == {"shop.job.1": "running"})

    assert starts(world) == before + 1
