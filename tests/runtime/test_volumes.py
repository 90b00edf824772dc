"""Named volumes: whole or not at all, and never deleted but by name."""

import os
import sys

import pytest

from runtime.errors import ConflictError, NotFoundError
from runtime.oci.filling import COPYING, fill_volume
from runtime.oci.mounts import open_below
from runtime.types import Instance, VolumeConfig, VolumeId
from runtime.volumes import Volumes

DATA = VolumeId("shop_data")


@pytest.fixture
def volumes(tmp_path):
    return Volumes(Instance(name="t", data=tmp_path, run=tmp_path / "run"))


async def test_a_volume_is_made_empty_with_its_labels(volumes):
    await volumes.create(VolumeConfig(id=DATA, labels={"a": "b"}))

    (found,) = await volumes.list()
    assert (found.id, found.labels) == (DATA, {"a": "b"})
    assert list(found.path.iterdir()) == []


async def test_making_it_again_keeps_what_it_holds(volumes):
    await volumes.create(VolumeConfig(id=DATA))
    (volumes.path(DATA) / "entry").write_text("kept")

    await volumes.create(VolumeConfig(id=DATA, labels={"other": "label"}))

    assert (volumes.path(DATA) / "entry").read_text() == "kept"
    assert (await volumes.list())[0].labels == {}


@pytest.mark.parametrize("record", [None, b"", b"{half"])
async def test_a_volume_whose_record_is_lost_keeps_what_it_holds(volumes, record):
    await volumes.create(VolumeConfig(id=DATA, labels={"a": "b"}))
    (volumes.path(DATA) / "entry").write_text("kept")
    place = volumes.path(DATA).parent / "volume.json"
    place.unlink() if record is None else place.write_bytes(record)

    volumes.open()
    await volumes.create(VolumeConfig(id=DATA, labels={"a": "b"}))

    assert (volumes.path(DATA) / "entry").read_text() == "kept"
    assert [one.labels for one in await volumes.list()] == [{"a": "b"}]


async def test_a_removed_volume_is_gone_and_removing_it_again_is_no_error(volumes, tmp_path):
    await volumes.create(VolumeConfig(id=DATA))
    (volumes.path(DATA) / "entry").write_text("gone")

    await volumes.remove(DATA)
    await volumes.remove(DATA)

    assert await volumes.list() == ()
    assert list((tmp_path / "volumes").iterdir()) == []


async def test_what_was_interrupted_is_cleared_away_and_nothing_else(volumes, tmp_path):
    await volumes.create(VolumeConfig(id=DATA))
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


@pytest.mark.parametrize("name", ["..", ".", "", "../x", "a/b", "a\0b", "a" * 256])
async def test_a_name_that_no_directory_can_have_is_refused(volumes, name):
    with pytest.raises(ConflictError, match="not a volume name"):
        await volumes.create(VolumeConfig(id=VolumeId(name)))


def test_a_link_put_into_a_volume_while_it_is_filled_is_not_followed(tmp_path):
    root, content, victim = tmp_path / "root", tmp_path / "content", tmp_path / "victim"
    (root / "data").mkdir(parents=True)
    (root / "data" / "file").write_text("of the image")
    (root / "data" / "file").chmod(0o666)
    content.mkdir()
    victim.write_text("of the host")
    victim.chmod(0o600)
    swaps = [COPYING]

    def swap(event, args):
        # Somebody else has the volume: they are as quick as can be.
        if event == "os.chown" and swaps and (content / swaps[-1]).exists():
            copy = content / swaps.pop()
            copy.unlink()
            copy.symlink_to(victim)

    sys.addaudithook(swap)
    fill_volume(root, "/data", content, unfinished=tmp_path / "filling")

    assert swaps == []
    assert victim.stat().st_mode & 0o777 == 0o600


def test_a_volume_is_filled_with_what_the_image_has_there(tmp_path):
    root, content = tmp_path / "root", tmp_path / "content"
    below = root / "data" / "below"
    below.mkdir(parents=True)
    (below / "file").write_text("text")
    (below / "file").chmod(0o4755)
    below.chmod(0o750)
    os.utime(below, (1000, 2000))
    (root / "data" / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "data" / "pipe")
    content.mkdir()

    fill_volume(root, "/data", content, unfinished=tmp_path / "filling")

    assert sorted(path.name for path in content.iterdir()) == ["below", "link"]
    assert os.readlink(content / "link") == "/etc/passwd"
    assert (content / "below" / "file").read_text() == "text"
    assert (content / "below" / "file").stat().st_mode & 0o7777 == 0o4755
    assert (content / "below").stat().st_mode & 0o7777 == 0o750
    assert (content / "below").stat().st_mtime == 2000


def test_filling_that_was_interrupted_goes_on_and_keeps_what_is_there(tmp_path):
    root, content, unfinished = tmp_path / "root", tmp_path / "content", tmp_path / "filling"
    (root / "data").mkdir(parents=True)
    for name in ("one", "two"):
        (root / "data" / name).write_text("of the image")
    content.mkdir()
    (content / "one").write_text("somebody's own by now")
    (content / COPYING).write_text("of the im")
    unfinished.touch()

    fill_volume(root, "/data", content, unfinished=unfinished)

    assert sorted(path.name for path in content.iterdir()) == ["one", "two"]
    assert (content / "one").read_text() == "somebody's own by now"
    assert (content / "two").read_text() == "of the image"
    assert not unfinished.exists()


def test_a_volume_that_holds_something_is_not_filled(tmp_path):
    root, content = tmp_path / "root", tmp_path / "content"
    (root / "data").mkdir(parents=True)
    (root / "data" / "file").touch()
    content.mkdir()
    (content / "own").touch()

    fill_volume(root, "/data", content, unfinished=tmp_path / "filling")

    assert [path.name for path in content.iterdir()] == ["own"]


@pytest.mark.parametrize("subpath", ["out", "out/below", "../escape", "in/../../escape"])
def test_no_subpath_leads_out_of_its_volume(tmp_path, subpath):
    content = tmp_path / "volume"
    (content / "in").mkdir(parents=True)
    (tmp_path / "escape").mkdir()
    (content / "out").symlink_to(tmp_path)

    with pytest.raises(NotFoundError, match="there is no"):
        open_below(content, subpath, "shop_data")


def test_a_subpath_may_be_a_link_inside_its_volume(tmp_path):
    content = tmp_path / "volume"
    (content / "in").mkdir(parents=True)
    (content / "way").symlink_to("/in")

    fd = open_below(content, "way", "shop_data")

    assert os.readlink(f"/proc/self/fd/{fd}") == str(content / "in")
    os.close(fd)
