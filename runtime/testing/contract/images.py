"""The promises of :class:`~runtime.drivers.ImageDriver`."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.drivers import ImageDriver
from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.types import Digest, ImageFacts, PullProgress


class ImageContract:
    """Needs these fixtures.

    ``driver``: an :class:`ImageDriver` without images. ``rootfs``: a root filesystem that can
    be imported. ``archive``: what holds one image and no name for it. ``broken``: an archive
    that must be refused. ``remote``: a settled reference that can be pulled; ``remote`` with
    ``-gone`` behind it cannot.
    """

    async def test_an_imported_image_is_found_by_all_its_names(
        self, driver: ImageDriver, rootfs: Path
    ) -> None:
        made = await driver.import_rootfs(rootfs, name="tiny", config={"Cmd": ["sleep", "9"]})

        for name in ("tiny", "tiny:latest", "docker.io/library/tiny", made.id, made.id[7:19]):
            assert await driver.find(name) == made
        assert made.references == ("docker.io/library/tiny:latest",)
        assert made.config.command == ("sleep", "9")

    async def test_what_is_not_there_is_not_found(self, driver: ImageDriver, rootfs: Path) -> None:
        await driver.import_rootfs(rootfs, name="tiny")

        for name in ("other", "tiny:2", "sha256:" + "0" * 64, "0" * 12, "", "NO such?", "../x"):
            assert await driver.find(name) is None

    async def test_images_are_reported_by_their_first_reference(
        self, driver: ImageDriver, rootfs: Path
    ) -> None:
        assert await driver.list() == ()
        zebra = await driver.import_rootfs(rootfs, name="zebra", config={"Cmd": ["z"]})
        ape = await driver.import_rootfs(rootfs, name="ape", config={"Cmd": ["a"]})

        assert await driver.list() == (ape, zebra)

    async def test_the_same_content_is_the_same_image(
        self, driver: ImageDriver, rootfs: Path
    ) -> None:
        first = await driver.import_rootfs(rootfs, name="tiny")

        second = await driver.import_rootfs(rootfs, name="other")

        assert second.id == first.id
        assert second.references == (
            "docker.io/library/other:latest",
            "docker.io/library/tiny:latest",
        )
        assert [one.references for one in await driver.list()] == [
            ("docker.io/library/other:latest", "docker.io/library/tiny:latest")
        ]

    async def test_a_name_moves_to_the_image_that_had_it_last(
        self, driver: ImageDriver, rootfs: Path
    ) -> None:
        old = await driver.import_rootfs(rootfs, name="tiny", config={"Cmd": ["old"]})

        new = await driver.import_rootfs(rootfs, name="tiny", config={"Cmd": ["new"]})

        assert await driver.find("tiny") == new
        assert await driver.find(old.id) is None
        assert await driver.list() == (new,)

    async def test_a_root_filesystem_that_is_not_there_is_told(
        self, driver: ImageDriver, tmp_path: Path
    ) -> None:
        with pytest.raises(NotFoundError):
            await driver.import_rootfs(tmp_path / "nothing", name="tiny")

        assert await driver.list() == ()

    async def test_a_name_that_can_be_none_is_refused(
        self, driver: ImageDriver, rootfs: Path
    ) -> None:
        with pytest.raises(InvalidError):
            await driver.import_rootfs(rootfs, name="NO such?")

        assert await driver.list() == ()

    async def test_an_archive_is_loaded_under_the_name_given(
        self, driver: ImageDriver, archive: Path
    ) -> None:
        loaded = await driver.load(archive, name="tiny:1")

        assert [one.references for one in loaded] == [("docker.io/library/tiny:1",)]
        assert await driver.list() == loaded

    async def test_an_archive_without_any_name_is_refused(
        self, driver: ImageDriver, archive: Path
    ) -> None:
        with pytest.raises(InvalidError):
            await driver.load(archive)

        assert await driver.list() == ()

    async def test_a_broken_archive_leaves_nothing(self, driver: ImageDriver, broken: Path) -> None:
        with pytest.raises(InvalidError):
            await driver.load(broken, name="tiny")

        assert await driver.list() == ()

    async def test_an_archive_that_is_not_there_is_told(
        self, driver: ImageDriver, tmp_path: Path
    ) -> None:
        with pytest.raises(NotFoundError):
            await driver.load(tmp_path / "nothing", name="tiny")

    async def test_a_pulled_image_is_not_fetched_again(
        self, driver: ImageDriver, remote: str
    ) -> None:
        first: list[PullProgress] = []
        second: list[PullProgress] = []

        pulled = await driver.pull(remote, progress=first.append)
        again = await driver.pull(remote, progress=second.append)

        assert pulled == again == await driver.find(remote)
        assert pulled.references == (remote,)
        assert first[-1].done == first[-1].total > 0
        assert second == []

    async def test_an_image_the_registry_does_not_have_is_told(
        self, driver: ImageDriver, remote: str
    ) -> None:
        with pytest.raises(NotFoundError, match="-gone"):
            await driver.pull(f"{remote}-gone")

        assert await driver.list() == ()

    async def test_the_last_reference_takes_the_image_along(
        self, driver: ImageDriver, rootfs: Path
    ) -> None:
        made = await driver.import_rootfs(rootfs, name="tiny")
        await driver.import_rootfs(rootfs, name="other")

        await driver.remove("tiny")
        kept = await driver.find(made.id)
        await driver.remove("other")

        assert kept is not None
        assert kept.references == ("docker.io/library/other:latest",)
        assert await driver.find(made.id) is None
        assert await driver.list() == ()

    async def test_an_id_stands_for_the_only_reference_of_its_image(
        self, driver: ImageDriver, rootfs: Path
    ) -> None:
        made = await driver.import_rootfs(rootfs, name="tiny")
        await driver.import_rootfs(rootfs, name="other")

        with pytest.raises(ConflictError, match="several names"):
            await driver.remove(made.id)
        await driver.remove("other")
        await driver.remove(made.id[7:19])

        assert await driver.list() == ()

    async def test_f37_what_is_in_use_while_images_are_removed_stays(
        self, driver: ImageDriver, rootfs: Path
    ) -> None:
        made = await driver.import_rootfs(rootfs, name="tiny")
        in_use: list[ImageFacts | None] = []

        async def needed() -> Mapping[Digest, str]:
            # Somebody builds upon it at this very moment, and nobody can say so yet.
            async with driver.using("tiny") as found:
                in_use.append(found)
            return {}

        driver.keep_for(needed)
        await driver.prune(unused=True)

        assert in_use[0] == made
        assert await driver.find(made.id) is not None

        async def nobody() -> Mapping[Digest, str]:
            return {}

        driver.keep_for(nobody)
        async with driver.using("other") as found:
            assert found is None
        await driver.prune(unused=True)
        assert await driver.list() == ()

    async def test_an_image_that_is_not_there_cannot_be_removed(self, driver: ImageDriver) -> None:
        with pytest.raises(NotFoundError):
            await driver.remove("tiny")
