"""Passes over stacks on a host in memory: it comes to hold what the files say, and stays so."""

import asyncio
import itertools
import sys
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network

import pytest
import structlog
from pydantic import ValidationError

from orchestrator.errors import PyorchError
from orchestrator.sources.timers import SWEEP
from runtime.errors import ConflictError, InvalidError, UnavailableError
from runtime.testing import Gate, Program
from runtime.types import ContainerId, ImageConfig, Listener
from scheduler.desired import Intent
from tests.orchestrator.virtual import let_others_run

WEB, DB = ContainerId("shop.web.1"), ContainerId("shop.db.1")

ONE = """
name: shop
services:
  web: {image: app, restart: always, stop_grace_period: 2s}
"""

CHAIN = """
name: shop
services:
  web:
    image: app
    restart: always
    depends_on: {db: {condition: service_healthy}}
    volumes: ["data:/data"]
    ports: ["8080:80"]
  db:
    image: app
    restart: always
    healthcheck: {test: [CMD, check], interval: 10s}
  job:
    image: app
    command: [work]
    depends_on: [db]
volumes: {data: {}}
"""

TWO = """
name: shop
services:
  web: {image: app, scale: 2, stop_grace_period: 2s, labels: {release: "RELEASE"}}
"""


def order(world, *wanted):
    """Return those of ``wanted`` in the order in which the host was asked for them."""
    calls = [f"{method} {subject}" for method, subject in world.containers.calls]
    return [call for call in calls if call in wanted]


def healthy(world):
    world.containers.programs[("check",)] = Program(code=0)
    world.containers.programs[("work",)] = Program(code=0, lives=1.0)


async def test_a_stack_comes_up_in_the_order_of_its_dependencies(world):
    healthy(world)

    async with world.daemon():
        state = await world.up(CHAIN)
        await asyncio.sleep(2)

    assert world.phases() == {
        "shop.db.1": "running",
        "shop.job.1": "exited 0",
        "shop.web.1": "running",
    }
    starts = order(world, "start shop.db.1", "start shop.web.1", "start shop.job.1")
    assert starts[0] == "start shop.db.1"
    assert {one["id"]: one["health"] for one in state["replicas"]}["db.1"] == "healthy"
    (port,) = world.host.networks.exposure.ports
    assert (port.host_port, port.targets[0][1]) == (8080, 80)
    assert {one.name for one in world.host.networks.exposure.names} >= {"web", "db"}


async def test_a_dependent_waits_for_health_and_not_for_an_attempt_at_it(world):
    healthy(world)
    world.containers.programs[("check",)] = Program(code=1)

    async with world.daemon():
        await world.apply(CHAIN)
        await world.until(lambda state: state["failure"])
        while_sick = world.phases()
        world.containers.programs[("check",)] = Program(code=0)
        await world.settled()

    assert while_sick["shop.web.1"] == "created"
    assert world.phases()["shop.web.1"] == "running"


async def test_a_second_pass_changes_nothing(world):
    healthy(world)

    async with world.daemon() as daemon:
        await world.up(CHAIN)
        before = world.writes()
        same = await world.apply(CHAIN)
        await world.settled()
        await asyncio.sleep(100)

    assert not same.changed
    assert daemon.reconciler.reports["shop"].plan.steps == ()
    assert world.writes() == before


async def test_what_ends_by_itself_runs_again_at_once_and_then_ever_later(world):
    async with world.daemon():
        await world.up(ONE)
        await asyncio.sleep(60)
        world.containers.programs[()] = Program(code=1, lives=1.0)
        world.containers.end(WEB, 1)
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(0.01)
        first = world.runs()[WEB]
        moments = []
        for run in range(3, 8):
            await world.until(partial(has_begun, world, run))
            moments.append(asyncio.get_running_loop().time() - begun)

    assert first == 2
    # A run takes a second; the pauses between them are 0.1, 0.2, 0.4 … seconds.
    assert moments[0] == pytest.approx(1.1, abs=0.01)
    assert gaps(moments) == pytest.approx([1.2, 1.4, 1.8, 2.6], abs=0.01)


def has_begun(world, run, state):
    return state["reported"] and world.runs()[WEB] >= run


def gaps(moments):
    return [after - before for before, after in itertools.pairwise(moments)]


async def test_a_run_of_ten_seconds_starts_the_row_anew(world):
    async with world.daemon():
        await world.up(ONE)
        for _ in range(3):
            await asyncio.sleep(11)
            world.containers.end(WEB, 1)
            await asyncio.sleep(0.01)

    assert world.runs()[WEB] == 4
    assert world.phases()[WEB] == "running"


async def test_a_lost_bridge_and_lost_links_are_mended_by_the_sweep_and_nothing_restarts(world):
    async with world.daemon():
        await world.up(ONE)
        world.host.networks.lose_bridge("shop_default")
        world.host.networks.lose_link(WEB)
        await asyncio.sleep(16)
        await world.settled()

    assert all(one.intact for one in await world.host.networks.list())
    assert all(one.intact for one in await world.host.networks.list_sandboxes())
    assert world.runs() == {WEB: 1}


async def test_everything_is_made_again_after_a_reboot_with_the_same_addresses(world):
    healthy(world)
    async with world.daemon():
        await world.up(CHAIN)
    addresses, ports = world.store.leases.addresses(), world.store.leases.ports()

    world.containers.reboot()
    world.host.networks.lose_everything()
    async with world.daemon():
        await world.until(lambda _: world.phases()[WEB] == "running")

    assert world.phases()[WEB] == world.phases()[DB] == "running"
    assert set(world.store.leases.addresses()) == set(addresses)
    assert world.store.leases.ports() == ports


async def test_what_is_not_to_be_restarted_stays_down_after_a_reboot_until_somebody_asks(world):
    async with world.daemon():
        await world.up(ONE.replace("always", '"no"'))
    world.containers.reboot()

    async with world.daemon():
        state = await world.settled()
        assert [one["phase"] for one in state["replicas"]] == ["exited"]
        await world.up(ONE.replace("always", '"no"'))
        assert world.phases()[WEB] == "running"


async def test_every_end_of_a_run_is_known_afterwards_also_those_without_a_daemon(world):
    async with world.daemon():
        await world.up(ONE)
        world.containers.end(WEB, 3)
        await world.until(lambda state: state["replicas"][0]["restarts"] == 1)
    world.containers.end(WEB, 4)
    async with world.daemon():
        state = await world.until(lambda state: state["replicas"][0]["restarts"] == 2)

    assert state["replicas"][0]["last_codes"] == (4, 3)


# ── failures ─────────────────────────────────────────────────────────────────────────────


async def test_a_failure_is_tried_again_ever_later_until_it_ends(world):
    world.containers.failures["start", WEB] = UnavailableError("start container", WEB, "busy")
    moments = []

    async with world.daemon():
        await world.apply(ONE)
        while len(moments) < 9:
            await world.until(lambda state: state["errors"] and attempts(world) > len(moments))
            moments.append(asyncio.get_running_loop().time())
        del world.containers.failures["start", WEB]
        await world.settled()

    assert gaps(moments)[:4] == pytest.approx([0.5, 1, 2, 4], abs=0.01)
    # The sweep looks every 15 s whatever the pause.
    assert max(gaps(moments)) <= 15.01
    assert world.phases() == {WEB: "running"}


def attempts(world):
    return world.containers.calls.count(("start", WEB))


async def test_a_failure_that_waiting_will_not_end_is_told_with_its_hint(world):
    world.containers.failures["create", WEB] = ConflictError(
        "create container", WEB, "its name is taken", hint="rename it"
    )

    async with world.daemon():
        await world.apply(ONE)
        state = await world.until(lambda state: state["failure"])

    assert "its name is taken" in state["failure"]
    assert state["errors"] == (
        {
            "message": "cannot create container `shop.web.1`: its name is taken",
            "hint": "rename it",
            "services": ("web",),
        },
    )


@pytest.mark.parametrize(
    ("driver", "method", "subject"),
    [
        ("networks", "create", "shop_default"),
        ("networks", "create_sandbox", "shop.web.1"),
        ("networks", "publish", ""),
        ("networks", "list", ""),
        ("networks", "host", ""),
        ("volumes", "create", "shop_data"),
        ("volumes", "list", ""),
        ("containers", "create", "shop.web.1"),
        ("containers", "start", "shop.db.1"),
        ("containers", "list", ""),
        ("images", "find", "app"),
    ],
)
async def test_whatever_fails_for_a_while_the_stack_comes_up(world, driver, method, subject):
    healthy(world)
    failures = getattr(world.host, driver).failures

    async with world.daemon() as daemon:
        failures[method, subject] = UnavailableError(method, subject, "the host is busy")
        await world.apply(CHAIN)
        await asyncio.sleep(5)
        settled = "shop" in daemon.reconciler.reports and daemon.reconciler.reports["shop"].settled
        del failures[method, subject]
        await world.settled()

    assert not settled
    assert world.phases()[WEB] == world.phases()[DB] == "running"
    assert all(run == 1 for run in world.runs().values())


async def test_what_a_pass_came_to_is_not_told_of_what_was_asked_for_since(world):
    world.containers.programs[()] = Program(code=1)

    async with world.daemon() as daemon:
        await world.apply(ONE.replace("always", "on-failure:1"))
        await world.until(lambda state: state["failure"])
        earlier = daemon.reconciler.reports["shop"]
        await daemon.remove("shop", volumes=False)
        # The pass had begun before, and ended only now.
        daemon.reconciler.reports["shop"] = earlier
        view = await daemon.view("shop")

    assert earlier.failure
    assert (view.failure, view.reported) == ("", False)


async def test_a_bug_in_one_stacks_pass_leaves_the_others_alone(world):
    world.containers.failures["create", WEB] = RuntimeError("a bug")

    with structlog.testing.capture_logs() as logs:
        async with world.daemon():
            await world.apply(ONE)
            broken = await world.until(lambda state: state["failure"])
            await world.apply(ONE.replace("shop", "blog"))
            await world.settled("blog")
            del world.containers.failures["create", WEB]
            await world.settled()

    assert "crashed" in broken["failure"]
    assert "pass.crashed" in {line["event"] for line in logs}
    assert world.phases() == {"blog.web.1": "running", WEB: "running"}


async def test_a_missing_image_is_pulled_and_one_that_cannot_be_had_is_told(world):
    text = ONE.replace("image: app", "image: registry.test/app:2")
    async with world.daemon():
        await world.apply(text)
        state = await world.until(lambda state: state["failure"])
        world.host.images.registry["registry.test/app:2"] = ImageConfig()
        await world.settled()

    assert "registry.test/app:2" in state["failure"]
    assert world.phases() == {WEB: "running"}


async def test_a_hostile_image_is_told_and_nothing_is_made(world):
    world.host.images.failures["pull", "evil"] = InvalidError("pull image", "evil", "digest")

    async with world.daemon():
        await world.apply(ONE.replace("image: app", "image: evil"))
        state = await world.until(lambda state: state["failure"])

    assert "digest" in state["failure"]
    assert world.phases() == {}


async def test_a_port_somebody_else_listens_on_is_told_with_who_it_is(world):
    healthy(world)
    world.host.networks.listeners = (
        Listener(protocol="tcp", address="0.0.0.0", port=8080, pid=7, command="nginx"),
    )

    async with world.daemon():
        await world.apply(CHAIN)
        state = await world.until(lambda state: state["failure"])

    assert "8080" in state["failure"]
    assert "nginx (pid 7)" in state["failure"]


async def test_networks_keep_clear_of_what_the_host_routes(world):
    world.host.networks.routes = (IPv4Network("10.89.0.0/16"),)

    async with world.daemon():
        await world.up(ONE)

    (found,) = await world.host.networks.list()
    assert found.config.subnets[0].net.subnet_of(IPv4Network("172.30.0.0/16"))


# ── changes ──────────────────────────────────────────────────────────────────────────────


async def test_replicas_are_replaced_one_at_a_time_and_keep_their_addresses(world):
    async with world.daemon():
        await world.up(TWO)
        addresses = set(world.store.leases.addresses())
        world.containers.calls.clear()
        await world.up(TWO.replace("RELEASE", "2"))

    assert order(
        world,
        *(f"{verb} shop.web.{slot}" for verb in ("stop", "start") for slot in (1, 2)),
    ) == ["stop shop.web.1", "start shop.web.1", "stop shop.web.2", "start shop.web.2"]
    assert set(world.store.leases.addresses()) == addresses


async def test_scaling_down_takes_the_highest_and_its_address_is_free_again(world):
    async with world.daemon():
        await world.up(TWO)
        await world.up(TWO, scale={"web": 1})

    assert world.phases() == {WEB: "running"}
    assert {lease.replica.slot for lease in world.store.leases.addresses()} == {1}
    assert world.runs() == {WEB: 1}


async def test_two_applies_at_once_come_to_one_result(world):
    async with world.daemon():
        first, second = await asyncio.gather(world.apply(ONE), world.apply(ONE))
        await world.settled()

    assert {first.generation, second.generation} == {1}
    assert world.writes().count("containers create shop.web.1") == 1
    assert world.runs() == {WEB: 1}


async def test_the_last_of_several_files_holds(world):
    async with world.daemon():
        for release in ("1", "2", "3"):
            await world.apply(TWO.replace("RELEASE", release))
        await world.settled()

    labels = {facts.labels["release"] for facts in await world.containers.list()}
    assert labels == {"3"}
    assert set(world.runs().values()) == {1}


async def test_containers_made_anew_once_are_as_the_file_says(world):
    async with world.daemon() as orchestrator:
        await world.up(ONE)
        await world.up(ONE, force_recreate=True)
        before = world.writes()

        applied = await world.apply(ONE)
        await world.settled()

        assert not applied.changed
        assert world.writes() == before
        assert not (await orchestrator.plan(world.load(ONE), "shop")).steps


async def test_force_recreate_makes_the_same_file_new_containers(world):
    async with world.daemon():
        await world.up(ONE)
        before = world.writes().count("containers create shop.web.1")
        await world.up(ONE, force_recreate=True)

    assert before == 1
    assert world.writes().count("containers create shop.web.1") == 2


async def test_a_new_image_under_the_same_name_is_taken_by_the_next_apply_and_not_before(world):
    async with world.daemon():
        await world.up(ONE)
        fresh = world.host.images.add("app", ImageConfig(user="7"))
        world.host.images.add("kept", ImageConfig())
        await asyncio.sleep(60)
        undisturbed = world.runs()
        applied = await world.apply(ONE)
        await world.settled()

    assert undisturbed == {WEB: 1}
    assert applied.changed
    assert [facts.image for facts in await world.containers.list()] == [fresh.id]


# ── down ─────────────────────────────────────────────────────────────────────────────────


async def test_down_takes_dependents_first_and_leaves_the_data(world):
    healthy(world)
    async with world.daemon():
        await world.up(CHAIN)
        await world.down()

    assert order(world, "stop shop.web.1", "stop shop.db.1") == [
        "stop shop.web.1",
        "stop shop.db.1",
    ]
    assert world.phases() == {}
    assert await world.host.networks.list() == ()
    assert await world.host.networks.list_sandboxes() == ()
    assert [one.id for one in await world.host.volumes.list()] == ["shop_data"]
    assert world.host.networks.exposure.ports == ()
    assert (
        world.store.stacks.all(),
        world.store.leases.addresses(),
        world.store.leases.ports(),
    ) == ((), (), ())


async def test_down_with_volumes_leaves_nothing(world):
    healthy(world)
    async with world.daemon():
        await world.up(CHAIN)
        await world.down(volumes=True)

    assert await world.host.volumes.list() == ()


async def test_one_that_does_not_stop_is_killed_when_its_time_is_over(world):
    world.containers.programs[()] = Program(signals={})
    async with world.daemon():
        await world.up(ONE)
        begun = asyncio.get_running_loop().time()
        await world.down()
        took = asyncio.get_running_loop().time() - begun

    assert took == pytest.approx(2.0, abs=0.01)
    assert order(world, "stop shop.web.1", "kill shop.web.1", "remove shop.web.1") == [
        "stop shop.web.1",
        "kill shop.web.1",
        "remove shop.web.1",
    ]


async def test_a_stopped_stack_is_kept_and_starts_again(world):
    async with world.daemon() as daemon:
        await world.up(ONE)
        await daemon.stop("shop")
        await world.settled()
        stopped = world.phases()
        await asyncio.sleep(60)
        still = world.phases()
        await daemon.start("shop")
        await world.settled()

    assert stopped == still == {WEB: "exited 143"}
    assert world.phases() == {WEB: "running"}
    assert world.writes().count("containers create shop.web.1") == 1


async def test_down_during_up_wins(world):
    gate = world.containers.gates["start", WEB] = Gate()

    async with world.daemon(), asyncio.TaskGroup() as group:
        await world.apply(ONE)
        await gate.arrived.wait()
        group.create_task(world.down())
        await asyncio.sleep(1)
        gate.open()

    assert world.phases() == {}
    assert await world.host.networks.list() == ()


async def test_up_during_down_wins(world):
    world.containers.programs[()] = Program(signals={})
    async with world.daemon() as daemon:
        await world.up(ONE)
        await daemon.remove("shop", volumes=False)
        await asyncio.sleep(1)
        await world.apply(ONE)
        await world.settled()

    assert world.phases() == {WEB: "running"}
    assert world.store.stacks.find("shop").intent is Intent.RUN


# ── the daemon comes and goes ────────────────────────────────────────────────────────────


async def test_another_daemon_takes_over_without_restarting_anything(world):
    healthy(world)
    async with world.daemon():
        await world.up(CHAIN)
    before = world.writes()

    async with world.daemon():
        await world.settled()
        await asyncio.sleep(60)

    assert world.writes() == before
    assert world.phases()[WEB] == "running"


async def test_what_ended_while_nobody_looked_runs_again(world):
    async with world.daemon():
        await world.up(ONE)
    world.containers.end(WEB, 1)

    async with world.daemon():
        await world.settled()

    assert (world.phases(), world.runs()) == ({WEB: "running"}, {WEB: 2})


@pytest.mark.parametrize("release", ["1", "2"])
@pytest.mark.parametrize("method", ["create", "start", "stop", "remove"])
async def test_a_daemon_that_dies_in_the_middle_leaves_nothing_the_next_cannot_finish(
    world, method, release
):
    async with world.daemon():
        await world.up(TWO.replace("RELEASE", "1"))

    gate = world.containers.gates[method, "shop.web.2"] = Gate()
    async with world.daemon():
        await world.apply(TWO.replace("RELEASE", release), force_recreate=True)
        async with asyncio.timeout(100):
            await gate.arrived.wait()
    del world.containers.gates[method, "shop.web.2"]
    async with world.daemon():
        await world.settled()

    assert world.phases() == {"shop.web.1": "running", "shop.web.2": "running"}
    assert {facts.labels["release"] for facts in await world.containers.list()} == {release}
    assert len(world.store.leases.addresses()) == 2


async def test_ports_and_names_stay_published_while_a_daemon_starts(world):
    healthy(world)
    async with world.daemon():
        await world.up(CHAIN)
        await world.up(ONE.replace("shop", "blog"))
    before = world.host.networks.exposure
    gate = world.host.networks.gates["publish", ""] = Gate()

    async with world.daemon():
        # Whatever is published first knows of both stacks.
        async with asyncio.timeout(100):
            await gate.arrived.wait()
        gate.open()
        await let_others_run()
        first = world.host.networks.exposure

    assert first.ports == before.ports
    assert first.names == before.names


@pytest.mark.parametrize("same", [True, False])
async def test_a_container_that_appears_meanwhile_is_taken_over_or_made_anew(world, same):
    async with world.daemon():
        await world.up(ONE)
        config = world.containers.config(WEB)
        await world.down()

        gate = world.containers.gates["create", WEB] = Gate()
        await world.apply(ONE)
        await gate.arrived.wait()
        del world.containers.gates["create", WEB]
        await world.containers.create(config if same else replace(config, hostname="other"))
        gate.open()
        begun = asyncio.get_running_loop().time()
        await world.settled()
        took = asyncio.get_running_loop().time() - begun

    assert world.containers.config(WEB) == config
    assert took < 0.1, "it was refused and tried again"


async def test_what_nobody_accounts_for_is_swept_and_told(world):
    world.containers.leftovers.append("cgroup pyorch/old")
    with structlog.testing.capture_logs() as logs:
        async with world.daemon():
            world.host.networks.leftovers.append("link pov123")
            await asyncio.sleep(16)

    assert [line["subject"] for line in logs if line["event"] == "leftover.removed"] == [
        "link pov123"
    ]
    assert world.containers.leftovers == []


async def test_a_sweep_that_fails_is_told_and_does_not_end_the_next(world):
    async with world.daemon():
        await world.up(ONE)
        world.containers.failures["sweep", ""] = UnavailableError("sweep", "cgroups", "busy")
        with structlog.testing.capture_logs() as logs:
            await asyncio.sleep(16)
        del world.containers.failures["sweep", ""]
        world.host.networks.lose_bridge("shop_default")
        await asyncio.sleep(16)

    assert "sweep.failed" in {line["event"] for line in logs}
    assert all(one.intact for one in await world.host.networks.list())


# ── the machine is finite ────────────────────────────────────────────────────────────────

HALF = """
name: shop
services:
  web:
    image: app
    scale: 2
    deploy: {resources: {reservations: {cpus: "0.75", memory: 1G}}}
"""


async def test_replicas_the_machine_has_no_room_for_are_held_and_told(world):
    async with world.daemon():
        await world.apply(HALF, scale={"web": 3})
        state = await world.until(lambda state: state["failure"])

    assert state["failure"].startswith("web.3: needs 0.75 cpus: 0.5 of 2 free, 1.5 reserved")
    assert world.phases() == {WEB: "running", "shop.web.2": "running"}


async def test_a_machine_that_is_full_is_not_walked_over_again_and_again(world):
    async with world.daemon():
        await world.apply(HALF, scale={"web": 3})
        await world.until(lambda state: state["failure"])
        # A walk over every process of the host would be refused from here on.
        world.host.networks.failures["host", ""] = UnavailableError("look at", "host", "busy")
        await asyncio.sleep(60)
        state = await world.orchestrator.view("shop")

    assert state.errors == ()
    assert "web.3: needs 0.75 cpus" in state.failure


async def test_what_one_stack_holds_another_does_not_get_until_it_is_gone(world):
    async with world.daemon():
        await world.up(HALF)
        await world.apply(HALF.replace("shop", "blog"))
        held = await world.until(lambda state: state["failure"], "blog")
        await world.down()
        await world.settled("blog")

    assert "0.5 of 2 free, 1.5 reserved" in held["failure"]
    assert world.phases() == {"blog.web.1": "running", "blog.web.2": "running"}


async def test_two_stacks_that_come_at_once_do_not_both_get_the_last_of_it(world):
    async with world.daemon() as daemon:
        await asyncio.gather(world.apply(HALF), world.apply(HALF.replace("shop", "blog")))
        await asyncio.sleep(60)
        failures = sorted(bool(one.failure) for one in daemon.reconciler.reports.values())

    assert failures == [False, True]
    assert list(world.phases().values()) == ["running", "running"]


async def test_a_daemon_that_comes_back_knows_what_is_held(world):
    world.host.images.add("other")
    async with world.daemon():
        await world.up(HALF.replace("image: app", "image: other"))

    async with world.daemon():
        # The stack that holds it is not looked at before the other one asks for it.
        gate = world.host.images.gates["find", "other"] = Gate()
        await world.apply(HALF.replace("shop", "blog"))
        held = await world.until(lambda state: state["failure"], "blog")
        gate.open()

    assert "1.5 reserved" in held["failure"]
    assert world.phases() == {WEB: "running", "shop.web.2": "running"}


async def test_a_crash_does_not_cost_a_replica_its_place(world):
    text = HALF.replace("image: app", "image: app\n    restart: always")
    async with world.daemon():
        await world.up(text)
        await world.apply(HALF.replace("shop", "blog"))
        await world.until(lambda state: state["failure"], "blog")
        for _ in range(3):
            world.containers.end(WEB, 1)
            await asyncio.sleep(20)

    assert world.phases() == {WEB: "running", "shop.web.2": "running"}


async def test_a_stack_that_failed_a_thousand_times_is_still_tried_and_takes_nobody_down(world):
    world.containers.failures["create", WEB] = UnavailableError("create container", WEB, "no room")

    async with world.daemon():
        await world.apply(ONE)
        # A pause that doubled as often would be no number any more.
        await asyncio.sleep((sys.float_info.max_exp + 10) * SWEEP)
        assert world.containers.calls.count(("create", WEB)) > sys.float_info.max_exp
        world.containers.failures.clear()
        settled = await world.settled()

    assert settled["replicas"][0]["phase"] == "running"


@pytest.mark.parametrize("method", ["sweep", "mend"])
async def test_a_sweep_that_meets_a_full_disk_is_made_again_later(world, method):
    driver = world.containers if method == "sweep" else world.host.networks
    async with world.daemon():
        await world.up(ONE)
        driver.failures[method, ""] = OSError(28, "No space left on device")
        await asyncio.sleep(60)
        driver.failures.clear()
        await asyncio.sleep(60)
        after = await world.settled()

    assert after["settled"]


@pytest.mark.parametrize("replicas", [1_000_000, -3, "many", 1.5])
async def test_a_scale_no_file_may_ask_for_is_refused_and_nothing_is_accepted(world, replicas):
    async with world.daemon():
        with pytest.raises((PyorchError, ValidationError)):
            await world.apply(ONE, scale={"web": replicas})

    assert world.store.stacks.all() == ()


async def test_a_container_name_forbids_a_scale_given_beside_the_file(world):
    async with world.daemon():
        with pytest.raises(PyorchError, match="container_name"):
            await world.apply(
                ONE.replace("image: app", "image: app, container_name: w"), scale={"web": 2}
            )


async def test_a_container_name_of_another_stack_is_refused_before_anything_is_done(world):
    named = ONE.replace("image: app", "image: app, container_name: own")
    async with world.daemon():
        await world.up(named)
        with pytest.raises(PyorchError, match="a container of stack `shop` is called `own`"):
            await world.apply(named.replace("name: shop", "name: blog"))
        usual = named.replace("name: shop", "name: blog").replace(": own", ": shop-web-1")
        assert (await world.orchestrator.view("shop")).replicas[0].container == "own"
        await world.apply(usual)
        await world.up(named)

    assert {stored.name for stored in world.store.stacks.all()} == {"blog", "shop"}


async def test_a_stack_is_not_settled_between_an_exit_and_the_pass_that_judges_it(world):
    text = "name: shop\nservices: {web: {image: app}}\n"
    async with world.daemon():
        await world.up(text)
        world.containers.end(WEB, 3)
        between = await world.orchestrator.view("shop")
        after = await world.until(lambda state: state["failure"])

    assert not between.settled
    assert after["failure"] == "web.1 exited with 3"


async def test_f16_what_runs_is_started_again_while_nothing_can_be_written_down(world):
    healthy(world)
    async with world.daemon():
        await world.up(ONE)
        await asyncio.sleep(60)
        for connection in (world.store.db._db, world.store.db._brief):
            connection.execute("PRAGMA query_only=ON")
        world.containers.end(ContainerId("shop.web.1"), 1)
        await world.until(lambda _: world.phases() == {"shop.web.1": "running"})
        with pytest.raises(PyorchError, match="cannot be written"):
            await world.apply(ONE.replace("image: app", "image: app, hostname: other"))
        for connection in (world.store.db._db, world.store.db._brief):
            connection.execute("PRAGMA query_only=OFF")
        await world.settled()

    assert world.runs() == {"shop.web.1": 2}


ONE_WEB = """
name: shop
services:
  web: {image: app}
"""


async def test_what_is_told_of_every_stack_is_told_where_one_of_them_cannot_be_read(world):
    async with world.daemon() as daemon:
        await world.up(ONE_WEB)
        world.store.stacks.save_generation("broken", {"services": 7}, {}, owner_uid=0)

        daemon.reconciler.chronicle.tell_all("disk.nearly_full", "91 %")

        for stack in ("broken", "shop"):
            assert world.store.events.last(stack, most=1)[0][:1] == ("disk.nearly_full",)
