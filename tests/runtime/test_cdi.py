"""Descriptions of devices are read, and what is broken or not to be trusted is refused."""

import json
import os

import pytest

from runtime.errors import ConflictError, InvalidError, NotFoundError, UnsupportedError
from runtime.oci.cdi import resolve

KIND = "a.test/thing"


@pytest.fixture
def folders(tmp_path):
    found = (tmp_path / "etc", tmp_path / "run")
    for folder in found:
        folder.mkdir()
    return found


def describe(path, edits=None, *, common=None, name="one", kind=KIND):
    """Write a description with one device."""
    devices = [{"name": name, "containerEdits": edits or {}}]
    document = {"cdiVersion": "0.6.0", "kind": kind, "devices": devices}
    path.write_text(json.dumps(document | ({"containerEdits": common} if common else {})))


def test_nothing_is_read_where_nothing_is_asked_for(folders):
    (folders[0] / "bad.json").write_text("{")

    assert resolve([], folders).nodes == []


def test_what_all_devices_of_a_file_need_is_added_once(folders):
    document = {
        "kind": KIND,
        "containerEdits": {"mounts": [{"hostPath": "/lib/x", "containerPath": "/x"}]},
        "devices": [
            {"name": "a", "containerEdits": {"env": ["N=a", "A=1"]}},
            {"name": "b", "containerEdits": {"env": ["N=b"]}},
        ],
    }
    (folders[0] / "x.json").write_text(json.dumps(document))

    found = resolve([f"{KIND}=a", f"{KIND}=b"], folders)

    assert len(found.mounts) == 1
    assert found.environment == {"N": "b", "A": "1"}


def test_a_later_folder_overrides_an_earlier_one(folders):
    for folder in folders:
        describe(folder / "x.json", {"env": [f"FROM={folder.name}"]})

    assert resolve([f"{KIND}=one"], folders).environment == {"FROM": "run"}


def test_two_descriptions_of_one_device_are_a_conflict_only_for_who_asks(folders):
    for name in ("x.json", "y.json"):
        describe(folders[0] / name)
    describe(folders[0] / "z.json", name="two")

    with pytest.raises(ConflictError, match="describe it"):
        resolve([f"{KIND}=one"], folders)
    assert resolve([f"{KIND}=two"], folders).nodes == []


def test_a_device_nobody_describes_is_told_with_those_there_are(folders):
    describe(folders[1] / "x.json")

    with pytest.raises(NotFoundError) as refused:
        resolve([f"{KIND}=two"], folders)

    assert refused.value.hint == f"there are {KIND}=one"


def test_yaml_is_read_and_its_tags_are_not_obeyed(folders):
    text = f"kind: {KIND}\ndevices:\n- name: one\n  containerEdits: {{env: [A=b]}}\n"
    (folders[0] / "x.yaml").write_text(text)
    assert resolve([f"{KIND}=one"], folders).environment == {"A": "b"}

    (folders[0] / "x.yaml").write_text(text + "x: !!python/object/apply:os.getpid []\n")
    with pytest.raises(InvalidError):
        resolve([f"{KIND}=one"], folders)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"kind": 1, "devices": []}',
        '{"kind": "a/b"}',
        '{"kind": "a/b", "devices": 1}',
    ],
)
def test_what_is_no_description_is_refused(folders, text):
    (folders[0] / "x.json").write_text(text)

    with pytest.raises(InvalidError, match=r"x\.json"):
        resolve([f"{KIND}=one"], folders)


@pytest.mark.parametrize(
    "edits",
    [
        {"env": ["novalue"]},
        {"env": ["A=b\0c"]},
        {"deviceNodes": [{}]},
        {"deviceNodes": [{"path": "/dev/x", "major": "one"}]},
        {"mounts": [{"hostPath": "/x"}]},
        {"hooks": [{"hookName": "createRuntime"}]},
        {"additionalGids": ["x"]},
    ],
)
def test_edits_that_are_none_are_refused(folders, edits):
    describe(folders[0] / "x.json", edits)

    with pytest.raises(InvalidError):
        resolve([f"{KIND}=one"], folders)


@pytest.mark.parametrize(
    "edits",
    [
        {"hooks": [{"hookName": "poststop", "path": "/bin/true"}]},
        {"intelRdt": {"closID": "x"}},
        {"netDevices": [{"hostInterfaceName": "eth9", "name": "eth9"}]},
    ],
)
def test_edits_that_would_be_forgotten_are_refused(folders, edits):
    describe(folders[0] / "x.json", edits)

    with pytest.raises(UnsupportedError):
        resolve([f"{KIND}=one"], folders)


def test_a_device_the_host_does_not_have_is_told(folders):
    describe(folders[0] / "x.json", {"deviceNodes": [{"path": "/dev/no-such"}]})

    with pytest.raises(NotFoundError, match="the host has no such device"):
        resolve([f"{KIND}=one"], folders)


def test_a_node_has_the_numbers_of_the_hosts_unless_it_says_others(folders):
    nodes = [
        {"path": "/dev/a", "hostPath": "/dev/null"},
        {"path": "/dev/b", "hostPath": "/dev/null", "type": "b", "major": 7, "minor": 9},
    ]
    describe(folders[0] / "x.json", {"deviceNodes": nodes})

    first, second = resolve([f"{KIND}=one"], folders).nodes

    assert (first.kind, first.major, first.minor) == ("c", 1, 3)
    assert (second.kind, second.major, second.minor) == ("b", 7, 9)


def test_a_description_others_may_write_is_refused(folders):
    describe(folders[0] / "x.json")
    (folders[0] / "x.json").chmod(0o666)

    with pytest.raises(InvalidError, match="others than root may write it"):
        resolve([f"{KIND}=one"], folders)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_told_without_waiting(folders, make):
    make(folders[0] / "x.json", 0o600)

    with pytest.raises(InvalidError, match="it is no file"):
        resolve([f"{KIND}=one"], folders)
