"""The promises of :class:`~runtime.drivers.ContainerDriver` and its sessions."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.drivers import ContainerDriver
from runtime.errors import AlreadyExistsError, ConflictError, NotFoundError, UnsupportedError
from runtime.testing.contract.limiting import LimitContract
from runtime.testing.contract.sessions import SessionContract
from runtime.testing.contract.specimens import (
    DB,
    FAILING,
    HAS_NOTE,
    MISSING,
    OBEDIENT,
    PARTICULAR,
    PATIENCE,
    STUBBORN,
    TOUCH,
    WEB,
    Ends,
    container,
    phase,
    ready,
    run,
)
from runtime.types import (
    ContainerId,
    Created,
    Digest,
    ExecProbe,
    Exited,
    Mount,
    MountKind,
    Running,
)


class ContainerContract(SessionContract, LimitContract):
    """Needs these fixtures.

    ``driver``: a :class:`ContainerDriver` without containers. ``image``: id of an image the
    commands above run in. ``reopen``: a coroutine function that closes the driver and returns
    another one of the same host.
    """

    # ── what is used ─────────────────────────────────────────────────────────────────────

    async def test_what_a_container_uses_is_told_while_it_runs(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await driver.create(container(WEB, image, tmp_path, *STUBBORN))
        before = await driver.usage()
        await driver.start(WEB)

        while_running = await driver.usage()
        await driver.kill(WEB)
        after = await driver.usage()

        assert before == after == {}
        (found,) = while_running.values()
        assert found.pids is not None
        assert found.pids >= 1
        assert found.cpu is not None
        assert found.memory is not None
        assert found.oom_kills == 0

    # ── files that change ────────────────────────────────────────────────────────────────

    async def test_other_contents_of_a_file_are_no_other_container_and_are_noted_once_told(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        def file(content: bytes, digest: str) -> Mount:
            return Mount(
                kind=MountKind.FILE, target="/conf", read_only=True, content=content, digest=digest
            )

        async def digests() -> list[str]:
            return [one.digest for facts in await driver.list() for one in facts.mounts]

        async def told() -> None:
            assert await digests() == ["a"], "it does not count before it is told"
            heard.append("told")

        async def refuse() -> None:
            raise NotFoundError("tell", WEB, "nobody is there")

        heard: list[str] = []
        config = container(WEB, image, tmp_path, *STUBBORN, mounts=(file(b"old", "a"),))
        await run(driver, config)

        await driver.refresh(WEB, (file(b"new", "b"),), told)
        after = await digests()
        with pytest.raises(NotFoundError):
            await driver.refresh(WEB, (file(b"newer", "c"),), refuse)

        assert heard == ["told"]
        assert after == await digests() == ["b"]
        await driver.kill(WEB)
        with pytest.raises(AlreadyExistsError):
            await driver.create(replace(config, mounts=(file(b"newest", "d"),)))
        assert await digests() == ["d"]
        with pytest.raises(ConflictError):
            await driver.create(replace(config, mounts=(file(b"old", ""),)))

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

    # ── paused ───────────────────────────────────────────────────────────────────────────

    async def test_what_is_paused_stays_so_for_the_next_driver_and_goes_on(
        self,
        driver: ContainerDriver,
        image: Digest,
        tmp_path: Path,
        reopen: Callable[[], Awaitable[ContainerDriver]],
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))

        await driver.pause(WEB, paused=True)
        await driver.pause(WEB, paused=True)

        again = await reopen()
        found = await phase(again)
        assert isinstance(found, Running)
        assert found.paused
        await again.pause(WEB, paused=False)
        found = await phase(again)
        assert isinstance(found, Running)
        assert not found.paused

    async def test_what_is_paused_hears_that_it_is_to_stop(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        ends = Ends(driver)
        await run(driver, container(WEB, image, tmp_path, *OBEDIENT))
        await ready(driver)
        await driver.pause(WEB, paused=True)

        await driver.stop(WEB, grace=60.0)

        assert (await ends.wait(WEB)).code == 7

    async def test_what_is_paused_can_be_killed(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *STUBBORN))
        await driver.pause(WEB, paused=True)

        await driver.kill(WEB)

        found = await phase(driver)
        assert isinstance(found, Exited)
        assert found.code == 137

    async def test_only_what_runs_is_paused_and_has_processes(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await driver.create(container(WEB, image, tmp_path, *STUBBORN))

        with pytest.raises(NotFoundError):
            await driver.pause(WEB, paused=True)
        with pytest.raises(NotFoundError):
            await driver.processes(WEB)

        await driver.start(WEB)

        found = await phase(driver)
        assert isinstance(found, Running)
        assert found.pid in {one.pid for one in await driver.processes(WEB)}
