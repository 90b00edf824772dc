"""`volumes` and `tmpfs` of a service, looked at from inside its container."""

import io
import os
import secrets
import subprocess
import tarfile

import pytest

from tests.images import write_layout
from tests.instance import Pyorch

pytestmark = pytest.mark.root

STACK = """
name: mounts
services:
  a:
    image: furnished
    user: web
    command: sleep 1000
    stop_grace_period: 0s
    tmpfs: ["/short:size=64k,mode=1770,exec,uid=7", /plain]
    volumes:
      - filled:/furniture
      - {type: volume, source: bare, target: /bare-furniture, volume: {nocopy: true}}
      - empty:/empty
      - {type: volume, source: parts, target: /part, volume: {subpath: in/part}}
      - {type: volume, source: parts, target: /locked, read_only: true}
      - ./made/on/demand:/made
      - ./plain:/plain-bind:ro,z
      - ./guarded:/guarded
      - {type: bind, source: ./tree, target: /readonly, read_only: true}
      - {type: bind, source: ./tree, target: /flat, bind: {recursive: disabled}}
      - type: bind
        source: ./tree
        target: /writable
        read_only: true
        bind: {recursive: writable}
      - type: bind
        source: ./tree
        target: /forced
        read_only: true
        consistency: cached
        bind: {recursive: readonly, selinux: Z}
      - {type: bind, source: ./tree, target: /out, bind: {propagation: rshared}}
      - {type: bind, source: ./tree, target: /in, bind: {propagation: rslave}}
      - {type: tmpfs, target: /long, tmpfs: {size: 128k, mode: 448}}
      - ~/home:/home
volumes: {filled: {}, bare: {}, empty: {}, parts: {}}
"""
PARTS = """
name: mounts
services:
  a:
    image: furnished
    stop_grace_period: 0s
    command: sh -c 'mkdir -p /v/in/part && echo deep > /v/in/part/file && sleep 1000'
    volumes: [parts:/v]
volumes: {parts: {}}
"""


@pytest.fixture(scope="module")
def layout(tmp_path_factory, busybox):
    """An image with a directory of its own, of the user `web`."""
    stream = io.BytesIO(busybox.read_bytes())
    with tarfile.open(fileobj=stream, mode="a") as archive:
        for name in ("furniture", "bare-furniture"):
            folder = tarfile.TarInfo(f"./{name}")
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o751, 9, 10
            archive.addfile(folder)
            chair = tarfile.TarInfo(f"./{name}/chair")
            chair.mode, chair.uid, chair.size = 0o640, 9, 4
            archive.addfile(chair, io.BytesIO(b"wood"))
    return write_layout(tmp_path_factory.mktemp("layout"), stream.getvalue())


@pytest.fixture(scope="module")
def mounted(tmp_path_factory, layout):
    """The stack of this file, and a directory tree of the host with a mount in it."""
    pyorch = Pyorch(name=f"t{secrets.token_hex(3)}", home=tmp_path_factory.mktemp("m") / "p")
    pyorch.environment["HOME"] = str(pyorch.work / "person")
    tree = pyorch.work / "tree"
    for folder in ("tree/below", "plain", "guarded", "person/home"):
        (pyorch.work / folder).mkdir(parents=True)
    guarded = pyorch.work / "guarded"
    subprocess.run(["mount", "-t", "tmpfs", "guarded", guarded], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro,nosuid,noexec", guarded], check=True)
    subprocess.run(["mount", "--bind", tree, tree], check=True)
    subprocess.run(["mount", "--make-shared", tree], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", tree / "below"], check=True)
    (tree / "below" / "leaf").write_text("green")
    try:
        pyorch.run("image", "load", str(layout), "--name", "furnished")
        pyorch.write(PARTS)
        pyorch.run("up", "-d")
        pyorch.run("exec", "-T", "a", "sh", "-c", "until [ -e /v/in/part/file ]; do :; done")
        pyorch.write(STACK)
        pyorch.run("up", "-d", "--wait")
        yield pyorch
    finally:
        left = pyorch.clean()
        subprocess.run(["umount", "-R", "-l", tree, guarded], check=True)
    assert left == []


def inside(pyorch, line, user="root"):
    return pyorch.run("exec", "-T", "-u", user, "a", "sh", "-c", line).strip()


def tried(pyorch, line):
    return pyorch.try_("exec", "-T", "-u", "root", "a", "sh", "-c", line)


def mount_of(pyorch, target):
    """Return the fields of /proc/self/mountinfo of what is mounted at ``target``."""
    lines = inside(pyorch, "cat /proc/self/mountinfo").splitlines()
    return next(line.split() for line in reversed(lines) if line.split()[4] == target)


@pytest.mark.attribute("services.*.volumes.*.source", "services.*.volumes.*.target")
def test_volumes_a_named_one_is_filled_from_the_image_with_its_owner(mounted):
    assert inside(mounted, "cat /furniture/chair") == "wood"
    assert inside(mounted, "busybox stat -c '%u:%g %a' /furniture") == "9:10 751"
    assert inside(mounted, "busybox stat -c '%u %a' /furniture/chair") == "9 640"


@pytest.mark.attribute("services.*.volumes.*.type", "services.*.volumes.*.volume.nocopy")
def test_volumes_nocopy_leaves_it_empty_and_the_services_user_may_write(mounted):
    assert inside(mounted, "ls /bare-furniture") == ""
    assert inside(mounted, "touch /bare-furniture/own && echo yes", user="web") == "yes"


def test_volumes_an_empty_one_belongs_to_the_services_user(mounted):
    assert inside(mounted, "busybox stat -c '%u:%g' /empty") == "7:8"


@pytest.mark.attribute("services.*.volumes.*.volume.subpath")
def test_volumes_subpath_is_the_only_part_that_is_seen(mounted):
    assert inside(mounted, "cat /part/file") == "deep"
    assert inside(mounted, "ls /part") == "file"


def test_volumes_subpath_survives_a_restart(mounted):
    os.kill(mounted.main_process("mounts/a.1"), 9)
    mounted.run("up", "-d", "--force-recreate", "--wait")

    assert inside(mounted, "cat /part/file") == "deep"


def test_volumes_subpath_that_is_not_there_is_told(mounted):
    mounted.write(STACK.replace("subpath: in/part", "subpath: in/nothing"), "missing.yml")

    done = mounted.try_("-f", "missing.yml", "-p", "other", "up", "-d")

    assert done.code == 1
    assert "there is no `in/nothing` in it" in done.err + done.out


@pytest.mark.attribute("services.*.volumes.*.read_only")
def test_volumes_read_only(mounted):
    assert "Read-only" in tried(mounted, "> /locked/x").err


def test_volumes_are_nosuid_and_nodev(mounted):
    assert {"nosuid", "nodev"} <= set(mount_of(mounted, "/furniture")[5].split(","))


def test_volumes_bind_makes_the_directory_where_it_is_missing(mounted):
    inside(mounted, "echo text > /made/file")

    assert (mounted.work / "made/on/demand/file").read_text() == "text\n"


@pytest.mark.attribute("services.*.volumes.*.bind.create_host_path")
def test_volumes_bind_create_host_path_false_makes_none(mounted):
    stack = "services: {a: {image: furnished, volumes: [MOUNT]}}"
    mount = "{type: bind, source: ./nowhere, target: /x, bind: {create_host_path: false}}"
    mounted.write(stack.replace("MOUNT", mount), "missing.yml")

    done = mounted.try_("-f", "missing.yml", "-p", "other", "up", "-d")

    assert done.code == 1
    assert "nowhere`: it does not exist on the host" in done.err
    assert "create_host_path" in done.err
    assert not (mounted.work / "nowhere").exists()


def test_volumes_bind_of_another_engines_socket_that_is_not_there_is_an_error(mounted):
    socket = mounted.work / "engine" / "docker.sock"
    mounted.write(
        f"services: {{a: {{image: furnished, volumes: ['{socket}:/var/run/docker.sock']}}}}",
        "engine.yml",
    )

    done = mounted.try_("-f", "engine.yml", "-p", "other", "up", "-d")

    assert done.code == 1
    assert "there is no such socket on the host" in done.err
    assert "start that engine" in done.err
    assert not socket.parent.exists()


def test_volumes_bind_of_the_home_directory(mounted):
    inside(mounted, "> /home/mine")

    assert (mounted.work / "person/home/mine").exists()


@pytest.mark.attribute("services.*.volumes.*.bind.selinux")
def test_volumes_bind_short_form_ro_and_selinux_letters(mounted):
    assert "Read-only" in tried(mounted, "> /plain-bind/x").err


def test_volumes_bind_recursive_enabled_is_read_only_below_too(mounted):
    assert inside(mounted, "cat /readonly/below/leaf") == "green"
    assert "Read-only" in tried(mounted, "> /readonly/x").err
    assert "Read-only" in tried(mounted, "> /readonly/below/x").err


def test_volumes_bind_allows_nothing_that_the_hosts_mount_does_not(mounted):
    assert {"ro", "nosuid", "noexec"} <= set(mount_of(mounted, "/guarded")[5].split(","))


@pytest.mark.attribute("services.*.volumes.*.bind.recursive")
def test_volumes_bind_recursive_disabled_leaves_mounts_below_out(mounted):
    assert inside(mounted, "ls /flat/below") == ""


def test_volumes_bind_recursive_writable_spares_mounts_below(mounted):
    assert "Read-only" in tried(mounted, "> /writable/x").err
    assert tried(mounted, "> /writable/below/from-inside").code == 0


@pytest.mark.attribute(
    "services.*.volumes.*.bind.recursive",
    "services.*.volumes.*.bind.selinux",
    "services.*.volumes.*.consistency",
)
def test_volumes_bind_recursive_readonly(mounted):
    assert "Read-only" in tried(mounted, "> /forced/below/x").err


@pytest.mark.attribute("services.*.volumes.*.bind.propagation")
def test_volumes_bind_propagation_rslave_lets_later_mounts_of_the_host_in(mounted):
    later = mounted.work / "tree" / "later"
    later.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "later", later], check=True)
    (later / "guest").write_text("late")

    assert inside(mounted, "cat /in/later/guest") == "late"
    assert inside(mounted, "ls /flat/later") == ""


def test_volumes_bind_propagation_rshared_is_shared_with_the_host(mounted):
    assert any(field.startswith("shared:") for field in mount_of(mounted, "/out"))
    assert any(field.startswith("master:") for field in mount_of(mounted, "/in"))
    assert not any(":" in field for field in mount_of(mounted, "/flat")[6:7])


@pytest.mark.attribute("services.*.volumes.*.tmpfs")
def test_volumes_tmpfs_size_and_mode(mounted):
    fields = mount_of(mounted, "/long")
    options = set(fields[5].split(",")) | set(fields[-1].split(","))

    assert {"size=128k", "mode=700", "nosuid", "nodev", "noexec"} <= options


@pytest.mark.attribute("services.*.tmpfs")
def test_tmpfs_has_the_usual_options_and_those_that_are_given(mounted):
    short, plain = mount_of(mounted, "/short"), mount_of(mounted, "/plain")

    assert {"nosuid", "nodev"} <= set(short[5].split(","))
    assert "noexec" not in short[5]
    assert {"size=64k", "mode=1770", "uid=7"} <= set(short[-1].split(","))
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(plain[5].split(","))


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("{type: npipe, source: x, target: /x}", "named pipes are of Windows"),
        ("{type: cluster, source: x, target: /x}", "cluster volumes are of a swarm"),
        ("'./x:/'", "over the container's own root"),
        (
            "{type: bind, source: ./x, target: /x, bind: {recursive: readonly}}",
            "is of a private, read-only bind",
        ),
    ],
)
def test_volumes_what_cannot_be_mounted_is_refused_by_name(mounted, mount, said):
    mounted.write(f"services: {{a: {{image: furnished, volumes: [{mount}]}}}}", "refused.yml")

    done = mounted.try_("-f", "refused.yml", "-p", "other", "plan")

    assert done.code == 1
    assert said in done.err
