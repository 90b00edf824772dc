"""Top-level `volumes`, volumes without a name, `volumes_from` and mounted images, from inside."""

import io
import json
import secrets
import subprocess
import tarfile

import pytest

from tests.images import write_layout
from tests.instance import Pyorch

pytestmark = pytest.mark.root

STACK = """
name: named
services:
  a:
    image: declaring
    command: sleep 1000
    stop_grace_period: 0s
    volumes:
      - plain:/plain
      - memory:/memory
      - bound:/bound
      - disk:/disk
      - type: volume
        target: /nameless
        volume: {labels: {com.example.keep: 'no'}}
      - {type: image, source: declaring, target: /whole}
      - {type: image, source: b, target: /part, read_only: true, image: {subpath: furniture}}
    tmpfs: /covered
  b:
    image: declaring
    command: sleep 1000
    stop_grace_period: 0s
    volumes: [own:/plain, memory:/again]
    volumes_from: ['a:ro']
  c:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    volumes_from: [b, 'container:lender-x-1']
volumes:
  plain: {name: its-own-name, labels: {com.example.team: web}}
  own:
  memory: {driver_opts: {type: tmpfs, device: tmpfs, o: 'size=64k,uid=7,mode=750'}}
  bound: {driver: local, driver_opts: {type: none, o: 'bind,ro', device: BOUND}}
  disk: {driver_opts: {type: ext4, device: LOOP, o: noexec}}
"""
LENDER = """
name: lender
services:
  x:
    image: busybox
    command: sh -c 'echo lent > /lent/file && sleep 1000'
    stop_grace_period: 0s
    volumes: [lent:/lent]
volumes: {lent: }
"""


@pytest.fixture(scope="module")
def layout(tmp_path_factory, busybox):
    """An image that declares volumes; one of them is covered by the stack file."""
    stream = io.BytesIO(busybox.read_bytes())
    with tarfile.open(fileobj=stream, mode="a") as archive:
        for name in ("kept", "furniture"):
            folder = tarfile.TarInfo(f"./{name}")
            folder.type, folder.mode, folder.uid = tarfile.DIRTYPE, 0o755, 9
            archive.addfile(folder)
            entry = tarfile.TarInfo(f"./{name}/entry")
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"wood"))
    config = {"Volumes": {"/kept": {}, "/covered": {}, "/": {}, "/proc/x": {}, "/plain": {}}}
    return write_layout(tmp_path_factory.mktemp("layout"), stream.getvalue(), config)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A block device with an empty filesystem."""
    image = tmp_path_factory.mktemp("disk") / "image"
    with image.open("wb") as file:
        file.truncate(4 * 1024 * 1024)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True)
    done = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True)
    device = done.stdout.decode().strip()
    yield device
    subprocess.run(["losetup", "-d", device], check=True)


@pytest.fixture(scope="module")
def named(tmp_path_factory, layout, busybox, disk):
    pyorch = Pyorch(name=f"t{secrets.token_hex(3)}", home=tmp_path_factory.mktemp("n") / "p")
    bound = pyorch.work / "bound"
    bound.mkdir()
    (bound / "file").write_text("of the host")
    try:
        pyorch.run("image", "load", str(layout), "--name", "declaring")
        pyorch.run("image", "import", str(busybox), "busybox")
        pyorch.write(LENDER, "lender.yml")
        pyorch.run("-f", "lender.yml", "up", "-d", "--wait")
        pyorch.write(STACK.replace("BOUND", str(bound)).replace("LOOP", disk))
        pyorch.run("up", "-d", "--wait")
        yield pyorch
    finally:
        left = pyorch.clean()
    assert left == []
    assert (bound / "file").read_text() == "of the host", "down -v takes no data of the host"


def inside(pyorch, service, line):
    return pyorch.run("exec", "-T", service, "sh", "-c", line).strip()


def mount_of(pyorch, service, target):
    lines = inside(pyorch, service, "cat /proc/self/mountinfo").splitlines()
    return next(line.split() for line in reversed(lines) if line.split()[4] == target)


def records(pyorch):
    """Return what is written down beside every volume, by its name."""
    folder = pyorch.settings.data / "volumes"
    return {one.parent.name: json.loads(one.read_text()) for one in folder.glob("*/volume.json")}


def nameless(pyorch, target, slot=1):
    """Return the name of a volume without one, by where the container sees it."""
    root = mount_of(pyorch, "a", target)[3]
    return root.split("/")[-2]


@pytest.mark.attribute("volumes.*.name", "volumes.*.labels")
def test_volumes_name_and_labels(named):
    labels = records(named)["its-own-name"]["labels"]

    assert labels["com.example.team"] == "web"
    assert labels["com.docker.compose.project"] == "named"
    assert labels["com.docker.compose.volume"] == "plain"
    assert "named_own" in records(named)


@pytest.mark.attribute("volumes.*.driver_opts")
def test_volumes_driver_opts_tmpfs_is_one_for_all_containers(named):
    inside(named, "a", "echo shared > /memory/file")

    assert inside(named, "b", "cat /again/file") == "shared"
    assert mount_of(named, "a", "/memory")[-3] == "tmpfs"
    assert {"size=64k", "mode=750", "uid=7"} <= set(mount_of(named, "a", "/memory")[-1].split(","))


@pytest.mark.attribute("volumes.*.driver")
def test_volumes_driver_opts_bind(named):
    assert inside(named, "a", "cat /bound/file") == "of the host"
    assert "Read-only" in named.try_("exec", "-T", "a", "touch", "/bound/x").err


def test_volumes_driver_opts_block_device(named):
    fields = mount_of(named, "a", "/disk")

    assert fields[-3] == "ext4"
    assert {"noexec", "nosuid", "nodev"} <= set(fields[5].split(","))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{type: nfs, device: ':/x', o: addr=127.0.0.1}", "this kernel has no such filesystem"),
        ("{type: cifs, device: //h/x, o: addr=127.0.0.1}", "this kernel has no such filesystem"),
        ("{type: ext4, device: /dev/nowhere}", "there is no such device or directory"),
        ("{type: none, o: bind, device: /nowhere}", "there is no such device or directory"),
        ("{type: tmpfs, device: tmpfs, o: 'size=x'}", "does not take these options"),
        ("{type: tmpfs, device: tmpfs, size: 1g}", "`size` is no option"),
        ("{type: tmpfs}", "`device` is missing"),
    ],
)
def test_volumes_driver_opts_that_cannot_be_mounted_are_told(named, options, said):
    named.write(
        "name: other\nservices: {a: {image: busybox, volumes: ['vol:/v']}}\n"
        f"volumes: {{vol: {{driver_opts: {options}}}}}\n",
        "other.yml",
    )

    done = named.try_("-f", "other.yml", "up", "-d", "--wait")
    named.try_("-f", "other.yml", "-p", "other", "down", "-v")

    assert done.code == 1
    assert said in done.err


def test_volumes_driver_opts_of_a_volume_that_exists_are_not_changed_silently(named):
    text = (named.work / "stack.yml").read_text()
    named.write(text.replace("size=64k", "size=128k"), "changed.yml")

    done = named.try_("-f", "changed.yml", "plan")

    assert "volume `named_memory` exists with other options" in done.out + done.err


@pytest.mark.attribute("services.*.volumes.*.volume.labels")
def test_volumes_nameless_of_the_file_and_of_the_image(named):
    assert inside(named, "a", "cat /kept/entry") == "wood"
    assert inside(named, "a", "busybox stat -c %u /kept") == "9"
    found = records(named)
    assert found[nameless(named, "/nameless")]["labels"]["com.example.keep"] == "no"
    assert found[nameless(named, "/kept")]["labels"]["com.docker.volume.anonymous"] == ""
    assert mount_of(named, "a", "/covered")[-3] == "tmpfs", "the file's own mount is in its place"
    assert "its-own-name" in mount_of(named, "a", "/plain")[3]


def test_volumes_nameless_are_kept_when_the_container_is_made_anew(named):
    inside(named, "a", "echo mine > /nameless/file; echo mine > /kept/file")
    before = nameless(named, "/nameless")

    named.run("up", "-d", "--force-recreate", "--wait")

    assert inside(named, "a", "cat /nameless/file /kept/file") == "mine\nmine"
    assert nameless(named, "/nameless") == before


@pytest.mark.attribute("services.*.volumes_from")
def test_volumes_from_a_service_takes_over_its_mounts_read_only(named):
    inside(named, "a", "echo by-a > /nameless/from; echo by-a > /plain/file")

    assert inside(named, "b", "cat /nameless/from") == "by-a"
    assert "Read-only" in named.try_("exec", "-T", "b", "touch", "/nameless/x").err
    assert "named_own" in mount_of(named, "b", "/plain")[3], "its own mount is in its place"
    assert inside(named, "b", "cat /bound/file") == "of the host"


def test_volumes_from_hands_on_what_was_taken_over(named):
    inside(named, "a", "echo by-a > /nameless/from")

    assert inside(named, "c", "cat /nameless/from") == "by-a"
    assert "Read-only" in named.try_("exec", "-T", "c", "touch", "/nameless/x").err
    assert inside(named, "c", "touch /plain/x && ls /plain") == "x"


def test_volumes_from_another_container(named):
    assert inside(named, "c", "cat /lent/file") == "lent"


def test_volumes_from_a_container_that_is_not_there_is_told(named):
    named.write("services: {a: {image: busybox, volumes_from: ['container:nobody']}}", "nobody.yml")

    done = named.try_("-f", "nobody.yml", "-p", "other", "up", "-d", "--wait")
    named.run("-f", "nobody.yml", "-p", "other", "down")

    assert done.code == 1
    assert "cannot take over mounts of `nobody`: there is no such container" in done.err


@pytest.mark.attribute("services.*.volumes.*.type")
def test_volumes_image_is_the_root_of_another_image_and_can_be_written(named):
    assert inside(named, "a", "cat /whole/kept/entry") == "wood"
    assert inside(named, "a", "touch /whole/new && ls /whole/new") == "/whole/new"


@pytest.mark.attribute("services.*.volumes.*.image.subpath")
def test_volumes_image_of_a_service_subpath_and_read_only(named):
    assert inside(named, "a", "ls /part") == "entry"
    assert "Read-only" in named.try_("exec", "-T", "a", "touch", "/part/x").err


def test_volumes_image_that_is_mounted_is_needed(named, busybox):
    named.run("image", "import", str(busybox), "only-mounted", "--env", "OTHER=1")
    text = "services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: "
    text += "[{type: image, source: only-mounted, target: /m}]}}"
    named.write(text, "mounting.yml")
    named.run("-f", "mounting.yml", "-p", "mounting", "up", "-d", "--wait")

    done = named.try_("image", "rm", "only-mounted")
    named.run("-f", "mounting.yml", "-p", "mounting", "down")

    assert done.code == 1
    assert "mounting" in done.err


def test_volumes_external_must_exist_and_stays(named):
    text = "services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: "
    text += "['vol:/v']}}\nvolumes: {vol: {external: true, name: NAME}}"
    named.write(text.replace("NAME", "nowhere"), "ext.yml")
    refused = named.try_("-f", "ext.yml", "-p", "ext", "up", "-d", "--wait")
    named.write(text.replace("NAME", "its-own-name"), "ext.yml")
    inside(named, "a", "echo external > /plain/ext")

    named.run("-f", "ext.yml", "-p", "ext", "up", "-d", "--wait")
    seen = named.run("-f", "ext.yml", "-p", "ext", "exec", "-T", "a", "cat", "/v/ext").strip()
    named.run("-f", "ext.yml", "-p", "ext", "down", "-v")

    assert "external volume `nowhere` does not exist" in refused.err
    assert seen == "external"
    assert "its-own-name" in records(named)


def test_volumes_go_with_down_v_and_nameless_ones_with_them(bare, layout):
    bare.run("image", "load", str(layout), "--name", "declaring")
    bare.write(
        "name: gone\nvolumes: {vol: }\n"
        "services: {a: {image: declaring, stop_grace_period: 0s, volumes: [/x, 'vol:/v']}}"
    )
    bare.run("up", "-d", "--wait")
    assert len(records(bare)) == 5

    bare.run("down")
    assert len(records(bare)) == 5
    bare.run("up", "-d", "--wait")
    bare.run("down", "-v")

    assert records(bare) == {}
