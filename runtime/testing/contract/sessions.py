"""What is run beside a container's main process, as tests."""

import asyncio
from pathlib import Path

import pytest

from runtime.drivers import ContainerDriver
from runtime.errors import NotFoundError
from runtime.testing.contract.specimens import (
    COPYING,
    LONG,
    MISSING,
    OBEDIENT,
    PATIENCE,
    STUBBORN,
    TALKING,
    WEB,
    container,
    listen,
    phase,
    ready,
    run,
)
from runtime.types import (
    ContainerId,
    Digest,
    ExecConfig,
    ExecProbe,
    Running,
)


class SessionContract:
    """A part of :class:`~runtime.testing.contract.ContainerContract`; needs its fixtures."""

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

    async def test_who_attaches_ahead_hears_a_run_from_its_first_byte_to_its_end(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        session = await driver.attach(WEB)
        await run(driver, container(WEB, image, tmp_path, *TALKING))

        heard = await listen(session)

        assert heard == {1: b"out\n", 2: b"err\n"}
        assert await session.wait() == 4
        assert await session.read() == (0, b"")
        await session.close()

    async def test_what_is_written_reaches_a_main_process_that_listens(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        once = {"stdin_open": True, "stdin_once": True}
        await run(driver, container(WEB, image, tmp_path, *COPYING, **once))
        session = await driver.attach(WEB)

        await session.write(b"hello\n")
        await session.write(b"")

        assert await listen(session) == {1: b"hello\n"}
        assert await session.wait() == 0
        await session.close()

    async def test_a_signal_reaches_the_main_process_whose_code_is_returned(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *OBEDIENT))
        await ready(driver)
        session = await driver.attach(WEB)

        await session.signal(15)

        async with asyncio.timeout(PATIENCE):
            assert await session.wait() == 7
        await session.close()

    async def test_who_leaves_takes_nobody_along(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        await run(driver, container(WEB, image, tmp_path, *COPYING, stdin_open=True))
        leaving, staying = await driver.attach(WEB), await driver.attach(WEB)

        await leaving.close()
        await staying.write(b"hello\n")

        async with asyncio.timeout(PATIENCE):
            assert await staying.read() == (1, b"hello\n")
        assert isinstance(await phase(driver), Running)
        await staying.close()

    async def test_a_program_that_is_not_there_ends_what_is_attached(
        self, driver: ContainerDriver, image: Digest, tmp_path: Path
    ) -> None:
        session = await driver.attach(WEB)
        await run(driver, container(WEB, image, tmp_path, *MISSING))

        assert await listen(session) == {}
        assert await session.wait() == 127
        await session.close()

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
