"""`platform`: which of a name's images a service runs from, and what no machine here runs."""

import json
import os
import urllib.request

import pytest

from runtime.image.manifest import OCI_INDEX, OCI_MANIFEST
from runtime.oci.emulation import OF_32_BITS

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the images are for amd64"),
]

needs_386 = pytest.mark.skipif(
    not OF_32_BITS.exists(), reason="this kernel runs no programs of 386"
)

STACK = """
name: plat
x-web: &web {{image: '{image}', command: [sleep, '1000'], stop_grace_period: 0s}}
services:
  usual: *web
  newer: {{<<: *web, platform: linux/amd64/v2}}
"""


@pytest.fixture
def several(bare, busybox, registry):
    """A name at a registry that stands for an image of amd64, and for one of amd64/v2."""
    entries = []
    for variant in ("", "v2"):
        name = f"{registry}/app:part{variant}"
        bare.run("image", "import", str(busybox), name, "--env", f"VARIANT={variant or 'none'}")
        bare.run("image", "push", name)
        found = json.loads(bare.run("image", "inspect", name))[0]
        place = f"http://{registry}/v2/app/manifests/{found['Id']}"
        asked = urllib.request.Request(place, headers={"Accept": OCI_MANIFEST})
        with urllib.request.urlopen(asked) as answer:
            size = len(answer.read())
        platform = {"os": "linux", "architecture": "amd64"} | ({"variant": "v2"} if variant else {})
        entries.append(
            {"mediaType": OCI_MANIFEST, "digest": found["Id"], "size": size, "platform": platform}
        )
        bare.run("image", "rm", name)
    bare.run("image", "prune", "-a")
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    request = urllib.request.Request(
        f"http://{registry}/v2/app/manifests/1",
        data=json.dumps(index).encode(),
        method="PUT",
        headers={"Content-Type": OCI_INDEX},
    )
    urllib.request.urlopen(request).close()
    return f"{registry}/app:1"


def variant(pyorch, service):
    """Return which image a service runs from, as the image's own variable says inside."""
    lines = pyorch.run("-p", "plat", "exec", "-T", service, "env").splitlines()
    return next(one.removeprefix("VARIANT=") for one in lines if one.startswith("VARIANT="))


@pytest.mark.attribute("services.*.platform")
def test_two_services_run_from_one_name_for_different_platforms(bare, several):
    bare.write(STACK.format(image=several))

    bare.run("up", "-d", "--wait")

    assert (variant(bare, "usual"), variant(bare, "newer")) == ("none", "v2")
    assert {one["Image"] for one in bare.ps("plat").values()} == {several}
    before = {name: bare.main_process(f"plat/{name}.1") for name in ("usual", "newer")}
    bare.run("pull")
    bare.run("up", "-d", "--wait")
    assert {name: bare.main_process(f"plat/{name}.1") for name in before} == before


def test_a_locked_stack_runs_on_what_was_locked_for_each_platform(bare, several):
    bare.write(STACK.format(image=several))
    bare.run("lock")

    bare.run("up", "-d", "--wait", "--locked")

    locked = json.loads((bare.work / "stack.lock").read_text())["images"][several]
    assert sorted(locked) == ["linux/amd64", "linux/amd64/v2"]
    assert (variant(bare, "usual"), variant(bare, "newer")) == ("none", "v2")
    pinned = bare.run("config", "--lock-image-digests")
    assert all(f"{several}@{digest}" in pinned for digest in locked.values())


@needs_386
def test_what_is_here_under_a_name_is_used_where_it_is_for_the_platform(pyorch):
    service = "{image: busybox, command: [sleep, '1000'], pull_policy: never, platform: PLATFORM}"
    text = f"name: plat\nservices:\n  web: {service}\n"
    pyorch.write(text.replace("PLATFORM", "x86_64"))
    pyorch.run("up", "-d", "--wait")
    pyorch.run("down", "-t", "0")

    pyorch.write(text.replace("PLATFORM", "linux/386"))
    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "image `busybox (linux/386)` is not in the store" in done.err


@pytest.mark.parametrize("how", ["key", "variable"])
def test_a_platform_nothing_here_runs_is_refused_before_anything_is_done(pyorch, how):
    text = "name: plat\nservices:\n  web: {image: busybox, command: [sleep, '1000']}\n"
    if how == "key":
        text = text.replace("command", "platform: linux/mips64le, command")
    else:
        pyorch.environment["DOCKER_DEFAULT_PLATFORM"] = "linux/mips64le"
    pyorch.write(text)

    done = pyorch.try_("up", "-d")

    assert done.code == 1
    assert "services.web: cannot run programs of `linux/mips64le`: this machine is" in done.err
    assert "register an emulator" in done.err
    assert "Traceback" not in done.err
    assert pyorch.run("ls").splitlines()[1:] == []
    assert pyorch.try_("plan").code == 1


@needs_386
def test_a_platform_a_registry_does_not_have_is_told_with_those_it_has(bare, several):
    bare.write(STACK.format(image=several).replace("amd64/v2", "386"))

    done = bare.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "there is none for linux/386, only linux/amd64, linux/amd64/v2" in done.err
