"""Volumes are carried off, brought back, doubled, called otherwise and cleared away."""

import os
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

SHOP = """
name: shop
services:
  web:
    image: busybox
    command: sh -c 'echo kept > /data/file; chown -R 7:8 /data; chmod 700 /data; exec sleep 1000'
    volumes: ["data:/data", /scratch]
    stop_grace_period: 0s
    healthcheck: {test: ls /data/file, interval: 100ms}
volumes: {data: {}}
""".replace("chown", "busybox chown").replace("chmod", "busybox chmod")


@pytest.fixture
def shop(pyorch):
    pyorch.write(SHOP)
    pyorch.run("up", "-d", "--wait")
    return pyorch


def names(pyorch):
    return set(pyorch.run("volume", "ls", "-q").split())


def path_of(pyorch, name):
    return next(one["path"] for one in pyorch.client.get("/v1/volumes") if one["name"] == name)


def test_a_volume_is_exported_and_imported_with_owners_and_modes(shop):
    shop.run("volume", "export", "-o", "data.tar", "shop_data")
    assert shop.run("volume", "import", "again", "data.tar") == "again\n"

    with tarfile.open(shop.work / "data.tar") as archive:
        assert "./file" in archive.getnames()
    place = path_of(shop, "again")
    assert Path(place, "file").read_text() == "kept\n"
    told = os.stat(place)
    assert (told.st_uid, told.st_gid, told.st_mode & 0o777) == (7, 8, 0o700)
    shop.run("volume", "rm", "again")


def test_nothing_is_imported_over_what_is_there(shop):
    shop.run("volume", "export", "-o", "data.tar", "shop_data")

    done = shop.try_("volume", "import", "shop_data", "data.tar")
    broken = shop.try_("volume", "import", "broken", "stack.yml")

    assert (done.code, "is not empty" in done.err) == (1, True)
    assert broken.code == 1
    assert "broken" not in names(shop)


def test_a_volume_is_cloned_and_renamed_unless_it_is_used(shop):
    assert shop.run("volume", "clone", "shop_data", "copy") == "copy\n"
    shop.run("volume", "rename", "copy", "other")

    assert Path(path_of(shop, "other"), "file").read_text() == "kept\n"
    assert "copy" not in names(shop)
    assert "is used by `shop`" in shop.try_("volume", "rename", "shop_data", "mine").err
    assert "already" in shop.try_("volume", "clone", "other", "shop_data").err
    shop.run("volume", "rm", "other")


def test_only_what_nobody_uses_is_pruned_and_what_has_a_name_only_if_asked(shop):
    shop.run("volume", "create", "left")
    held = names(shop)

    assert shop.run("volume", "prune", "-f") == ""
    assert names(shop) == held

    shop.run("down")
    (scratch,) = held - {"shop_data", "left"}
    assert shop.run("volume", "prune", "-f").split() == [scratch]
    assert set(shop.run("volume", "prune", "-a", "-f").split()) == {"shop_data", "left"}
