"""Images made by an enemy are run: the host stays as it was."""

import io
import json
import tarfile

import pytest

from runtime.image.check import tree_digest
from tests.images import write_layout

pytestmark = pytest.mark.root

STACK = """
name: x
services:
  a:
    image: evil
    stop_grace_period: 0s
    healthcheck: {{disable: true}}
{more}
"""


@pytest.fixture
def outside(tmp_path):
    """Files of the host that must not change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("hosts", "secret"):
        (folder / name).write_text("of the host")
    before = tree_digest(folder)
    yield folder
    assert tree_digest(folder) == before


def evil(pyorch, busybox, links=(), config=None, name="evil"):
    """Load an image whose paths are replaced by links."""
    stream = io.BytesIO(busybox.read_bytes())
    with tarfile.open(fileobj=stream, mode="a") as archive:
        for path, target in links:
            info = tarfile.TarInfo(f"./{path}")
            info.type, info.linkname = tarfile.SYMTYPE, str(target)
            archive.addfile(info)
    layout = write_layout(pyorch.home / "layout", stream.getvalue(), config or {})
    pyorch.run("image", "load", str(layout), "--name", name)


REFUSED = ("dev", "proc", "sys")
COVERED = ("run", "run/secrets", "etc/hosts", "etc/resolv.conf", "etc/hostname")


def test_m21_a_path_the_runtime_mounts_over_is_no_way_out(bare, busybox, outside):
    services = {}
    for number, path in enumerate((*REFUSED, *COVERED)):
        target = outside if "." not in path and "etc/host" not in path else outside / "hosts"
        evil(bare, busybox, [(path, target)], name=f"evil:{number}")
        services[f"s{number}"] = {"image": f"evil:{number}", "secrets": ["s"]}
    stack = {"name": "x", "services": services, "secrets": {"s": {"environment": "SECRET"}}}
    bare.write(json.dumps(stack))
    bare.environment["SECRET"] = "of the container"

    done = bare.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "in it is no directory, but a way to elsewhere" in done.err
    assert {name: one["State"] for name, one in bare.ps("x").items()} == {
        f"x-s{number}-1": "running" for number in range(len(REFUSED), len(REFUSED) + len(COVERED))
    }


def test_m22_a_device_replaced_by_a_link_is_no_way_out(bare, busybox, outside):
    paths = ("dev/null", "dev/console", "dev/pts/0", "dev/ptmx")
    for number, path in enumerate(paths):
        evil(bare, busybox, [(path, outside / "secret")], name=f"evil:{number}")
    services = {f"s{number}": {"image": f"evil:{number}"} for number in range(len(paths))}
    bare.write(json.dumps({"name": "x", "services": services}))

    bare.run("up", "-d", "--wait")
    for name in services:
        bare.run("-p", "x", "exec", "-T", name, "sh", "-c", "echo dead > /dev/null")

    assert (outside / "secret").read_text() == "of the host"


def test_m28_a_volume_is_filled_from_inside_the_image_only(bare, busybox, outside):
    evil(bare, busybox, [("data", outside), ("data2", "../../../../../.." + str(outside))])
    bare.write(
        STACK.format(more="    volumes: ['one:/data', 'two:/data2']\nvolumes: {one: , two: }")
    )

    done = bare.try_("up", "-d", "--wait")

    volumes = bare.home / "data/volumes"
    found = [path for path in volumes.rglob("*") if path.name in ("hosts", "secret")]
    assert found == []
    assert "Traceback" not in done.err


def test_m20_labels_of_an_image_steer_nothing(bare, busybox):
    labels = {
        "run.oci.hooks.stdout": "/tmp/x",
        "run.oci.handler": "krun",
        "io.containerd.runc": "x",
        "pyorch.stack": "other",
        "pyorch.service": "other",
    }
    evil(bare, busybox, config={"Labels": labels})
    bare.write(STACK.format(more=""))

    bare.run("up", "-d", "--wait")

    (config,) = (bare.home).rglob("config.json")
    annotations = json.loads(config.read_text()).get("annotations", {})
    assert not set(annotations) & set(labels)
    assert list(bare.ps("x")) == ["x-a-1"]


def test_m29_f40_a_healthcheck_that_forks_and_floods_is_ended(bare, busybox):
    check = {
        "Test": ["CMD-SHELL", "sleep 1000 & while true; do echo yyyyyyyyyyyyyyyyyyyyyyy; done"],
        "Interval": 10**9,
        "Timeout": 10**9,
        "Retries": 1,
    }
    evil(bare, busybox, config={"Healthcheck": check})
    bare.write(STACK.format(more="").replace("    healthcheck: {disable: true}\n", ""))

    bare.run("up", "-d")
    bare.until("x", lambda state: any(one["health"] == "unhealthy" for one in state["replicas"]))
    bare.run("-p", "x", "down", "-t", "0")

    assert bare.processes("x/a.1") == []


def test_m30_an_image_with_a_great_many_layers_runs(bare, busybox):
    """Every one of them is mounted: the last file of the last one is there."""
    layers = [busybox.read_bytes()]
    for number in range(100):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            info = tarfile.TarInfo(f"layer{number}")
            archive.addfile(info)
        layers.append(stream.getvalue())
    layout = write_layout(bare.home / "layout", *layers)
    bare.run("image", "load", str(layout), "--name", "evil")
    bare.write(STACK.format(more=""))

    bare.run("up", "-d", "--wait")

    assert bare.run("-p", "x", "exec", "-T", "a", "ls", "/layer99") == "/layer99\n"


def test_f37_pruning_beside_pulls_and_stacks_takes_nothing_they_need(bare, busybox, registry):
    evil(bare, busybox)
    bare.write(STACK.format(more=""))
    bare.run("up", "-d", "--wait")
    # What comes next is another image: the first is needed by a generation only.
    evil(bare, busybox, config={"Labels": {"is": "other"}})
    for number in range(3):
        bare.run("image", "push", "evil", f"{registry}/evil:{number}")
    bare.run("image", "rm", "--force", "evil")
    bare.write(STACK.format(more="").replace("image: evil", f"image: '{registry}/evil:0'"))

    for number in range(3):
        beside = [
            bare.start("image", "prune", "-a"),
            bare.start("image", "pull", f"{registry}/evil:{number}"),
        ]
        bare.run("up", "-d", "--wait", "--force-recreate")
        for one in beside:
            _, told = one.communicate()
            assert one.returncode == 0, told
        assert bare.run("-p", "x", "exec", "-T", "a", "echo", "alive") == "alive\n"

    bare.run("image", "prune", "-a")
    bare.run("-p", "x", "rollback", "--wait", "1")
    assert bare.run("-p", "x", "exec", "-T", "a", "echo", "alive") == "alive\n"
    assert "every byte" in bare.try_("doctor", "--deep").out
