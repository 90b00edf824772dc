"""What is written down of a container is read by older and newer daemons."""

import json
from pathlib import Path

import pytest

from runtime.oci import records
from runtime.oci.records import Record, RunState
from runtime.types import (
    ContainerConfig,
    ContainerId,
    Digest,
    IoKind,
    IoRate,
    Limits,
    LogConfig,
    LogDriver,
    Mount,
    MountKind,
)

WEB = ContainerId("shop.web.1")
CONFIG = ContainerConfig(
    id=WEB,
    image=Digest("sha256:1"),
    cgroup="other/place",
    log=Path("/var/log/web"),
    hostname="web",
    command=("sleep", "inf"),
    environment={"A": "b", "GONE": None},
    mounts=(Mount(kind=MountKind.FILE, target="/x", content=b"hush"),),
    limits=Limits(
        io_weights=(("/dev/a", 3),),
        io_rates=(IoRate(kind=IoKind.READS, device="/dev/a", rate=1),),
    ),
    ulimits={"nofile": (1, 2)},
    extra_hosts=(("a", "10.0.0.1"),),
    netns=Path("/run/netns"),
    logging=LogConfig(driver=LogDriver.SYSLOG, attributes={"a": "b"}),
)


@pytest.fixture
def path(tmp_path):
    """Where the record of a container is."""
    folder = tmp_path / WEB
    folder.mkdir()
    return folder / "record.json"


def test_a_record_is_read_as_it_was_written_without_what_files_hold(path):
    records.save_record(path, Record(config=CONFIG, created_wall=1.5, fingerprint="f"))

    found = records.load_record(path)

    assert b"hush" not in path.read_bytes()
    assert found.config.mounts == (Mount(kind=MountKind.FILE, target="/x"),)
    assert found.config.limits == CONFIG.limits
    assert {one: getattr(found.config, one) for one in CONFIG.__slots__ if one != "mounts"} == {
        one: getattr(CONFIG, one) for one in CONFIG.__slots__ if one != "mounts"
    }
    assert (found.created_wall, found.fingerprint) == (1.5, "f")


def test_f46_a_record_of_another_version_is_read_for_what_both_know(path):
    records.save_record(path, Record(config=CONFIG, created_wall=1.5, fingerprint="f"))
    document = json.loads(path.read_bytes())
    document["later"] = document["config"]["later"] = document["config"]["limits"]["later"] = 1
    for earlier in (document["config"], document["config"]["logging"]):
        earlier["later"] = {"x": []}
    for missing in ("cgroup_host", "ulimits", "remarks"):
        del document["config"][missing]
    del document["config"]["limits"]["io_rates"], document["config"]["mounts"][0]["recursive"]
    path.write_text(json.dumps(document))

    found = records.load_record(path).config

    assert (found.id, found.cgroup, found.command) == (WEB, CONFIG.cgroup, CONFIG.command)
    assert found.logging == CONFIG.logging
    assert (found.cgroup_host, found.ulimits, found.limits.io_rates) == (False, {}, ())


@pytest.mark.parametrize("text", ["", "{}", "[]", "\x00" * 9, '{"config": {"id": 1}}'])
def test_a_container_whose_record_cannot_be_read_is_known_by_its_name(path, text):
    path.write_text(text)

    found = records.load_record(path)

    assert (found.config.id, found.config.cgroup) == (WEB, "shop/web.1")
    assert found.config.labels == {}
    assert found.config.logging.driver is LogDriver.NONE


def test_a_folder_that_is_not_called_as_a_container_is_none(path):
    path.write_text("{}")
    copy = path.parent.with_name("shop.web.1.bak")
    path.parent.rename(copy)

    assert records.load_record(copy / path.name) is None
    assert records.load_record(path) is None


def test_f46_the_state_of_a_run_is_read_for_what_both_versions_know(tmp_path):
    state = RunState(run=2, pid=1, start_ticks=3, boot="b", started=1.0, code=3, why="x")
    path = tmp_path / "state.json"
    records.save_state(path, state)
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, "later": 1}))

    assert records.load_state(path) == state
    path.write_text("{}")
    assert records.load_state(path) is None
