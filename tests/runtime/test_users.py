"""Users and groups are those of the image's own files, and a process is in its own group twice."""

import os

import pytest

from runtime.errors import InvalidError
from runtime.oci.users import resolve_user

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:app:/srv:/bin/sh
"""
GROUP = """\
root:x:0:
app:x:1001:
logs:x:1002:app,other
web:x:1003:
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize(
    ("user", "add", "uid", "gid", "groups"),
    [
        ("", (), 0, 0, (0,)),
        ("app", (), 1000, 1001, (1001, 1002)),
        ("1000", (), 1000, 1001, (1001, 1002)),
        ("app:web", (), 1000, 1003, (1003,)),
        ("app:7", ("web", "8"), 1000, 7, (7, 8, 1003)),
        ("4711", (), 4711, 0, (0,)),
        ("4711:4712", (), 4711, 4712, (4712,)),
    ],
)
def test_a_process_is_who_the_image_says_and_its_own_group_is_among_its_groups(
    root, user, add, uid, gid, groups
):
    found = resolve_user(root, user, add)

    assert (found.uid, found.gid, found.groups) == (uid, gid, groups)


@pytest.mark.parametrize("user", ["nobody", "app:nothing", "-1", "99999999999", "app:99999999999"])
def test_a_name_or_number_that_is_none_is_never_root(root, user):
    with pytest.raises(InvalidError):
        resolve_user(root, user)


def test_files_of_the_image_that_lead_elsewhere_are_not_followed(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "passwd"
    outside.write_text("evil:x:0:0::/:/bin/sh\n")
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to(outside)

    with pytest.raises(InvalidError, match="no such user"):
        resolve_user(root, "evil")


@pytest.mark.parametrize("user", ["4294967295", "2147483648", "root\nx", "nosuch", "app:nosuch"])
def test_m17_a_user_that_is_none_is_told_as_one(root, user):
    with pytest.raises(InvalidError) as refused:
        resolve_user(root, user)

    assert refused.value.code == "user"


def _pipe(path):
    os.mkfifo(path)


def _huge(path):
    with path.open("wb") as file:
        file.truncate(2**30)


@pytest.mark.parametrize("make", [_pipe, _huge, os.mkdir])
@pytest.mark.parametrize("name", ["etc/passwd", "etc/group"])
def test_m18_files_that_are_no_small_files_are_refused_without_waiting(root, make, name):
    (root / name).unlink()
    make(root / name)

    with pytest.raises(InvalidError) as refused:
        resolve_user(root, "app:web")

    assert refused.value.code == "image_passwd"


def test_m18_a_link_to_what_is_of_a_process_is_a_link_inside_the_image(root):
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to("/proc/1/environ")

    with pytest.raises(InvalidError) as refused:
        resolve_user(root, "app")

    assert refused.value.code == "user"
