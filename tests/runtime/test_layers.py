"""Layers written by an enemy: whatever they hold, nothing outside their directory changes."""

import gzip
import hashlib
import io
import os
import stat
import tarfile

import pytest
import zstandard

from runtime.errors import InvalidError
from runtime.image.layers import unpack_layer

pytestmark = pytest.mark.root


def member(name, kind=tarfile.REGTYPE, *, link="", data=b"", mode=0o644, **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), mode
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def layer(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    stream.seek(0)
    return stream


@pytest.fixture
def place(tmp_path):
    """A target beside a canary that must not change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "canary").write_text("alive")
    (tmp_path / "target").mkdir()
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "target"]
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["canary"]
    assert (tmp_path / "outside" / "canary").read_text() == "alive"


def test_files_keep_mode_owner_time_and_content(place):
    unpack_layer(
        layer(
            member("a/", tarfile.DIRTYPE, mode=0o750, uid=3, mtime=1000),
            member("a/f", data=b"text", mode=0o4755, uid=7, gid=8, mtime=2000),
        ),
        place / "target",
    )

    found = (place / "target/a/f").stat()
    assert (place / "target/a/f").read_bytes() == b"text"
    assert stat.S_IMODE(found.st_mode) == 0o4755
    assert (found.st_uid, found.st_gid, found.st_mtime) == (7, 8, 2000)
    folder = (place / "target/a").stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_uid, folder.st_mtime) == (0o750, 3, 1000)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_every_compression_gives_the_same_diff_id(place, pack):
    plain = layer(member("f", data=b"x" * 100_000)).getvalue()

    found = unpack_layer(io.BytesIO(pack(plain)), place / "target")

    assert found == "sha256:" + hashlib.sha256(plain).hexdigest()
    assert (place / "target/f").stat().st_size == 100_000


@pytest.mark.parametrize("name", ["../outside/canary", "a/../../outside/canary", "a/b/../../.."])
def test_a_name_that_leads_upwards_is_refused(place, name):
    with pytest.raises(InvalidError, match="leads upwards"):
        unpack_layer(layer(member(name, data=b"dead")), place / "target")


def test_an_absolute_name_lands_inside(place):
    unpack_layer(layer(member("/outside/canary", data=b"dead")), place / "target")

    assert (place / "target/outside/canary").read_bytes() == b"dead"


@pytest.mark.parametrize("link", ["../outside", "/outside", "{}/outside", "../../../../.."])
def test_a_symbolic_link_is_never_followed_to_the_outside(place, link):
    hostile = layer(
        member("way", tarfile.SYMTYPE, link=link.format(place)),
        member("way/canary", data=b"dead"),
    )

    try:
        unpack_layer(hostile, place / "target")
    except InvalidError:
        return
    assert (place / "outside/canary").read_text() == "alive"


def test_a_chain_of_links_is_never_followed_to_the_outside(place):
    hostile = layer(
        member("a", tarfile.SYMTYPE, link="."),
        member("a/b", tarfile.SYMTYPE, link=".."),
        member("a/b/outside/canary", data=b"dead"),
    )

    try:
        unpack_layer(hostile, place / "target")
    except InvalidError:
        return
    assert (place / "outside/canary").read_text() == "alive"


@pytest.mark.parametrize("link", ["../outside/canary", "/../outside/canary", "{}/outside/canary"])
def test_a_hard_link_reaches_nothing_outside(place, link):
    hostile = layer(
        member("h", tarfile.LNKTYPE, link=link.format(place)), member("h", data=b"dead")
    )

    with pytest.raises(InvalidError):
        unpack_layer(hostile, place / "target")


def test_a_hard_link_through_a_symbolic_one_reaches_nothing_outside(place):
    hostile = layer(
        member("way", tarfile.SYMTYPE, link=f"{place}/outside"),
        member("h", tarfile.LNKTYPE, link="way/canary"),
    )

    with pytest.raises(InvalidError):
        unpack_layer(hostile, place / "target")


def test_a_file_over_a_symbolic_link_replaces_the_link(place):
    unpack_layer(
        layer(
            member("f", tarfile.SYMTYPE, link=f"{place}/outside/canary"), member("f", data=b"new")
        ),
        place / "target",
    )

    assert not (place / "target/f").is_symlink()
    assert (place / "target/f").read_bytes() == b"new"


def test_a_directory_over_a_symbolic_link_does_not_enter_it(place):
    unpack_layer(
        layer(
            member("d", tarfile.SYMTYPE, link=f"{place}/outside"),
            member("d", tarfile.DIRTYPE, mode=0o700),
            member("d/canary", data=b"dead"),
        ),
        place / "target",
    )

    assert (place / "target/d/canary").read_bytes() == b"dead"
    assert not (place / "target/d").is_symlink()


def test_a_whiteout_becomes_what_overlayfs_understands(place):
    unpack_layer(
        layer(
            member("d/", tarfile.DIRTYPE),
            member("d/.wh.gone"),
            member("e/", tarfile.DIRTYPE),
            member("e/.wh..wh..opq"),
        ),
        place / "target",
    )

    gone = (place / "target/d/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(place / "target/e", "trusted.overlay.opaque") == b"y"


@pytest.mark.parametrize("name", [".wh.", "d/.wh...", "d/.wh..", ".wh...", ".wh.a/../.."])
def test_a_whiteout_of_nothing_or_of_a_parent_is_refused(place, name):
    with pytest.raises(InvalidError):
        unpack_layer(layer(member(name)), place / "target")


def test_a_device_disguised_as_a_whiteout_is_refused(place):
    hostile = layer(member("f", tarfile.CHRTYPE, devmajor=0, devminor=0))

    with pytest.raises(InvalidError, match="disguise"):
        unpack_layer(hostile, place / "target")


def test_a_layer_larger_than_allowed_is_refused(place):
    bomb = io.BytesIO(gzip.compress(layer(member("f", data=bytes(2_000_000))).getvalue()))

    with pytest.raises(InvalidError, match="larger than"):
        unpack_layer(bomb, place / "target", limit=1_000_000)


@pytest.mark.parametrize("cut", [10, 600, 1500])
def test_a_layer_that_breaks_off_is_refused(place, cut):
    whole = layer(member("f", data=b"x" * 3000)).getvalue()

    with pytest.raises(InvalidError):
        unpack_layer(io.BytesIO(whole[:cut]), place / "target")


def test_gzip_that_breaks_off_is_refused(place):
    whole = gzip.compress(layer(member("f", data=os.urandom(50_000))).getvalue())

    with pytest.raises(InvalidError):
        unpack_layer(io.BytesIO(whole[:20_000]), place / "target")
