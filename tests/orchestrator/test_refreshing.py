"""Other contents under containers that run, told beside everything else."""

import asyncio

from runtime.errors import UnavailableError
from runtime.testing import Gate, Program
from runtime.types import ContainerId, Exited

WEB, DB = ContainerId("shop.web.1"), ContainerId("shop.db.1")
STACK = """
name: shop
services:
  web: {image: app, configs: [conf]}
  db: {image: app, restart: always}
configs:
  conf: {content: TEXT, x-pyorch: {on_change: exec, exec: [reload], timeout: 5s}}
"""
OLD, NEW, NEWER = (STACK.replace("TEXT", word) for word in ("old", "new", "newer"))


def told(world):
    return [name for name, _ in world.containers.probed]


def content(world):
    (mount,) = world.containers.config(WEB).mounts
    return mount.content


async def test_a_command_that_takes_long_holds_up_nobody_else_of_its_stack(world):
    world.containers.programs[("reload",)] = Program(code=0)
    async with world.daemon():
        await world.up(OLD)
        gate = world.containers.gates["probe", WEB] = Gate()
        await world.apply(NEW)
        await gate.arrived.wait()
        held = await world.until(lambda state: state["held"])
        world.containers.end(DB, 1)
        await world.until(
            lambda state: any(
                (one["id"], one["restarts"], one["phase"]) == ("db.1", 1, "running")
                for one in state["replicas"]
            )
        )
        before = content(world)
        gate.open()
        await world.settled()

    assert [(one["subject"], one["reason"]) for one in held["held"]] == [
        ("web.1", "it is being told of its files")
    ]
    assert before == b"old", "it is noted only once it was told"
    assert content(world) == b"new"
    assert told(world) == [WEB]
    assert world.runs()[WEB] == 1


async def test_what_changes_again_while_it_is_told_is_told_afterwards(world):
    world.containers.programs[("reload",)] = Program(code=0)
    async with world.daemon():
        await world.up(OLD)
        gate = world.containers.gates["probe", WEB] = Gate()
        await world.apply(NEW)
        await gate.arrived.wait()
        await world.apply(NEWER)
        gate.open()
        await world.settled()

    assert content(world) == b"newer"
    assert told(world) == [WEB, WEB]


async def test_what_the_host_refuses_is_tried_again_more_and_more_slowly(world):
    world.containers.programs[("reload",)] = Program(code=0)
    async with world.daemon():
        await world.up(OLD)
        refusal = UnavailableError("refresh", WEB, "not now")
        world.containers.failures["refresh", WEB] = refusal
        await world.apply(NEW)
        await asyncio.sleep(60)
        tries = sum(name == "refresh" for name, _ in world.containers.calls)
        del world.containers.failures["refresh", WEB]
        await world.settled()

    assert 4 <= tries <= 10
    assert content(world) == b"new"


async def test_a_command_that_fails_is_told_and_not_run_again(world):
    world.containers.programs[("reload",)] = Program(code=3, output=b"no such file")
    async with world.daemon() as daemon:
        await world.up(OLD)
        await world.up(NEW)
        facts = daemon.store.events.last("shop", most=99)

    assert [(name, reason) for name, _, reason, _ in facts if "refresh" in name] == [
        ("replica.refresh_failed", "`reload` exited with 3: no such file")
    ]
    assert told(world) == [WEB]


async def test_what_ends_while_it_is_told_finds_its_files_when_it_starts(world):
    world.containers.programs[("reload",)] = Program(code=0)
    async with world.daemon() as daemon:
        await world.up(OLD.replace("configs: [conf]", "configs: [conf], restart: always"))
        gate = world.containers.gates["probe", WEB] = Gate()
        await world.apply(NEW.replace("configs: [conf]", "configs: [conf], restart: always"))
        await gate.arrived.wait()
        world.containers.end(WEB, 1)
        gate.open()
        await world.settled()
        running = daemon.reconciler.refresher.running

    assert content(world) == b"new"
    assert running == frozenset()
    assert not isinstance(world.containers.phase(WEB), Exited)
