"""The promises of :class:`~runtime.drivers.ContainerDriver` and its sessions."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.drivers import ContainerDriver, ExecSession
from runtime.errors import AlreadyExistsError, ConflictError, NotFoundError, UnsupportedError
from runtime.types import (
    ContainerConfig,
    ContainerId,
    ContainerPhase,
    Created,
    Digest,
    ExecConfig,
    ExecProbe,
    Exited,
    Limits,
    Mount,
    MountKind,
    Running,
)

PATIENCE = 20.0 * float(os.environ.get("PYORCH_PATIENCE", "1"))
SMALL = 16 * 1024 * 1024
WEB = ContainerId("shop.web.1")
DB = ContainerId("shop.db.1")

# Command lines the contract runs; the image must have `sh`, `sleep` and `cat`.
STUBBORN = ("sleep", "1000")
"""As a main process it ignores SIGTERM: the kernel spares the first of a namespace."""
OBEDIENT = ("sh", "-c", "trap 'exit 7' TERM; > /ready; while :; do sleep 0.02; done")
PARTICULAR = ("sh", "-c", "trap 'exit 8' USR1; > /ready; while :; do sleep 0.02; done")
FAILING = ("sh", "-c", "exit 3")
IS_READY = ("sh", "-c", "[ -e /ready ]")
TOUCH = ("sh", "-c", "> /note")
HAS_NOTE = ("sh", "-c", "[ -e /note ]")
TALKING = ("sh", "-c", "echo out; echo err >&2; exit 4")
LONG = ("sh", "-c", "i=0; while [ $i -lt 1000 ]; do echo 0123456789; i=$((i+1)); done")
MISSING = ("no-such-program",)
COPYING = ("cat",)


class ContainerContract:
    """Needs these fixtures.

    ``driver``: a :class:`ContainerDriver` without containers. ``image``: id of an image the
    commands above run in. ``reopen``: a coroutine function that closes the driver and returns
    another one of the same host.
    """

    # ── made and removed ─────────────────────────────────────────────────────────────────

    async def test_a_created_container_does_not_run_yet(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN)

        await driver.create(config)

        (found,) = await driver.list()
        assert (found.id, found.image, found.phase) == (WEB, image, Created())
        assert found.log == config.log
        assert found.labels.items() >= config.labels.items()

    async def test_containers_are_reported_in_order(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        for name in (WEB, DB):
            await driver.create(container(name, image, tmp_path, *STUBBORN))

        assert [one.id for one in await driver.list()] == [DB, WEB]

    async def test_creating_it_again_is_refused_as_existing(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN)
        await driver.create(config)

        with pytest.raises(AlreadyExistsError):
            await driver.create(config)

    async def test_what_is_only_remarked_makes_no_other_container(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN)
        await driver.create(replace(config, remarks={"version": "1"}))

        with pytest.raises(AlreadyExistsError):
            await driver.create(replace(config, remarks={"version": "2"}))

        assert (await driver.list())[0].labels["version"] == "1"

    async def test_its_name_with_another_config_is_a_conflict(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN)
        await driver.create(config)

        with pytest.raises(ConflictError):
            await driver.create(replace(config, hostname="other"))

    async def test_an_image_that_is_not_there_is_told_and_nothing_is_left(
        self, driver: ContainerDriver, tmp_path: Path
    ) -> None:
        nothing = Digest("sha256:" + "0" * 64)

        with pytest.raises(NotFoundError, match="not in the store"):
            await driver.create(container(WEB, nothing, tmp_path, *STUBBORN))

        assert await driver.list() == ()
        assert list(await driver.sweep()) == []

    async def test_a_volume_that_is_not_there_is_told_and_nothing_is_left(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        nothing = Mount(kind=MountKind.VOLUME, source="shop_nothing", target="/data")

        with pytest.raises(NotFoundError, match="shop_nothing"):
            await driver.create(container(WEB, image, tmp_path, *STUBBORN, mounts=(nothing,)))

        assert await driver.list() == ()
        assert list(await driver.sweep()) == []

    async def test_a_container_to_share_with_that_is_not_there_is_told(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN)

        for other in (replace(config, network=DB), replace(config, pid=DB)):
            with pytest.raises(NotFoundError, match="to join"):
                await driver.create(other)

        assert await driver.list() == ()

    async def test_what_the_host_does_not_have_is_told_before_anything_is_made(
        self, driver: ContainerDriver
    ) -> None:
        await driver.check(runtime=None, cdi=())
        with pytest.raises(UnsupportedError, match="not installed"):
            await driver.check(runtime="youki", cdi=())
        with pytest.raises(NotFoundError, match="describes it"):
            await driver.check(runtime=None, cdi=("vendor.test/nothing=x",))

        assert await driver.list() == ()

    async def test_memory_is_had_of_who_shares_it_alone(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        wanting = replace(container(WEB, image, tmp_path, *STUBBORN), ipc=DB)
        await driver.create(container(DB, image, tmp_path, *STUBBORN))
        with pytest.raises(ConflictError, match="does not share its memory"):
            await driver.create(wanting)
        await driver.remove(DB)
        await run(driver, replace(container(DB, image, tmp_path, *STUBBORN), ipc="shareable"))

        await run(driver, wanting)

        assert isinstance(await phase(driver), Running)

    async def test_processes_are_shared_with_who_runs_alone(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await driver.create(container(DB, image, tmp_path, *STUBBORN))
        await driver.create(replace(container(WEB, image, tmp_path, *STUBBORN), pid=DB))
        with pytest.raises(ConflictError, match="does not run"):
            await driver.start(WEB)

        await driver.start(DB)
        await driver.start(WEB)

        assert isinstance(await phase(driver), Running)

    async def test_a_running_container_cannot_be_removed(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))

        with pytest.raises(ConflictError, match="cannot remove container"):
            await driver.remove(WEB)

        assert isinstance(await phase(driver), Running)

    async def test_a_removed_container_is_gone_and_may_be_removed_again(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        await driver.kill(WEB)

        await driver.remove(WEB)
        await driver.remove(WEB)

        assert await driver.list() == ()

    async def test_one_made_anew_has_an_empty_root(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN)
        await run(driver, config)
        await driver.probe(WEB, ExecProbe(TOUCH), timeout=PATIENCE)
        await driver.kill(WEB)
        await driver.remove(WEB)

        await run(driver, config)

        assert (await driver.probe(WEB, ExecProbe(HAS_NOTE), timeout=PATIENCE)).code == 1

    # ── started and ended ────────────────────────────────────────────────────────────────

    async def test_a_started_container_runs(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))

        found = await phase(driver)

        assert isinstance(found, Running)
        assert (found.run, found.stop_by) == (1, None)
        assert found.pid > 0

    async def test_one_that_runs_is_not_started_again(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        before = await phase(driver)

        await driver.start(WEB)

        assert await phase(driver) == before

    async def test_one_started_twice_at_once_runs_once(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await driver.create(container(WEB, image, tmp_path, *STUBBORN))

        await asyncio.gather(driver.start(WEB), driver.start(WEB))

        found = await phase(driver)
        assert isinstance(found, Running)
        assert found.run == 1

    async def test_an_unknown_container_cannot_be_started(self, driver: ContainerDriver) -> None:
        with pytest.raises(NotFoundError):
            await driver.start(ContainerId("shop.nobody.1"))

    async def test_a_program_that_is_not_there_is_a_run_that_ended_before_it_began(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        ends = Ends(driver)

        await run(driver, container(WEB, image, tmp_path, *MISSING))
        found = await ends.wait(WEB)
        await driver.start(WEB)
        again = await ends.wait(WEB)

        assert (found.code, found.run, found.began, found.lived) == (127, 1, False, 0.0)
        assert "not found" in found.why
        assert (again.code, again.run) == (127, 2)

    async def test_an_exit_is_told_once_when_its_code_is_known(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        ends = Ends(driver)

        await run(driver, container(WEB, image, tmp_path, *FAILING))

        found = await ends.wait(WEB)
        assert (found.code, found.run, found.stopped, found.oom, found.why) == (
            3,
            1,
            False,
            False,
            "",
        )
        assert found.lived >= 0
        assert ends.told.empty()

    async def test_a_new_run_has_a_new_number_and_the_same_root(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        await driver.probe(WEB, ExecProbe(TOUCH), timeout=PATIENCE)
        await driver.kill(WEB)

        await driver.start(WEB)

        found = await phase(driver)
        assert isinstance(found, Running)
        assert (found.run, found.stop_by) == (2, None)
        assert (await driver.probe(WEB, ExecProbe(HAS_NOTE), timeout=PATIENCE)).code == 0

    async def test_many_are_started_side_by_side(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        names = [ContainerId(f"shop.web.{slot}") for slot in range(1, 6)]

        await asyncio.gather(
            *(run(driver, container(name, image, tmp_path, *STUBBORN)) for name in names)
        )

        found = await driver.list()
        assert [one.id for one in found] == names
        assert all(isinstance(one.phase, Running) for one in found)

    # ── stopped and killed ───────────────────────────────────────────────────────────────

    async def test_one_told_to_stop_has_until_a_moment_that_is_kept(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))

        await driver.stop(WEB, grace=60)
        told = await phase(driver)
        await driver.stop(WEB, grace=1)

        assert isinstance(told, Running)
        assert told.stop_by is not None
        assert told.stop_by >= told.started + 60
        assert await phase(driver) == told

    async def test_one_that_obeys_ends_as_stopped_with_its_own_code(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        ends = Ends(driver)
        await run(driver, container(WEB, image, tmp_path, *OBEDIENT))
        await ready(driver)

        await driver.stop(WEB, grace=60)

        found = await ends.wait(WEB)
        assert (found.code, found.stopped) == (7, True)

    async def test_the_stop_signal_is_the_one_it_asked_for(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        ends = Ends(driver)
        await run(driver, container(WEB, image, tmp_path, *PARTICULAR, stop_signal="SIGUSR1"))
        await ready(driver)

        await driver.stop(WEB, grace=60)

        found = await ends.wait(WEB)
        assert (found.code, found.stopped) == (8, True)

    async def test_a_killed_one_has_ended_when_that_returns(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        ends = Ends(driver)
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))

        await driver.kill(WEB)

        found = await phase(driver)
        assert isinstance(found, Exited)
        assert (found.code, found.run, found.stopped) == (137, 1, True)
        assert ends.told.get_nowait() == WEB
        assert ends.told.empty()

    async def test_what_does_not_run_is_neither_stopped_nor_killed(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await driver.create(container(DB, image, tmp_path, *STUBBORN))
        ends = Ends(driver)
        await run(driver, container(WEB, image, tmp_path, *FAILING))
        await ends.wait(WEB)
        before = await driver.list()

        for name in (DB, WEB, ContainerId("shop.nobody.1")):
            await driver.stop(name, grace=60)
            await driver.kill(name)

        assert await driver.list() == before

    async def test_a_signal_reaches_the_main_process(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        ends = Ends(driver)
        await run(driver, container(WEB, image, tmp_path, *OBEDIENT))
        await ready(driver)

        await driver.signal(WEB, 15)

        found = await ends.wait(WEB)
        assert (found.code, found.stopped) == (7, False)
        with pytest.raises(NotFoundError):
            await driver.signal(WEB, 15)

    # ── beside the main process ──────────────────────────────────────────────────────────

    async def test_a_command_beside_it_is_heard_on_two_streams_to_its_end(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        session = await driver.exec(WEB, ExecConfig(argv=TALKING))

        heard = await listen(session)

        assert heard == {1: b"out\n", 2: b"err\n"}
        assert await session.wait() == 4
        assert await session.read() == (0, b"")
        await session.close()

    async def test_on_a_terminal_everything_is_one_stream(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        session = await driver.exec(WEB, ExecConfig(argv=TALKING, tty=True))
        await session.resize(100, 30)

        heard = await listen(session)

        assert heard.keys() == {1}
        assert {b"out", b"err"} <= set(heard[1].split())
        assert await session.wait() == 4
        await session.close()

    async def test_what_is_written_arrives_and_may_come_to_an_end(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        session = await driver.exec(WEB, ExecConfig(argv=COPYING))
        await session.resize(100, 30)

        await session.write(b"hello\n")
        await session.write(b"")

        assert await listen(session) == {1: b"hello\n"}
        assert await session.wait() == 0
        await session.write(b"nobody hears this")
        await session.close()

    async def test_a_program_that_is_not_there_ends_with_127(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        session = await driver.exec(WEB, ExecConfig(argv=MISSING))

        heard = await listen(session)

        assert await session.wait() == 127
        assert heard[2]
        await session.close()

    async def test_a_signal_ends_a_command_and_is_ignored_afterwards(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        session = await driver.exec(WEB, ExecConfig(argv=COPYING))
        await session.write(b"hello\n")
        await session.read()

        await session.signal(15)

        async with asyncio.timeout(PATIENCE):
            assert await session.wait() == 143
        await session.signal(15)
        await session.close()

    async def test_a_closed_session_ends_its_command_and_nothing_else(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        session = await driver.exec(WEB, ExecConfig(argv=COPYING))
        await session.write(b"hello\n")
        await session.read()

        await session.close()
        await session.close()

        assert isinstance(await phase(driver), Running)

    async def test_a_command_ends_with_its_container(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        session = await driver.exec(WEB, ExecConfig(argv=COPYING))
        await session.write(b"hello\n")
        await session.read()

        await driver.kill(WEB)

        async with asyncio.timeout(PATIENCE):
            assert await session.wait() == 137
        await session.close()

    async def test_nothing_is_run_in_a_container_that_does_not_run(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await driver.create(container(WEB, image, tmp_path, *STUBBORN))

        for name in (WEB, ContainerId("shop.nobody.1")):
            with pytest.raises(NotFoundError):
                await driver.exec(name, ExecConfig(argv=TALKING))
            with pytest.raises(NotFoundError):
                await driver.probe(name, ExecProbe(TALKING), timeout=PATIENCE)

    async def test_a_probe_answers_with_code_and_output(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))

        found = await driver.probe(WEB, ExecProbe(TALKING), timeout=PATIENCE)

        assert found.code == 4
        assert sorted(found.output.split()) == [b"err", b"out"]

    async def test_a_probe_keeps_4096_bytes(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))

        found = await driver.probe(WEB, ExecProbe(LONG), timeout=PATIENCE)

        assert found.code == 0
        assert found.output == (b"0123456789\n" * 1000)[:4096]

    async def test_a_probe_that_takes_too_long_has_the_code_minus_one(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))

        found = await driver.probe(WEB, ExecProbe(STUBBORN), timeout=0.1)

        assert found.code == -1

    # ── seen by others ───────────────────────────────────────────────────────────────────

    async def test_a_sweep_leaves_every_container_alone(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        ends = Ends(driver)
        await driver.create(container(DB, image, tmp_path, *STUBBORN))
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        await run(driver, container(ContainerId("shop.job.1"), image, tmp_path, *FAILING))
        await ends.wait(ContainerId("shop.job.1"))
        before = await driver.list()

        swept = await driver.sweep()

        assert list(swept) == []
        assert await driver.list() == before

    async def test_containers_outlive_the_driver(
        self,
        driver: ContainerDriver,
        image: Digest,
        tmp_path: Path,
        reopen: Callable[[], Awaitable[ContainerDriver]],
    ) -> None:
        first = Ends(driver)
        config = container(WEB, image, tmp_path, *OBEDIENT)
        await driver.create(container(DB, image, tmp_path, *STUBBORN))
        await run(driver, config)
        await ready(driver)
        before = await driver.list()

        other = await reopen()
        after = await other.list()
        second = Ends(other)
        await other.signal(WEB, 15)

        assert after == before
        assert (await second.wait(WEB)).code == 7
        assert first.told.empty()
        with pytest.raises(AlreadyExistsError):
            await other.create(config)

    # ── limits ───────────────────────────────────────────────────────────────────────────

    async def test_other_limits_hold_at_once_and_for_its_next_runs(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN, limits=Limits(memory=SMALL))
        await run(driver, config)
        before = await phase(driver)

        await driver.limit(WEB, Limits(memory=2 * SMALL, cpus=0.5))
        limited = (await driver.list())[0].limits
        same = await phase(driver)
        await driver.kill(WEB)
        await driver.start(WEB)

        assert limited == Limits(memory=2 * SMALL, cpus=0.5)
        assert same == before
        assert (await driver.list())[0].limits == limited

    async def test_one_that_does_not_run_can_be_limited(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await driver.create(container(WEB, image, tmp_path, *STUBBORN))

        await driver.limit(WEB, Limits(pids=50))

        assert (await driver.list())[0].limits == Limits(pids=50)

    async def test_limits_are_kept_when_it_is_made_again(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN)
        await driver.create(config)
        await driver.limit(WEB, Limits(pids=50))

        with pytest.raises(AlreadyExistsError):
            await driver.create(config)

        assert (await driver.list())[0].limits == Limits(pids=50)

    async def test_limits_outlive_the_driver(
        self,
        driver: ContainerDriver,
        image: Digest,
        reopen: Callable[[], Awaitable[ContainerDriver]],
        tmp_path: Path,
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        await driver.limit(WEB, Limits(pids=50, memory=SMALL))

        other = await reopen()

        assert (await other.list())[0].limits == Limits(pids=50, memory=SMALL)

    async def test_a_ceiling_holds_for_a_group_and_outlives_its_containers_for_the_next_one(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        config = container(WEB, image, tmp_path, *STUBBORN)
        ceiling = Limits(memory=4 * SMALL, cpus=0.5, pids=100)
        nothing = Limits(pids=None)

        before = await driver.ceiling("shop")
        await driver.bound("shop", ceiling)
        await run(driver, config)
        during = await driver.ceiling("shop")
        await driver.kill(WEB)
        await driver.remove(WEB)
        await run(driver, config)
        again = await driver.ceiling("shop")
        await driver.bound("shop", nothing)

        assert (before, during, again) == (nothing, ceiling, ceiling)
        assert await driver.ceiling("shop") == nothing

    async def test_an_unknown_container_cannot_be_limited(self, driver: ContainerDriver) -> None:
        with pytest.raises(NotFoundError):
            await driver.limit(WEB, Limits())


class Ends:
    """Hears of every container that ends."""

    def __init__(self, driver: ContainerDriver) -> None:
        """Listen from now on."""
        self.driver = driver
        self.told: asyncio.Queue[ContainerId] = asyncio.Queue()
        driver.on_exit(lambda name, _: self.told.put_nowait(name))

    async def wait(self, name: ContainerId) -> Exited:
        """Return how ``name`` ended, once that is told; it must be the next one told."""
        async with asyncio.timeout(PATIENCE):
            assert await self.told.get() == name
        found = await phase(self.driver, name)
        assert isinstance(found, Exited)
        return found


def container(
    name: ContainerId, image: Digest, folder: Path, *argv: str, **settings: object
) -> ContainerConfig:
    """Return the configuration of one that runs ``argv``."""
    stack, _, replica = name.partition(".")
    config = ContainerConfig(
        id=name,
        image=image,
        cgroup=f"{stack}/{replica}",
        log=folder / "logs" / name,
        hostname="contract",
        command=argv,
        labels={"kept": "yes"},
    )
    return replace(config, **settings)  # type: ignore[arg-type]


async def run(driver: ContainerDriver, config: ContainerConfig) -> None:
    """Make and start one."""
    await driver.create(config)
    await driver.start(config.id)


async def phase(driver: ContainerDriver, name: ContainerId = WEB) -> ContainerPhase:
    """Return the phase one is reported in."""
    return next(one.phase for one in await driver.list() if one.id == name)


async def ready(driver: ContainerDriver) -> None:
    """Return once the main process has set its traps."""
    async with asyncio.timeout(PATIENCE):
        while (await driver.probe(WEB, ExecProbe(IS_READY), timeout=PATIENCE)).code != 0:
            pass


async def listen(session: ExecSession) -> dict[int, bytes]:
    """Return everything a session says, by stream."""
    heard: dict[int, bytes] = {}
    async with asyncio.timeout(PATIENCE):
        while True:
            stream, data = await session.read()
            if stream == 0:
                return heard
            heard[stream] = heard.get(stream, b"") + data
