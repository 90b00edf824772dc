"""What a step of a build may have mounted, judged by where the kernel says it comes from."""

import pytest

from runtime.build import gate
from runtime.build.gate import Mounts, may_have

STAGE = "a" * 64
CONTAINER = "b" * 64
BUNDLE = "/var/tmp/buildah1"
TABLE = f"""\
1 0 0:1 / / rw - tmpfs tmpfs rw
2 1 8:1 /data/build/storage /storage rw - ext4 /dev/sda rw
3 1 8:1 /data/build/tmp /var/tmp rw - ext4 /dev/sda rw
4 1 8:1 /data/build/work/1/contexts/0 /context/0 ro - ext4 /dev/sda rw
5 2 0:7 / /storage/overlay/{STAGE}/merged rw - overlay overlay rw
6 1 8:1 /usr /usr ro - ext4 /dev/sda rw
"""


@pytest.fixture(autouse=True)
def room(monkeypatch):
    """No folder of this machine stands in for one of the room."""
    monkeypatch.setattr(gate.os, "listdir", lambda folder: {"/context": ["0"]}[folder])
    monkeypatch.setattr(gate.os.path, "realpath", lambda path: path)


@pytest.mark.parametrize(
    "source",
    [
        f"/storage/overlay/{STAGE}/merged/etc/motd",
        "/context/0",
        "/context/0/src/app.py",
        "/var/tmp/buildah-cache/pip",
        "/var/tmp/buildah-cache-0/pip",
        f"{BUNDLE}/hosts",
        f"/storage/overlay-containers/{CONTAINER}/userdata/secrets/token",
        "/var/tmp/.buildah-ssh-sock12/ssh_auth_sock",
    ],
)
def test_a_step_may_have_what_is_of_its_build(source):
    assert may_have(Mounts(TABLE), source, BUNDLE)


@pytest.mark.parametrize(
    "source",
    [
        "/",
        "/usr",
        "/storage",
        f"/storage/overlay/{'c' * 64}/diff/etc",
        f"/storage/overlay/{STAGE}/diff",
        "/storage/overlay-images/images.json",
        f"/storage/overlay-containers/{CONTAINER}/config.json",
        "/context",
        "/var/tmp",
        "/var/tmp/buildah-cache",
        "/var/tmp/buildah-cache-0",
        "/var/tmp/buildah-cache-1/pip",
        "/var/tmp/buildah2/hosts",
        "/build/secrets/token",
    ],
)
def test_a_step_may_have_nothing_else(source):
    assert not may_have(Mounts(TABLE), source, BUNDLE)


@pytest.mark.parametrize(
    ("device", "path", "allowed"),
    [
        ("0:7", "/etc", True),
        ("8:1", "/data/build/work/1/contexts/0/src", True),
        ("8:1", "/data/build/work/1/contexts/01", False),
        ("8:1", "/", False),
        ("0:1", "/", False),
    ],
)
def test_what_the_builder_has_mounted_once_more_is_judged_by_its_origin(device, path, allowed):
    point = f"{BUNDLE}/mnt/buildah-bind-target-0"
    table = TABLE + f"7 3 {device} {path} {point} rw - any any rw\n"
    assert may_have(Mounts(table), point, BUNDLE) is allowed


def test_places_with_white_space_are_read_as_the_kernel_writes_them():
    table = TABLE + f"7 3 8:1 /data/a\\040b {BUNDLE}/mnt/x\\040y rw - ext4 any rw\n"
    assert Mounts(table).origin(f"{BUNDLE}/mnt/x y/z") == ("8:1", "/data/a b/z")
