"""What runs, with which rights and limits, as `config.json` says it."""

import json

import pytest

from runtime.errors import InvalidError, NotFoundError
from runtime.oci import rlimits
from runtime.oci.bundle import command_line
from runtime.oci.capabilities import ALL, DEFAULT, sets_of, wanted
from runtime.oci.devices import describe_nodes
from runtime.oci.namespaces import namespaces, shared_memory
from runtime.oci.seccomp import load_seccomp
from runtime.oci.shortfalls import shortfalls
from runtime.types import ContainerConfig, ContainerId, Device, Digest, ImageConfig

IMAGE = ImageConfig(entrypoint=("/entry",), command=("of", "image"))


def config(tmp_path, **more):
    return ContainerConfig(
        id=ContainerId("s.a.1"), image=Digest("sha256:x"), cgroup="s/a.1", log=tmp_path,
        hostname="a-1", netns=tmp_path, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        (None, None, "/entry of image"),
        (None, ("mine",), "/entry mine"),
        (None, (), "/entry of image"),
        (("/mine",), None, "/mine"),
        (("/mine",), (), "/mine"),
        (("/mine",), ("words",), "/mine words"),
        ((), None, "of image"),
        ((), (), "of image"),
        ((), ("words",), "words"),
    ],
)
def test_the_command_line_is_put_together_as_docker_does(tmp_path, entrypoint, command, expected):
    found = command_line(config(tmp_path, entrypoint=entrypoint, command=command), IMAGE)

    assert " ".join(found) == expected


def test_a_container_without_anything_to_run_is_refused(tmp_path):
    with pytest.raises(InvalidError, match="neither the image nor the stack file"):
        command_line(config(tmp_path), ImageConfig())


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), set(DEFAULT)),
        (("net_admin",), ("CAP_CHOWN",), {*DEFAULT, "CAP_NET_ADMIN"} - {"CAP_CHOWN"}),
        ((), ("ALL",), set()),
        (("KILL",), ("all",), {"CAP_KILL"}),
        (("KILL",), ("KILL",), set(DEFAULT)),
        (("ALL",), (), set(ALL)),
        (("ALL",), ("SYS_TIME",), set(ALL) - {"CAP_SYS_TIME"}),
        (("ALL",), ("ALL",), set(ALL)),
    ],
)
def test_capabilities_are_dropped_first_and_added_after(tmp_path, add, drop, expected):
    assert wanted(config(tmp_path, cap_add=add, cap_drop=drop)) == expected


@pytest.mark.parametrize("key", ["cap_add", "cap_drop"])
def test_a_capability_nobody_knows_is_refused(tmp_path, key):
    with pytest.raises(InvalidError, match="CAP_NET_ADMN"):
        wanted(config(tmp_path, **{key: ("NET_ADMN",)}))


def test_who_is_not_root_has_a_ceiling_and_nothing_below_it():
    assert sets_of(DEFAULT, 0).keys() == {"bounding", "effective", "permitted"}
    assert sets_of(DEFAULT, 1000).keys() == {"bounding"}


def test_limits_are_kept_within_what_the_machine_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(rlimits, "ceiling", lambda name: 500)
    asked = config(tmp_path, ulimits={"nofile": (100, 900), "nproc": (-1, -1), "core": (0, 0)})

    found = {one["type"]: (one["soft"], one["hard"]) for one in rlimits.rlimits(asked.ulimits)}

    assert found == {
        "RLIMIT_NOFILE": (100, 500), "RLIMIT_NPROC": (500, 500), "RLIMIT_CORE": (0, 0),
    }  # fmt: skip
    assert [one.split(":")[0] for one in shortfalls(asked)] == ["ulimits.nofile", "ulimits.nproc"]


def test_a_limit_nobody_knows_is_refused():
    with pytest.raises(InvalidError, match="no such resource limit"):
        rlimits.rlimits({"nofiles": (1, 1)})


def test_devices_are_made_below_dev_and_mounted_elsewhere(tmp_path):
    given = (Device(source="/dev/null", target="/dev/x", permissions="r"),
             Device(source="/dev/null", target="/opt/x"))  # fmt: skip

    found = describe_nodes(config(tmp_path, devices=given, device_rules=("c 10:* rw",)))

    assert [(one["path"], one["major"], one["minor"]) for one in found.made] == [("/dev/x", 1, 3)]
    assert [(one["destination"], one["source"]) for one in found.mounted] == [
        ("/opt/x", "/dev/null")
    ]
    assert found.rules[0] == {"allow": False, "access": "rwm"}
    assert {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"} in found.rules
    assert found.rules[-1] == {"allow": True, "type": "c", "major": 10, "access": "rw"}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"devices": (Device(source="/dev/nothing-here"),)}, NotFoundError),
        ({"devices": (Device(source="/dev/nothing-*"),)}, NotFoundError),
        ({"devices": (Device(source="/etc/hostname"),)}, InvalidError),
        ({"devices": (Device(source="/dev/null", permissions="x"),)}, InvalidError),
        ({"device_rules": ("c 1:3",)}, InvalidError),
    ],
)
def test_devices_that_are_none_are_refused(tmp_path, given, error):
    with pytest.raises(error):
        describe_nodes(config(tmp_path, **given))


def test_a_directory_stands_for_its_devices_and_links_are_left_alone(tmp_path):
    folder = tmp_path / "nodes"
    folder.mkdir()
    (folder / "link").symlink_to("/dev/null")
    (folder / "file").write_text("")

    found = describe_nodes(config(tmp_path, devices=(Device(source=str(folder)),)))

    assert found.made == found.mounted == []


@pytest.mark.parametrize(
    ("more", "missing"),
    [
        ({}, set()),
        ({"pid": "host"}, {"pid"}),
        ({"ipc": "host"}, {"ipc"}),
        ({"uts_host": True}, {"uts"}),
        ({"cgroup_host": True}, {"cgroup"}),
    ],
)
def test_what_is_the_hosts_is_no_namespace(tmp_path, more, missing):
    found = {one["type"] for one in namespaces(config(tmp_path, **more), tmp_path)}

    assert found == {"mount", "pid", "ipc", "uts", "cgroup", "network"} - missing


def test_memory_is_shared_at_the_place_of_whose_it_is(tmp_path):
    giving, taking = config(tmp_path, ipc="shareable"), config(tmp_path, ipc="s.b.1")

    places = [
        next(one["path"] for one in namespaces(each, tmp_path) if one["type"] == "ipc")
        for each in (giving, taking)
    ]
    assert places == [f"{tmp_path}/s.a.1/ipc", f"{tmp_path}/s.b.1/ipc"]
    assert shared_memory(taking, tmp_path)[0]["source"] == f"{tmp_path}/s.b.1/shm"
    assert shared_memory(config(tmp_path, ipc="none"), tmp_path) == []


RULE = {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}}


def test_rules_of_a_profile_hold_for_who_has_the_capabilities():
    profile = json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [RULE]})

    assert load_seccomp(profile, ())["syscalls"] == []
    assert load_seccomp(profile, ("CAP_SYS_ADMIN",))["syscalls"][0]["names"] == ["mount"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"defaultAction": 1, "syscalls": [1]}'])
def test_what_is_no_profile_is_refused(text):
    with pytest.raises(InvalidError, match="no seccomp profile"):
        load_seccomp(text, ())
