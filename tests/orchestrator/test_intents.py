"""Single services are stopped, started, begun anew and removed while their stack runs."""

import asyncio

import pytest

from orchestrator.errors import PyorchError
from orchestrator.spec.load import LoadRequest, load_stack
from runtime.errors import ConflictError
from runtime.testing import Gate
from runtime.types import ContainerId
from scheduler.desired import Intent
from tests.orchestrator.virtual import let_others_run

DB, WEB, JOB = (ContainerId(f"shop.{name}.1") for name in ("db", "web", "job"))
STACK = """
name: shop
services:
  db: {image: app, restart: always, stop_grace_period: 5s}
  web:
    image: app
    restart: always
    stop_grace_period: 5s
    depends_on: {db: {condition: service_started, restart: true}}
  job: {image: app, restart: always, stop_grace_period: 5s}
"""


async def restarted(world, *services, dependents=True):
    """Ask for a restart, a second after whatever was asked before."""
    await asyncio.sleep(1)
    await world.orchestrator.intents.restart("shop", services, grace=None, dependents=dependents)


async def quiet(world):
    """Return once no pass has anything left to do."""
    await world.until(lambda state: state["settled"] and not state["restarting"])


async def test_who_is_to_be_restarted_after_another_is_so_when_that_one_changes(world):
    changed = STACK.replace("{image: app, restart: always, stop_grace", "{image: app, labels: "
                            "{release: '2'}, restart: always, stop_grace", 1)  # fmt: skip
    async with world.daemon() as daemon:
        await world.up(STACK)
        await world.up(STACK)
        before = world.runs()
        foreseen = await daemon.plan(world.load(changed), "shop")
        await world.up(changed)
        await quiet(world)

    assert before == {DB: 1, WEB: 1, JOB: 1}
    held = {one.subject: one.reason for one in foreseen.held}
    assert held["web.1"] == "is restarted after db"
    assert world.runs()[WEB] == 2
    assert world.runs()[JOB] == 1
    assert world.containers.phase(DB).started <= world.containers.phase(WEB).started


async def test_who_is_to_be_restarted_after_another_goes_on_when_that_one_crashes(world):
    async with world.daemon():
        await world.up(STACK)
        world.containers.end(DB, 1)
        await world.until(lambda state: any(one["restarts"] for one in state["replicas"]))
        await quiet(world)

    assert world.runs() == {DB: 2, WEB: 1, JOB: 1}


async def test_a_service_that_is_stopped_stays_so_through_restarts_of_the_daemon(world):
    async with world.daemon():
        await world.up(STACK)
        await world.orchestrator.intents.stop("shop", ["job"], grace=None)
        await world.until(lambda _: world.phases()[JOB] == "exited 143")
        await quiet(world)
    async with world.daemon():
        await quiet(world)

    assert world.phases() == {DB: "running", WEB: "running", JOB: "exited 143"}


async def test_a_service_that_is_stopped_is_started_by_start_and_by_up(world):
    async with world.daemon():
        await world.up(STACK)
        for again in (
            lambda: world.orchestrator.intents.start("shop", ["job"]),
            lambda: world.apply(STACK),
        ):
            await world.orchestrator.intents.stop("shop", ["job"], grace=None)
            await quiet(world)
            assert world.phases()[JOB] == "exited 143"
            await again()
            await quiet(world)
            assert world.phases()[JOB] == "running"

    assert world.runs() == {DB: 1, WEB: 1, JOB: 3}


async def test_those_that_depend_on_each_other_are_stopped_in_order(world):
    async with world.daemon():
        await world.up(STACK)
        world.containers.calls.clear()
        await world.orchestrator.intents.stop("shop", ["db", "web"], grace=None)
        await quiet(world)

    stops = [subject for method, subject in world.containers.calls if method == "stop"]
    assert stops == [WEB, DB]


async def test_a_restart_makes_new_runs_of_the_same_containers_and_of_those_bound_to_it(
    world,
):
    async with world.daemon():
        await world.up(STACK)
        await restarted(world, "db")
        await quiet(world)
        assert world.runs() == {DB: 2, WEB: 2, JOB: 1}
        await restarted(world, "db", dependents=False)
        await quiet(world)

    assert world.runs() == {DB: 3, WEB: 2, JOB: 1}
    assert world.writes().count("containers create shop.db.1") == 1


async def test_a_restart_starts_what_a_reboot_ended(world):
    async with world.daemon():
        await world.up(STACK.replace("restart: always", "restart: 'no'"))
    world.containers.reboot()
    world.host.networks.lose_everything()
    async with world.daemon():
        await quiet(world)
        assert world.phases()[JOB] == "exited 255"
        await restarted(world, "job")
        await quiet(world)

        assert world.phases()[JOB] == "running"


@pytest.mark.parametrize("crash", ["stop", "start"])
async def test_a_restart_is_gone_on_with_after_the_daemon_was_killed(world, crash):
    async with world.daemon():
        await world.up(STACK)
        gate = world.containers.gates[crash, JOB] = Gate()
        await restarted(world, "job")
        await gate.arrived.wait()
    del world.containers.gates[crash, JOB]
    async with world.daemon():
        await quiet(world)

    assert world.runs()[JOB] == 2
    assert world.store.stacks.find("shop").wishes == {}


async def test_a_restart_starts_what_was_stopped(world):
    async with world.daemon():
        await world.up(STACK)
        await world.orchestrator.intents.stop("shop", ["job"], grace=None)
        await quiet(world)
        await restarted(world, "job")
        await quiet(world)

    assert world.phases()[JOB] == "running"


async def test_what_is_killed_stays_down_and_other_signals_only_arrive(world):
    async with world.daemon():
        await world.up(STACK)
        await world.orchestrator.intents.kill("shop", ["job"], signal="HUP")
        await let_others_run()
        assert ("signal", JOB) in world.containers.calls
        await world.orchestrator.intents.kill("shop", ["job"], signal="KILL")
        await quiet(world)
        assert world.phases()[JOB] == "exited 137"
        with pytest.raises(PyorchError, match="nothing of `job` runs"):
            await world.orchestrator.intents.kill("shop", ["job"], signal="KILL")
        with pytest.raises(ConflictError, match="there is no such signal"):
            await world.orchestrator.intents.kill("shop", ["web"], signal="NONSENSE")


async def test_containers_that_were_removed_are_made_again_by_up_alone(world):
    async with world.daemon():
        await world.up(STACK)
        assert await world.orchestrator.intents.remove("shop", ["job"], stop=False) == ()
        gone = await world.orchestrator.intents.remove("shop", ["job"], stop=True)
        await quiet(world)
        assert gone == ("job",)
        assert JOB not in world.phases()
        with pytest.raises(PyorchError, match="`job` has no containers"):
            await world.orchestrator.intents.start("shop", ["job"])
        await world.up(STACK)

    assert world.phases()[JOB] == "running"


async def test_containers_of_a_stopped_stack_are_removed_and_the_others_stay_stopped(world):
    async with world.daemon():
        await world.up(STACK)
        await world.orchestrator.stop("shop", grace=None)
        await quiet(world)
        assert await world.orchestrator.intents.remove("shop", ["job"], stop=False) == ("job",)
        await world.until(lambda _: JOB not in world.phases())
        await quiet(world)
        assert set(world.phases()) == {DB, WEB}
        await world.orchestrator.intents.remove("shop", (), stop=False)
        await world.until(lambda _: not world.phases())
        await quiet(world)
        await world.up(STACK)

    assert set(world.phases().values()) == {"running"}


async def test_up_of_some_services_makes_them_and_what_they_need_and_no_more(world):
    async with world.daemon():
        await world.apply(STACK, services=("web",))
        await quiet(world)
        assert world.phases() == {DB: "running", WEB: "running"}
        await world.apply(STACK, services=("job",))
        await quiet(world)

    assert world.phases() == {DB: "running", WEB: "running", JOB: "running"}
    assert set(world.runs().values()) == {1}


async def test_up_of_some_services_leaves_the_others_as_they_were_asked_for(world):
    changed = STACK.replace("{image: app, restart", "{image: app, user: '7', restart")
    async with world.daemon():
        await world.up(STACK)
        await world.apply(changed, services=("job",))
        await quiet(world)
        assert world.containers.config(JOB).user == "7"
        assert world.containers.config(DB).user is None
        await world.up(changed)

    assert world.containers.config(DB).user == "7"


async def test_up_without_dependencies_waits_for_none_and_makes_none(world):
    waiting = STACK.replace("service_started", "service_healthy")
    async with world.daemon():
        await world.apply(waiting, services=("web",), no_deps=True)
        await quiet(world)

    assert world.phases() == {WEB: "running"}


async def test_what_depends_on_a_service_that_is_not_to_run_says_so(world):
    async with world.daemon():
        await world.up(STACK)
        await world.orchestrator.intents.stop("shop", ["db", "web"], grace=None)
        await quiet(world)
        await world.orchestrator.intents.start("shop", ["web"])
        state = await world.until(lambda one: one["failure"])

    assert "db is not to run" in state["failure"]
    assert "pyorch up db" in state["failure"]


async def test_containers_can_be_made_without_being_started(world):
    async with world.daemon():
        await world.apply(STACK, no_start=True)
        await quiet(world)
        assert set(world.phases().values()) == {"created"}
        await world.orchestrator.intents.start("shop", [])
        await quiet(world)

    assert set(world.phases().values()) == {"running"}


async def test_scaling_changes_one_service_and_keeps_what_was_stopped_by_hand(world):
    async with world.daemon():
        await world.up(STACK)
        await world.orchestrator.intents.stop("shop", ["db"], grace=None)
        await quiet(world)
        await world.orchestrator.scale("shop", {"job": 2}, owner_uid=0)
        await quiet(world)

    assert world.phases()[ContainerId("shop.job.2")] == "running"
    assert world.phases()[DB] == "exited 143"


async def test_starting_one_service_of_a_stopped_stack_leaves_the_rest_stopped(world):
    async with world.daemon():
        await world.up(STACK)
        await world.orchestrator.stop("shop")
        await world.until(lambda _: set(world.phases().values()) == {"exited 143"})
        await world.orchestrator.intents.start("shop", ["job"])
        await quiet(world)

    assert world.phases() == {DB: "exited 143", WEB: "exited 143", JOB: "running"}
    assert world.store.stacks.find("shop").intent is Intent.RUN


async def test_a_service_nobody_knows_is_named_with_those_there_are(world):
    async with world.daemon():
        await world.up(STACK)
        with pytest.raises(PyorchError, match="no such service in stack `shop`: `wb`") as caught:
            await world.orchestrator.intents.stop("shop", ["wb"], grace=None)

    assert "db, job, web" in caught.value.hint


async def test_networks_and_volumes_of_services_that_are_not_to_run_are_not_made(world):
    text = """
name: shop
services:
  a: {image: app, networks: [one], volumes: ["va:/x"]}
  b: {image: app, networks: [two], volumes: ["vb:/x"], depends_on: [a]}
networks: {one: , two: }
volumes: {va: , vb: }
"""
    async with world.daemon():
        world.applied = load_stack(LoadRequest(files=("-",), stdin=text, cwd=world.folder)).stack
        await world.apply(text, services=("b",), no_deps=True)
        await quiet(world)

    assert [one.config.id for one in await world.host.networks.list()] == ["shop_two"]
    assert [one.id for one in await world.host.volumes.list()] == ["shop_vb"]


APART = """
name: shop
services:
  one: {image: app, runtime: crun}
  two: {image: app, runtime: crun}
"""


async def test_two_services_asked_for_at_once_are_both_there_in_the_end(world):
    gate = world.containers.gates["check", ""] = Gate()
    async with world.daemon():
        asked = asyncio.gather(*(world.apply(APART, services=(name,)) for name in ("one", "two")))
        await gate.arrived.wait()
        await let_others_run()
        gate.open()
        await asked
        await quiet(world)

    assert world.phases() == {"shop.one.1": "running", "shop.two.1": "running"}


async def test_a_service_stopped_while_another_is_asked_for_stays_so(world):
    async with world.daemon():
        await world.up(APART)
        gate = world.containers.gates["check", ""] = Gate()
        asked = asyncio.ensure_future(world.apply(APART, services=("one",), force_recreate=True))
        await gate.arrived.wait()
        await world.orchestrator.intents.stop("shop", ["two"], grace=None)
        gate.open()
        await asked
        await quiet(world)

    assert world.phases() == {"shop.one.1": "running", "shop.two.1": "exited 143"}


async def test_a_file_changed_while_a_service_of_it_is_scaled_is_not_changed_back(world):
    changed = APART.replace("two: {", "two: {labels: {new: 'yes'}, ")
    async with world.daemon():
        await world.up(APART)
        gate = world.containers.gates["check", ""] = Gate()
        scaling = asyncio.ensure_future(
            world.orchestrator.scale("shop", {"two": 2}, owner_uid=0),
        )
        await gate.arrived.wait()
        del world.containers.gates["check", ""]
        await world.apply(changed)
        gate.open()
        await scaling
        await quiet(world)

    document, _ = world.store.stacks.generation("shop", world.store.stacks.find("shop").generation)
    assert document["services"]["two"]["labels"] == {"new": "yes"}
    assert {"shop.two.1", "shop.two.2"} <= set(world.phases())


async def test_a_stack_asked_for_while_the_last_of_it_goes_is_there_in_the_end(world):
    async with world.daemon():
        await world.up(APART)
        gate = world.containers.gates["check", ""] = Gate()
        asked = asyncio.ensure_future(world.apply(APART))
        await gate.arrived.wait()
        await world.down()
        gate.open()
        await asked
        await world.settled()

    assert world.phases() == {"shop.one.1": "running", "shop.two.1": "running"}


async def test_a_service_started_while_its_whole_stack_is_stops_no_other(world):
    async with world.daemon():
        await world.up(STACK)
        await world.orchestrator.stop("shop")
        await world.until(lambda _: "running" not in world.phases().values())
        await quiet(world)
        gate = world.containers.gates["list", ""] = Gate()
        asked = asyncio.ensure_future(world.orchestrator.intents.start("shop", ["job"]))
        await gate.arrived.wait()
        await world.orchestrator.start("shop")
        gate.open()
        await asked
        await quiet(world)

    assert world.phases() == {DB: "running", WEB: "running", JOB: "running"}
