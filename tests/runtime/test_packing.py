"""Trees become tarballs: whole, as layers, and never anything from beside them."""

import io
import os
import stat
import tarfile
import threading

import pytest

from runtime.errors import InvalidError
from runtime.image.check import tree_digest
from runtime.image.layers import unpack_layer
from runtime.oci.packing import pack_tree

pytestmark = pytest.mark.root


def packed(root, *, changes=False):
    stream = io.BytesIO()
    pack_tree(root, stream, changes=changes)
    stream.seek(0)
    return stream


def test_a_tree_is_unpacked_as_it_was(tmp_path):
    root, target = tmp_path / "root", tmp_path / "target"
    (root / "d").mkdir(parents=True)
    (root / "d/f").write_bytes(b"x" * 100_000)
    (root / "d/f").chmod(0o4751)
    os.chown(root / "d/f", 3, 4)
    (root / "d/f").chmod(0o4751)
    os.setxattr(root / "d/f", "user.mark", b"\xff\0y")
    (root / "link").symlink_to("/d/f")
    os.link(root / "d/f", root / "hard")
    os.mkfifo(root / "pipe")
    (root / "pipe").chmod(0o641)
    (root / "\udcff").write_text("odd")
    for path in root.rglob("*"):
        os.utime(path, (1000, 1000), follow_symlinks=False)
    target.mkdir()

    unpack_layer(packed(root), target)

    assert tree_digest(target) == tree_digest(root)
    assert (target / "hard").samefile(target / "d/f")


def test_what_an_overlay_took_away_becomes_whiteouts_and_back(tmp_path):
    upper, target = tmp_path / "upper", tmp_path / "target"
    (upper / "d").mkdir(parents=True)
    os.mknod(upper / "d/gone", stat.S_IFCHR, os.makedev(0, 0))
    (upper / "new").mkdir()
    os.setxattr(upper / "new", "trusted.overlay.opaque", b"y")
    target.mkdir()

    layer = packed(upper, changes=True)
    with tarfile.open(fileobj=layer) as archive:
        names = archive.getnames()
    layer.seek(0)
    unpack_layer(layer, target)

    assert "./d/.wh.gone" in names
    assert "./new/.wh..wh..opq" in names
    assert tree_digest(target) == tree_digest(upper)


def test_a_folder_the_kernel_keeps_elsewhere_is_no_layer(tmp_path):
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", "trusted.overlay.redirect", b"/other")

    with pytest.raises(InvalidError, match="elsewhere"):
        packed(tmp_path, changes=True)


def test_a_tree_that_is_too_deep_is_refused(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)

    with pytest.raises(InvalidError, match="deep"):
        packed(tmp_path)


def test_m27_a_folder_that_turns_into_a_link_and_back_leads_nowhere(tmp_path):
    """Ten thousand times, while it is packed again and again."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "way").mkdir(parents=True)
    (root / "way/file").write_text("inside")
    outside.mkdir()
    (outside / "file").write_text("secret of the host")
    swaps = 10_000
    done = threading.Event()

    def swap():
        os.symlink(outside, root / "link")
        for _ in range(swaps):
            # Exchange the two names: a folder at one moment, a link at the next.
            os.rename(root / "way", root / "aside")
            os.rename(root / "link", root / "way")
            os.rename(root / "way", root / "link")
            os.rename(root / "aside", root / "way")
        done.set()

    thread = threading.Thread(target=swap)
    thread.start()
    count = 0
    while not done.is_set():
        assert b"secret of the host" not in packed(root).getvalue()
        count += 1
    thread.join()

    assert count > 0
    assert (outside / "file").read_text() == "secret of the host"
