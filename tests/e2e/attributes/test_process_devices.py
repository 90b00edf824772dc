"""Devices: by path, by number, and as their makers describe them."""

import json
import os
import stat
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

STACK = """
name: devices
x-idle: &idle
  image: busybox
  command: sleep 1000
  stop_grace_period: 0s
services:
  plain: {<<: *idle, cap_add: [MKNOD]}
  named:
    <<: *idle
    devices:
      - /dev/fuse
      - /dev/zero:/dev/nothing
      - {source: /dev/loop-control, target: /dev/loops, permissions: r}
      - /dev/null:/opt/null
  several: {<<: *idle, devices: ['/dev/net:/dev/nets', '/dev/loop-c*', '/dev/r*om:/dev/chance']}
  ruled: {<<: *idle, cap_add: [MKNOD], device_cgroup_rules: ['c 10:229 rwm', 'c 1:* r']}
  described: {<<: *idle, devices: ['pyorch.test/thing=one']}
  gpu: {<<: *idle, gpus: [{device_ids: [G-1]}], user: web}
  gpus:
    <<: *idle
    gpus:
      - {count: 1, capabilities: [gpu], options: {a: b}}
      - {driver: amd, device_ids: [A-1], capabilities: [gpu]}
  reserved:
    <<: *idle
    deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}}
  reserved-by-id:
    <<: *idle
    deploy:
      resources:
        reservations:
          devices:
            - {driver: amd, device_ids: [A-1], capabilities: [gpu], options: {a: b}}
"""

THINGS = {
    "cdiVersion": "0.6.0",
    "kind": "pyorch.test/thing",
    "containerEdits": {"env": ["ALL=yes"]},
    "devices": [
        {
            "name": "one",
            "containerEdits": {
                "env": ["THING=one", "PATH=/things:/bin"],
                "deviceNodes": [
                    {"path": "/dev/thing", "hostPath": "/dev/zero", "permissions": "r"}
                ],
                "hooks": [],
                "additionalGids": [4711],
            },
        }
    ],
}
GPUS = """
cdiVersion: 0.6.0
kind: nvidia.com/gpu
devices:
- name: G-1
  containerEdits:
    deviceNodes: [{path: /dev/nvidia0, hostPath: /dev/null}]
- name: "0"
  containerEdits:
    deviceNodes: [{path: /dev/nvidia0, type: c, major: 1, minor: 5, fileMode: 438}]
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
"""
OTHER_GPUS = """
cdiVersion: 0.6.0
kind: amd.com/gpu
devices:
- name: A-1
  containerEdits:
    deviceNodes: [{path: /dev/kfd, hostPath: /dev/zero}]
"""


def prepare(pyorch):
    folder = pyorch.home / "cdi"
    folder.mkdir()
    pyorch.environment["PYORCH_CDI"] = str(folder)
    (folder / "lib").write_text("driver")
    (folder / "hook.sh").write_text(f"#!/bin/sh\ncat > {folder}/hooked\n")
    (folder / "hook.sh").chmod(0o755)
    edits = THINGS["devices"][0]["containerEdits"]
    edits["mounts"] = [{"hostPath": str(folder / "lib"), "containerPath": "/usr/lib/driver"}]
    edits["hooks"] = [{"hookName": "createRuntime", "path": str(folder / "hook.sh")}]
    (folder / "things.json").write_text(json.dumps(THINGS))
    (folder / "nvidia.yaml").write_text(GPUS)
    (folder / "amd.yaml").write_text(OTHER_GPUS)


def node(shown, service, path):
    """Return kind, numbers and mode of a device in a container, as the host sees it."""
    status = os.stat(f"/proc/{shown.pid(service)}/root{path}")
    return (
        "c" if stat.S_ISCHR(status.st_mode) else "b",
        (os.major(status.st_rdev), os.minor(status.st_rdev)),
        stat.S_IMODE(status.st_mode),
    )


@pytest.mark.attribute("services.*.devices")
def test_devices_have_the_numbers_and_the_mode_of_the_hosts(shown):
    found = os.stat("/dev/fuse")
    numbers = (os.major(found.st_rdev), os.minor(found.st_rdev))

    assert node(shown, "named", "/dev/fuse") == ("c", numbers, stat.S_IMODE(found.st_mode))
    assert node(shown, "named", "/dev/nothing")[1] == (1, 5)
    assert shown.sh("named", "dd if=/dev/nothing bs=4 count=1 2>/dev/null | wc -c") == "4"
    assert shown.sh("named", ": < /dev/loops && echo read") == "read"
    assert "not permitted" in shown.sh("named", ": > /dev/loops"), "it may be read alone"
    assert shown.sh("named", "echo x > /opt/null && echo written") == "written"


def test_devices_that_were_not_asked_for_cannot_be_used(shown):
    assert "not permitted" in shown.sh("plain", "busybox mknod /dev/f c 10 229; cat /dev/f")


def test_devices_take_directories_and_patterns(shown):
    assert node(shown, "several", "/dev/nets/tun")[1] == (10, 200)
    assert node(shown, "several", "/dev/loop-control")[1] == (10, 237)
    assert node(shown, "several", "/dev/chance/random")[1] == (1, 8)


@pytest.mark.attribute("services.*.device_cgroup_rules")
def test_device_cgroup_rules_allow_nodes_that_are_made_later(shown):
    said = shown.sh("ruled", "busybox mknod /dev/f c 10 229; dd if=/dev/f count=0 && echo opened")

    assert "opened" in said


def test_devices_by_the_names_of_their_makers_bring_everything_along(shown):
    folder = shown.pyorch.home / "cdi"

    assert node(shown, "described", "/dev/thing")[1] == (1, 5)
    assert shown.sh("described", "echo $ALL $THING $PATH") == "yes one /things:/bin"
    assert shown.run("described", "cat", "/usr/lib/driver") == "driver"
    assert "4711" in shown.status("described")["Groups"].split()
    assert json.loads((folder / "hooked").read_text())["id"] == "devices.described.1"


@pytest.mark.attribute("services.*.gpus.*.device_ids")
def test_gpus_are_named_by_id(shown):
    assert node(shown, "gpu", "/dev/nvidia0")[1] == (1, 3)
    assert shown.sh("gpu", "echo $NVIDIA_VISIBLE_DEVICES") == "void"


@pytest.mark.attribute("services.*.gpus")
def test_gpus_are_counted_or_named_of_whoever_makes_them(shown):
    assert node(shown, "gpus", "/dev/nvidia0")[1] == (1, 5)
    assert node(shown, "gpus", "/dev/kfd")[1] == (1, 5)
    assert "kfd" not in shown.run("gpu", "ls", "/dev").split()


@pytest.mark.attribute("services.*.deploy.resources.reservations.devices")
def test_deploy_reservations_devices_are_counted_from_the_first(shown):
    assert node(shown, "reserved", "/dev/nvidia0") == ("c", (1, 5), 0o666)
    assert node(shown, "reserved-by-id", "/dev/kfd")[1] == (1, 5)
    assert "nvidia0" not in shown.run("reserved-by-id", "ls", "/dev").split()


REFUSED = {
    "devices: [/dev/no-such-device]": "`/dev/no-such-device`: the host has no such device",
    "devices: ['/dev/no-such-*']": "nothing on the host matches it",
    "devices: [/etc/passwd]": "`/etc/passwd`: it is no device",
}


@pytest.mark.parametrize("text", REFUSED)
def test_devices_the_host_does_not_have_are_told(begun, text):
    stack = f"name: no\nservices:\n  a: {{image: busybox, command: sleep 9, {text}}}\n"
    begun.write(stack, "no.yml")

    done = begun.try_("-f", "no.yml", "up", "-d", "--wait")
    begun.try_("-f", "no.yml", "down")

    assert done.code == 1
    assert REFUSED[text] in done.err


@pytest.mark.parametrize(
    ("text", "cause", "hint"),
    [
        ("gpus: all", "`nvidia.com/gpu=all`: nothing in", "nvidia-ctk cdi generate"),
        ("devices: ['pyorch.test/thing=two']", "describes it", "there are pyorch.test/thing=one"),
        ("devices: ['pyorch.test/after=x']", "hooks `poststop` are not run", ""),
    ],
)
def test_gpus_and_devices_nobody_describes_are_told_before_anything_is_made(
    pyorch, text, cause, hint
):
    folder = pyorch.home / "cdi"
    folder.mkdir()
    pyorch.environment["PYORCH_CDI"] = str(folder)
    pyorch.run("daemon", "stop")
    thing = {"kind": "pyorch.test/thing", "devices": [{"name": "one", "containerEdits": {}}]}
    hooks = [{"hookName": "poststop", "path": "/bin/true"}]
    after = {
        "kind": "pyorch.test/after",
        "devices": [{"name": "x", "containerEdits": {"hooks": hooks}}],
    }
    (folder / "a.json").write_text(json.dumps(thing))
    (folder / "b.json").write_text(json.dumps(after))
    pyorch.write(
        "name: no\nservices:\n  first: {image: busybox, command: sleep 9}\n"
        f"  second: {{image: busybox, command: sleep 9, {text}}}\n"
    )

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "services.second: " in done.err
    assert cause in done.err
    assert hint in done.err
    assert "Created" not in done.err
    assert pyorch.run("ls").splitlines()[1:] == []


def test_runtime_that_is_not_here_is_told_before_anything_is_made(pyorch):
    pyorch.write(
        "name: no\nservices:\n  first: {image: busybox, command: sleep 9}\n"
        "  second: {image: busybox, command: sleep 9, runtime: runsc}\n"
        "  third: {image: busybox, command: sleep 9, runtime: other}\n"
    )

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "services.second: cannot use runtime `runsc`: it is not installed" in done.err
    assert "Created" not in done.err
    assert pyorch.run("ls").splitlines()[1:] == []


@pytest.mark.attribute("services.*.runtime")
def test_runtime_is_the_program_that_is_asked_for(pyorch, tmp_path):
    program = tmp_path / "my-runc"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec /usr/sbin/runc "$@"\n')
    program.chmod(0o755)
    pyorch.write(
        f"name: rt\nservices:\n  a: {{image: busybox, command: sleep 99, runtime: {program},"
        " stop_grace_period: 0s}\n  b: {image: busybox, command: sleep 99, runtime: runc,"
        " stop_grace_period: 0s}\n"
    )

    pyorch.run("up", "-d", "--wait")

    calls = Path(tmp_path, "calls").read_text()
    assert "create --bundle" in calls
    assert "rt.a.1" in calls
    assert "rt.b.1" not in calls
    assert pyorch.run("-p", "rt", "exec", "-T", "a", "echo", "inside") == "inside\n"
