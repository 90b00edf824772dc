"""Named volumes: whole or not at all, and never deleted but by name."""

import os

import pytest

from runtime.types import Instance, VolumeId
from runtime.volumes import Volumes

DATA = VolumeId("shop_data")


@pytest.fixture
def volumes(tmp_path):
    return Volumes(Instance(name="t", data=tmp_path, run=tmp_path / "run"))


async def test_a_volume_is_made_empty_with_its_labels(volumes):
    await volumes.create(DATA, {"a": "b"})

    (found,) = await volumes.list()
    assert (found.id, found.labels) == (DATA, {"a": "b"})
    assert list(found.path.iterdir()) == []


async def test_making_it_again_keeps_what_it_holds(volumes):
    await volumes.create(DATA, {})
    (volumes.path(DATA) / "entry").write_text("kept")

    await volumes.create(DATA, {"other": "label"})

    assert (volumes.path(DATA) / "entry").read_text() == "kept"
    assert (await volumes.list())[0].labels == {}


@pytest.mark.parametrize("record", [None, b"", b"{half"])
async def test_a_volume_whose_record_is_lost_keeps_what_it_holds(volumes, record):
    await volumes.create(DATA, {"a": "b"})
    (volumes.path(DATA) / "entry").write_text("kept")
    place = volumes.path(DATA).parent / "volume.json"
    place.unlink() if record is None else place.write_bytes(record)

    volumes.open()
    await volumes.create(DATA, {"a": "b"})

    assert (volumes.path(DATA) / "entry").read_text() == "kept"
    assert [one.labels for one in await volumes.list()] == [{"a": "b"}]


async def test_a_removed_volume_is_gone_and_removing_it_again_is_no_error(volumes, tmp_path):
    await volumes.create(DATA, {})
    (volumes.path(DATA) / "entry").write_text("gone")

    await volumes.remove(DATA)
    await volumes.remove(DATA)

    assert await volumes.list() == ()
    assert list((tmp_path / "volumes").iterdir()) == []


async def test_what_was_interrupted_is_cleared_away_and_nothing_else(volumes, tmp_path):
    await volumes.create(DATA, {})
    left = tmp_path / "volumes.passing" / "other" / "_data"
    left.mkdir(parents=True)

    volumes.open()

    assert not left.exists()
    assert [one.id for one in await volumes.list()] == [DATA]


async def test_a_volume_that_became_a_link_is_not_followed(volumes, tmp_path):
    outside = tmp_path / "outside"
    (outside / "_data").mkdir(parents=True)
    (tmp_path / "volumes").mkdir()
    os.symlink(outside, tmp_path / "volumes" / DATA)

    with pytest.raises(Exception, match="become a link"):
        await volumes.remove(DATA)

    assert (outside / "_data").is_dir()
