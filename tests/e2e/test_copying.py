"""Files go into containers and come out of them, and nowhere else."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

SHOP = """
name: shop
services:
  web:
    image: busybox
    command:
      - sh
      - -c
      - |
        mkdir -p /srv/deep; echo one > /srv/one; echo two > /srv/deep/two
        ln -s one /srv/link; busybox chown -R 7:8 /srv; busybox chmod 640 /srv/one
        touch /ready; exec sleep 1000
    healthcheck: {test: ls /ready, interval: 100ms}
    volumes: [data:/data]
    scale: 2
    stop_grace_period: 0s
volumes: {data: {}}
"""


@pytest.fixture(scope="module")
def shop(begun):
    begun.write(SHOP)
    begun.run("up", "-d", "--wait")
    return begun


def said(pyorch, line, index=1):
    """Return what a command in a replica prints."""
    return pyorch.run("exec", "-T", "--index", str(index), "web", "sh", "-c", line)


def test_a_file_comes_out_under_its_name_or_another(shop):
    shop.run("cp", "web:/srv/one", ".")
    shop.run("cp", "web:/srv/one", "other")

    for name in ("one", "other"):
        assert shop.work.joinpath(name).read_text() == "one\n"
        assert shop.work.joinpath(name).stat().st_uid == 0


def test_a_folder_comes_out_as_such_or_as_what_it_holds(shop):
    shop.work.joinpath("there").mkdir()

    shop.run("cp", "-a", "web:/srv", "there")
    shop.run("cp", "web:/srv/.", "fresh")

    assert shop.work.joinpath("there", "srv", "deep", "two").read_text() == "two\n"
    found = shop.work.joinpath("there", "srv", "one").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (7, 8, 0o640)
    assert {"deep", "link", "one"} <= set(os.listdir(shop.work / "fresh"))
    assert os.readlink(shop.work / "fresh" / "link") == "one"


def test_a_link_is_copied_or_what_it_leads_to(shop):
    shop.run("cp", "web:/srv/link", "as-link")
    shop.run("cp", "-L", "web:/srv/link", "as-file")

    assert os.readlink(shop.work / "as-link") == "one"
    assert shop.work.joinpath("as-file").read_text() == "one\n"


def test_what_is_copied_in_reaches_every_replica_or_one(shop):
    shop.write("everywhere", "note")
    shop.run("cp", "note", "web:/tmp")
    shop.write("only here", "note")
    shop.run("cp", "--index", "2", "note", "web:/tmp/note")

    assert said(shop, "cat /tmp/note") == "everywhere"
    assert said(shop, "cat /tmp/note", 2) == "only here"
    assert said(shop, "ls -ln /tmp/note").split()[2:4] == ["0", "0"]


def test_a_tree_goes_in_and_merges_with_what_is_there(shop):
    tree = shop.work / "tree" / "deep"
    tree.mkdir(parents=True)
    (tree / "new").write_text("new")
    os.chown(tree / "new", 7, 8)

    shop.run("cp", "-a", "tree/.", "web:/srv")
    shop.run("cp", "tree", "web:/data/renamed")

    assert said(shop, "cat /srv/deep/two /srv/deep/new") == "two\nnew"
    assert said(shop, "ls -ln /srv/deep/new").split()[2:4] == ["7", "8"]
    assert said(shop, "cat /data/renamed/deep/new", 2) == "new"


def test_tarballs_come_out_of_one_and_go_into_another(shop):
    program = Path(sys.executable).parent / "pyorch"
    more = {"cwd": shop.work, "env": shop.environment, "check": True}
    packed = subprocess.run([program, "cp", "web:/srv", "-"], capture_output=True, **more)
    shop.work.joinpath("srv.tar").write_bytes(packed.stdout)

    with tarfile.open(shop.work / "srv.tar") as archive:
        assert "srv/deep/two" in archive.getnames()
    subprocess.run([program, "cp", "-", "web:/tmp"], input=packed.stdout, **more)
    assert said(shop, "cat /tmp/srv/one") == "one\n"


def test_links_in_a_container_lead_nowhere_outside(shop):
    canary = shop.work / "canary"
    canary.mkdir()
    (canary / "secret").write_text("of the host")
    said(shop, f"ln -s {canary} /out; ln -s ../../../../../../../{canary} /up")
    said(shop, "ln -s /proc/1/root /magic")
    shop.write("hostile", "payload")

    for link in ("out", "up"):
        assert shop.try_("cp", f"web:/{link}/secret", "-").code == 1
        assert shop.try_("cp", "--index", "1", "payload", f"web:/{link}/payload").code == 1
    assert shop.try_("cp", "web:/magic/etc/passwd", "-").code == 1
    assert os.listdir(canary) == ["secret"]


def test_a_tarball_does_not_write_through_its_own_links(shop):
    canary = shop.work / "kept"
    canary.mkdir()
    with tarfile.open(shop.work / "evil.tar", "w") as archive:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(canary)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("way/through"))
        archive.addfile(tarfile.TarInfo("../../above"))

    done = subprocess.run(
        [Path(sys.executable).parent / "pyorch", "cp", "--index", "1", "-", "web:/tmp"],
        cwd=shop.work,
        env=shop.environment,
        input=shop.work.joinpath("evil.tar").read_bytes(),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    assert os.listdir(canary) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["cp", "web:/nothing", "."], "there is no such file"),
        (["cp", "nothing", "web:/tmp"], "there is no `nothing` here"),
        (["cp", "stack.yml", "web:/no/where"], "no such file"),
        (["cp", "stack.yml", "web:/no/"], "is no directory there"),
        (["cp", "stack.yml", "other.yml"], "in a container"),
        (["cp", "web:/srv", "stack.yml"], "is a file here"),
        (["cp", ".", "web:/srv/one"], "is a file there"),
        (["cp", "db:/x", "."], "no container of `db`"),
    ],
)
def test_what_cannot_be_copied_is_told(shop, line, told):
    done = shop.try_(*line)

    assert (done.code, told in done.err) == (1, True), done.err


def test_what_does_not_run_is_copied_from_but_not_where_something_is_to_be_mounted(pyorch):
    pyorch.write(SHOP.replace("    scale: 2\n", ""))
    pyorch.run("up", "-d", "--wait")
    pyorch.run("stop")

    pyorch.run("cp", "web:/srv/one", "one")
    refused = pyorch.try_("cp", "one", "web:/data/one")

    assert pyorch.work.joinpath("one").read_text() == "one\n"
    assert (refused.code, "only while it runs" in refused.err) == (1, True)
