"""The promises of :class:`~runtime.drivers.VolumeDriver`."""

import pytest

from runtime.drivers import VolumeDriver
from runtime.errors import ConflictError, InvalidError
from runtime.types import VolumeConfig, VolumeId

DATA = VolumeId("shop_data")
CACHE = VolumeId("shop_cache")


class VolumeContract:
    """Needs a ``driver`` fixture: a :class:`VolumeDriver` without volumes."""

    async def test_volumes_are_reported_in_order_with_their_labels(
        self, driver: VolumeDriver
    ) -> None:
        await driver.create(VolumeConfig(id=DATA, labels={"kept": "yes"}))
        await driver.create(VolumeConfig(id=CACHE))

        found = await driver.list()

        assert [(one.id, one.labels) for one in found] == [(CACHE, {}), (DATA, {"kept": "yes"})]

    async def test_a_volume_that_exists_is_kept_as_it_is(self, driver: VolumeDriver) -> None:
        await driver.create(VolumeConfig(id=DATA, labels={"kept": "yes"}))
        before = await driver.list()

        await driver.create(VolumeConfig(id=DATA, labels={"kept": "no"}))

        assert await driver.list() == before

    async def test_a_removed_volume_is_gone_and_may_be_removed_again(
        self, driver: VolumeDriver
    ) -> None:
        await driver.create(VolumeConfig(id=DATA))
        await driver.create(VolumeConfig(id=CACHE))

        await driver.remove(DATA)
        await driver.remove(DATA)

        assert [one.id for one in await driver.list()] == [CACHE]

    @pytest.mark.parametrize("name", ["", ".", "..", "../other", "a/b"])
    async def test_a_name_that_leads_elsewhere_is_refused(
        self, driver: VolumeDriver, name: str
    ) -> None:
        with pytest.raises(ConflictError):
            await driver.create(VolumeConfig(id=VolumeId(name)))
        with pytest.raises(ConflictError):
            await driver.remove(VolumeId(name))

    async def test_options_are_reported(self, driver: VolumeDriver) -> None:
        options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}

        await driver.create(VolumeConfig(id=DATA, options=options))

        (found,) = await driver.list()
        assert found.options == options

    @pytest.mark.parametrize(
        "options",
        [{"type": "tmpfs"}, {"device": "/dev/sda1", "o": "ro"}, {"size": "1g"}],
    )
    async def test_options_that_mean_nothing_are_refused_and_nothing_is_made(
        self, driver: VolumeDriver, options: dict[str, str]
    ) -> None:
        with pytest.raises(InvalidError):
            await driver.create(VolumeConfig(id=DATA, options=options))

        assert await driver.list() == ()
