"""A working directory is made inside the root, and never leads out of it or into `/proc`."""

import pytest

from runtime.errors import InvalidError
from runtime.oci.workdir import checked, make_working_dir


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    for part in ("proc", "srv"):
        (root / part).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", "/"), ("app", "/app"), ("/app/", "/app"), ("//a//b", "/a/b"), ("/a/./b", "/a/b")],
)
def test_it_is_an_absolute_path(path, expected):
    assert checked(path, "c") == expected


@pytest.mark.parametrize("path", ["..", "../..", "/a/../b", "/proc", "/proc/self/fd/7", "//proc/1"])
def test_a_way_up_or_into_proc_is_refused(path):
    with pytest.raises(InvalidError, match="working directory"):
        checked(path, "c")


def test_what_is_missing_is_made(root):
    make_working_dir(root, "/a/b/c", "c")
    make_working_dir(root, "/a/b/c", "c")

    assert (root / "a/b/c").stat().st_mode & 0o7777 == 0o755


def test_links_of_the_image_are_followed_inside_it(root):
    (root / "link").symlink_to("/srv")

    make_working_dir(root, "/link/app", "c")

    assert (root / "srv/app").is_dir()


def test_a_link_out_of_the_root_leads_into_it(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "link").symlink_to(outside)

    with pytest.raises(InvalidError, match="leads nowhere"):
        make_working_dir(root, "/link/app", "c")

    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("target", ["/proc", "proc", "/proc/self/fd", "../proc"])
def test_a_link_into_proc_is_refused(root, target):
    (root / "link").symlink_to(target)

    with pytest.raises(InvalidError, match="working directory"):
        make_working_dir(root, "/link", "c")


def test_a_file_in_the_way_is_told(root):
    (root / "srv/file").write_text("")

    with pytest.raises(InvalidError, match="Not a directory"):
        make_working_dir(root, "/srv/file/app", "c")


def test_links_in_a_circle_are_told(root):
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")

    with pytest.raises(InvalidError):
        make_working_dir(root, "/one", "c")
