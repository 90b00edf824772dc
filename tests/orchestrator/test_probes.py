"""Healthchecks: when they run, what they add up to, and whom a change wakes."""

import asyncio
import itertools
from ipaddress import IPv4Address

import pytest

from orchestrator.errors import PyorchError
from orchestrator.translate.health import checks_of
from runtime.errors import UnavailableError
from runtime.testing import Gate, Program
from runtime.types import ContainerId, ExecProbe, GrpcProbe, HttpProbe, LogProbe, TcpProbe
from scheduler.desired import CheckKind

DB = ContainerId("shop.db.1")
CHECKED = """
name: shop
services:
  db:
    image: app
    restart: always
    healthcheck: {test: [CMD, check], interval: 10s, timeout: 3s, retries: 2}
    x-pyorch: {on_unhealthy: none}
"""


def moments(world):
    started = world.containers.phase(DB).started
    return [round(moment - started, 2) for name, moment in world.containers.probed if name == DB]


def answer(world, **program):
    world.containers.programs[("check",)] = Program(**program)


async def unhealthy(world):
    return await world.until(lambda state: "unhealthy" in state["failure"])


async def test_the_first_probe_is_immediate_and_health_settles_the_stack(world):
    answer(world, code=0)

    async with world.daemon():
        await world.up(CHECKED)
        settled = asyncio.get_running_loop().time() - world.containers.phase(DB).started
        await asyncio.sleep(25)

    assert settled == pytest.approx(0.0, abs=0.01)
    assert moments(world) == [0.0, 10.0, 20.0]


async def test_a_replica_nobody_has_probed_yet_is_neither_ready_nor_settled(world):
    answer(world, code=0)
    gate = world.containers.gates["probe", DB] = Gate()

    async with world.daemon():
        await world.apply(CHECKED)
        await gate.arrived.wait()
        state = await world.until(lambda state: state["reported"])
        gate.open()
        after = await world.settled()

    assert not state["settled"]
    assert state["replicas"][0]["health"] == "starting"
    assert after["replicas"][0]["health"] == "healthy"


async def test_after_a_daemon_comes_back_all_that_runs_answers_until_it_is_probed(world):
    answer(world, code=0)
    text = CHECKED.replace("image: app", "image: app\n    scale: 2")
    async with world.daemon():
        await world.up(text)
    before = answering(world, "db")

    gates = [Gate(), Gate()]
    world.containers.gates = {("probe", f"shop.db.{n + 1}"): gates[n] for n in range(2)}
    async with world.daemon():
        await gates[0].arrived.wait()
        unknown = answering(world, "db")

    assert unknown == before


async def test_the_first_probes_come_quickly_and_only_those_the_file_asks_for_count(world):
    answer(world, code=1)

    async with world.daemon() as daemon:
        await world.apply(CHECKED)
        await asyncio.sleep(0.9)
        after_the_ramp = daemon.reconciler.prober.health[DB].value, moments(world)
        await unhealthy(world)

    assert after_the_ramp == ("starting", [0.0, 0.1, 0.35, 0.85])
    assert moments(world)[-1] == 20.0


async def test_a_probe_that_takes_too_long_has_failed(world):
    answer(world)

    async with world.daemon() as daemon:
        await world.apply(CHECKED)
        await unhealthy(world)
        last = daemon.reconciler.prober.results(DB)[-1]

    assert last.code == -1


async def test_failures_in_a_row_make_it_unhealthy_and_one_success_healthy(world):
    answer(world, code=0)
    async with world.daemon() as daemon:
        await world.up(CHECKED)
        answer(world, code=1)
        await asyncio.sleep(10.5)
        one_failure = daemon.reconciler.prober.health[DB].value
        await unhealthy(world)
        answer(world, code=0)
        await world.settled()
        again = daemon.reconciler.prober.health[DB].value

    assert (one_failure, again) == ("healthy", "healthy")


async def test_a_change_of_health_wakes_the_stack_and_changes_who_answers(world):
    answer(world, code=0)
    text = CHECKED.replace("image: app", "image: app\n    scale: 2")

    async with world.daemon():
        await world.up(text)
        both = answering(world, "db")
        world.containers.failures["probe", "shop.db.2"] = UnavailableError("probe", "db", "no")
        await unhealthy(world)
        one = answering(world, "db")

    assert len(both) == 2
    assert len(one) == 1
    assert set(one) < set(both)


def answering(world, name):
    found = [one.addresses for one in world.host.networks.exposure.names if one.name == name]
    (addresses,) = found
    assert all(isinstance(address, IPv4Address) for address in addresses)
    return addresses


async def test_a_new_run_begins_anew(world):
    answer(world, code=0)
    async with world.daemon() as daemon:
        await world.up(CHECKED)
        await asyncio.sleep(35)
        gate = world.containers.gates["probe", DB] = Gate()
        world.containers.end(DB, 1)
        await gate.arrived.wait()
        anew = daemon.reconciler.prober.health[DB].value
        gate.open()
        await world.settled()

    assert anew == "starting"
    assert world.runs() == {DB: 2}


async def test_another_check_is_taken_up_without_a_restart(world):
    answer(world, code=0)
    async with world.daemon():
        await world.up(CHECKED)
        await asyncio.sleep(5)
        await world.apply(CHECKED.replace("interval: 10s", "interval: 20s"))
        await asyncio.sleep(45)

    assert world.runs() == {DB: 1}
    assert moments(world) == [0.0, 5.0, 25.0, 45.0]


async def test_f40_one_replica_is_probed_once_at_a_time(world):
    answer(world)

    async with world.daemon():
        await world.apply(CHECKED)
        await asyncio.sleep(60)

    gaps = [after - before for before, after in itertools.pairwise(moments(world))]
    assert min(gaps) >= 3.0


async def test_nothing_is_probed_in_a_stack_that_goes_down(world):
    answer(world, code=0)
    async with world.daemon():
        await world.up(CHECKED)
        await world.down()
        count = len(world.containers.probed)
        await asyncio.sleep(60)

    assert len(world.containers.probed) == count


async def test_a_check_that_cannot_be_run_is_a_failed_one(world):
    async with world.daemon() as daemon:
        await world.apply(CHECKED)
        await unhealthy(world)
        last = daemon.reconciler.prober.results(DB)[-1]

    assert last.code == 127


async def test_a_probe_that_cannot_even_be_begun_counts_as_failed_and_takes_nobody_down(world):
    async with world.daemon():
        answer(world, code=0)
        await world.up(CHECKED)
        world.containers.failures["probe", DB] = OSError(24, "Too many open files")
        await unhealthy(world)
        world.containers.failures.clear()
        after = await world.settled()

    assert after["replicas"][0]["health"] == "healthy"


# ── the daemon's own ─────────────────────────────────────────────────────────────────────

PROBED = """
name: shop
services:
  db:
    image: app
    scale: 2
    restart: always
    x-pyorch:
      on_unhealthy: none
      probes:
        startup: {log: ready to serve, interval: 1s, retries: 5}
        readiness: {http: {port: 8080, path: /ready}, interval: 2s, retries: 2}
        liveness: {grpc: {port: 9000}, interval: 3s, retries: 2}
"""
STARTED = LogProbe("ready to serve")
READY = HttpProbe(port=8080, path="/ready")
ALIVE = GrpcProbe(port=9000)


def kinds(daemon):
    return {one.kind for one in daemon.reconciler.prober.results(DB)}


async def test_nothing_else_is_asked_before_it_has_started(world):
    world.containers.answers = {READY: 0, ALIVE: 0}
    async with world.daemon() as daemon:
        await world.apply(PROBED)
        await asyncio.sleep(3)
        before = kinds(daemon), daemon.reconciler.prober.health[DB].value
        world.containers.answers[STARTED] = 0
        await world.settled()
        count = len([one for one in daemon.reconciler.prober.results(DB) if one.kind == "startup"])
        await asyncio.sleep(30)
        startups = [one for one in daemon.reconciler.prober.results(DB) if one.kind == "startup"]

    assert before == ({"startup"}, "starting")
    assert kinds(daemon) == {"startup", "readiness", "liveness"}
    assert len(startups) == count


async def test_what_does_not_start_in_time_is_unhealthy(world):
    world.containers.answers = {READY: 0, ALIVE: 0}
    async with world.daemon():
        await world.apply(PROBED)
        state = await unhealthy(world)

    assert state["replicas"][0]["probes"][-1]["kind"] == "startup"


async def test_who_is_not_ready_answers_nobody_and_is_not_ill(world):
    world.containers.answers = {STARTED: 0, READY: 0, ALIVE: 0}
    async with world.daemon():
        await world.up(PROBED)
        both = answering(world, "db")
        world.containers.answers[READY] = 1
        state = await world.until(
            lambda state: {one["health"] for one in state["replicas"]} == {"unready"}
        )
        world.containers.answers[READY] = 0
        await world.settled()

    assert len(both) == 2
    assert (state["settled"], state["failure"]) == (False, "")
    assert world.runs() == {DB: 1, ContainerId("shop.db.2"): 1}


async def test_changes_of_health_are_told_with_what_was_answered(world):
    answer(world, code=0)
    async with world.daemon() as daemon:
        with daemon.events.subscribe("shop") as told:
            await world.up(CHECKED)
            answer(world, code=3, output=b"no room left")
            await unhealthy(world)
        seen = {}
        while not told.empty():
            if event := told.get_nowait():
                seen[event.name] = event.reason

    assert seen["replica.healthy"] == "healthcheck passed"
    assert seen["replica.unhealthy"] == "healthcheck failed: no room left"


async def test_what_is_secret_is_not_told_of_what_was_answered(world):
    (world.folder / "word").write_text("open sesame")
    text = CHECKED + "    secrets: [word]\nsecrets: {word: {file: ./word}}\n"
    answer(world, code=1, output=b"wrong: open sesame")
    async with world.daemon() as daemon:
        await world.apply(text)
        state = await unhealthy(world)

    assert "sesame" not in str(state)
    assert daemon.reconciler.prober.results(DB)[-1].output.startswith("wrong: ")


def test_every_kind_of_probe_is_one_question(world):
    text = "name: x\nservices: {a: {image: app, x-pyorch: {probes: {liveness: PROBE}}}}"
    asked = {
        "{tcp: 80}": TcpProbe(80),
        "{http: {port: 80}}": HttpProbe(port=80),
        "{exec: [check, it]}": ExecProbe(("check", "it")),
    }
    for written, probe in asked.items():
        service = world.load(text.replace("PROBE", written)).services["a"]
        assert checks_of(service, None)[CheckKind.LIVENESS][1] == probe
    for wrong in ("{}", "{tcp: 80, log: ready}", "{tcp: 0}", "{http: {port: 1, path: no}}"):
        with pytest.raises(PyorchError, match="probes"):
            world.load(text.replace("PROBE", wrong))


# ── healing ──────────────────────────────────────────────────────────────────────────────

HEALED = CHECKED.replace("on_unhealthy: none", "on_unhealthy: restart")


@pytest.mark.parametrize("way", ["restart", "recreate"])
async def test_who_is_ill_runs_anew_and_is_well_again(world, way):
    answer(world, code=0)
    async with world.daemon():
        await world.up(HEALED.replace("on_unhealthy: restart", f"on_unhealthy: {way}"))
        made = (await world.containers.list())[0].created_wall
        answer(world, code=1)
        await unhealthy(world)
        answer(world, code=0)
        state = await world.settled()
        again = (await world.containers.list())[0].created_wall

    assert (state["replicas"][0]["restarts"], state["replicas"][0]["health"]) == (1, "healthy")
    assert (made == again) == (way == "restart")


async def test_who_stays_ill_is_left_alone_in_the_end_and_goes_on(world):
    answer(world, code=1)
    text = HEALED.replace("on_unhealthy: restart", "quarantine: 2")
    async with world.daemon():
        await world.apply(text)
        state = await world.until(lambda state: "quarantine" in state["failure"])
        await asyncio.sleep(600)

    assert state["failure"] == "db.1: is unhealthy, in quarantine after 2 restarts in a row"
    assert world.runs() == {DB: 3}
    assert world.phases()[DB] == "running"


async def test_where_the_file_says_nothing_healing_has_an_end_that_is_seen_and_told_once(world):
    answer(world, code=1)
    async with world.daemon() as daemon:
        await world.apply(HEALED)
        state = await world.until(lambda state: "left as it is" in state["failure"])
        await asyncio.sleep(600)
        told = [one for one in daemon.store.events.last("shop", most=999) if "given_up" in one[0]]
        shown = (await daemon.view("shop")).replicas[0]

        why = "is unhealthy, left as it is after 20 restarts in a row"
        assert state["failure"] == f"db.1: {why}"
        assert world.runs() == {DB: 21}
        assert world.phases()[DB] == "running"
        assert [(name, reason) for name, _, reason, _ in told] == [("replica.given_up", why)]
        assert shown.given_up == why

        answer(world, code=0)
        state = await world.settled()
        assert not state["replicas"][0]["given_up"]
        await asyncio.sleep(60)
        answer(world, code=1)
        await unhealthy(world)
        answer(world, code=0)
        assert (await world.settled())["replicas"][0]["attempts"] == 1


async def test_who_is_not_to_be_restarted_is_not_healed(world):
    answer(world, code=1)
    async with world.daemon():
        await world.apply(HEALED.replace("restart: always", 'restart: "no"'))
        await unhealthy(world)
        await asyncio.sleep(600)

    assert world.runs() == {DB: 1}


async def test_what_is_paused_is_asked_nothing_and_is_not_ill_for_it(world):
    answer(world, code=0)

    async with world.daemon() as orchestrator:
        await world.up(CHECKED.replace("    x-pyorch: {on_unhealthy: none}\n", ""))
        await orchestrator.intents.pause("shop", [], paused=True)
        await asyncio.sleep(1.0)
        answer(world, lives=3600.0, code=0)
        asked = moments(world)
        await asyncio.sleep(600.0)

        assert moments(world) == asked
        assert world.runs() == {DB: 1}

        answer(world, code=0)
        await orchestrator.intents.pause("shop", [], paused=False)
        state = await world.settled()

    assert [one["health"] for one in state["replicas"]] == ["healthy"]
