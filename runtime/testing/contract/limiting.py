"""What bounds containers, alone and together, as tests."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtime.drivers import ContainerDriver
from runtime.errors import AlreadyExistsError, NotFoundError
from runtime.testing.contract.specimens import (
    SMALL,
    STUBBORN,
    WEB,
    container,
    phase,
    run,
)
from runtime.types import (
    Digest,
    Limits,
)


class LimitContract:
    """A part of :class:`~runtime.testing.contract.ContainerContract`; needs its fixtures."""

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
