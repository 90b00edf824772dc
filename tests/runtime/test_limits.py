"""Limits in the words of the runtime and of both versions of control groups."""

from pathlib import Path

import pytest

from runtime import cgroups, limiting
from runtime.errors import ConflictError, InvalidError, UnavailableError
from runtime.limits import changes, oci_resources, settings
from runtime.types import IoKind, IoRate, Limits

MIB = 2**20
DISK = "/dev/disk"
DEVICES = {DISK: (8, 16)}
EVERYTHING = Limits(
    cpus=1.5,
    cpu_shares=512,
    cpuset="0-1",
    memory=64 * MIB,
    memory_reservation=32 * MIB,
    memory_swap=96 * MIB,
    memory_swappiness=10,
    oom_kill_disable=True,
    pids=50,
    io_weight=300,
    io_weights=((DISK, 400),),
    io_rates=(
        IoRate(kind=IoKind.READ_BYTES, device=DISK, rate=MIB),
        IoRate(kind=IoKind.WRITES, device=DISK, rate=30),
    ),
)


def files(limits, *, unified):
    return [(one.file, one.value) for one in settings(limits, DEVICES, unified=unified)]


def written(before, after, *, unified):
    old, new = (settings(one, DEVICES, unified=unified) for one in (before, after))
    return [(one.file, one.value) for one in changes(old, new)]


def test_the_runtime_is_told_every_limit():
    disk = {"major": 8, "minor": 16}

    assert oci_resources(EVERYTHING, DEVICES) == {
        "memory": {
            "limit": 64 * MIB,
            "reservation": 32 * MIB,
            "swap": 96 * MIB,
            "swappiness": 10,
            "disableOOMKiller": True,
        },
        "cpu": {"quota": 150_000, "period": 100_000, "shares": 512, "cpus": "0-1"},
        "blockIO": {
            "weight": 300,
            "weightDevice": [{**disk, "weight": 400}],
            "throttleReadBpsDevice": [{**disk, "rate": MIB}],
            "throttleWriteIOPSDevice": [{**disk, "rate": 30}],
        },
        "pids": {"limit": 50},
    }


def test_the_runtime_is_told_nothing_of_what_is_unlimited():
    assert oci_resources(Limits(pids=None), {}) == {}


def test_on_version_1_every_limit_is_a_file():
    assert files(EVERYTHING, unified=False) == [
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "150000"),
        ("cpu.shares", "512"),
        ("cpuset.cpus", "0-1"),
        ("memory.limit_in_bytes", "67108864"),
        ("memory.memsw.limit_in_bytes", "100663296"),
        ("memory.soft_limit_in_bytes", "33554432"),
        ("memory.swappiness", "10"),
        ("memory.oom_control", "1"),
        ("pids.max", "50"),
        ("blkio.bfq.weight", "300"),
        ("blkio.bfq.weight_device", "8:16 400"),
        ("blkio.throttle.read_bps_device", "8:16 1048576"),
        ("blkio.throttle.write_iops_device", "8:16 30"),
    ]


def test_on_version_2_every_limit_is_a_file_but_what_that_does_not_know():
    assert files(EVERYTHING, unified=True) == [
        ("cpu.max", "150000 100000"),
        ("cpu.weight", "20"),
        ("cpuset.cpus", "0-1"),
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "33554432"),
        ("pids.max", "50"),
        ("io.weight", "default 2930"),
        ("io.bfq.weight", "8:16 400"),
        ("io.max", "8:16 rbps=1048576"),
        ("io.max", "8:16 wiops=30"),
    ]


@pytest.mark.parametrize(
    ("limits", "swap", "beyond"),
    [
        (Limits(memory=64 * MIB), 128 * MIB, str(64 * MIB)),
        (Limits(memory=64 * MIB, memory_swap=64 * MIB), 64 * MIB, "0"),
        (Limits(memory=64 * MIB, memory_swap=-1), -1, "max"),
    ],
)
def test_there_is_as_much_swap_as_memory_unless_something_else_is_said(limits, swap, beyond):
    assert oci_resources(limits, {})["memory"]["swap"] == swap
    assert ("memory.memsw.limit_in_bytes", str(swap)) in files(limits, unified=False)
    assert ("memory.swap.max", beyond) in files(limits, unified=True)


def test_a_quota_may_be_given_in_microseconds():
    limits = Limits(cpu_quota=20_000, cpu_period=50_000, pids=None)

    assert oci_resources(limits, {}) == {"cpu": {"quota": 20_000, "period": 50_000}}
    assert files(limits, unified=True) == [("cpu.max", "20000 50000")]


@pytest.mark.parametrize(("shares", "weight"), [(2, "1"), (1024, "39"), (262144, "10000")])
def test_shares_become_weights_as_the_runtimes_have_it(shares, weight):
    assert files(Limits(cpu_shares=shares, pids=None), unified=True) == [("cpu.weight", weight)]


@pytest.mark.parametrize("unified", [False, True])
def test_only_what_differs_is_written(unified):
    assert written(EVERYTHING, EVERYTHING, unified=unified) == []
    assert written(Limits(pids=10), Limits(pids=20), unified=unified) == [("pids.max", "20")]


def test_what_is_no_longer_limited_goes_back_to_what_it_was():
    nothing = Limits(pids=None)

    assert ("cpu.max", "max 100000") in written(EVERYTHING, nothing, unified=True)
    assert ("io.max", "8:16 rbps=max") in written(EVERYTHING, nothing, unified=True)
    assert ("io.bfq.weight", "8:16 default") in written(EVERYTHING, nothing, unified=True)
    assert ("memory.memsw.limit_in_bytes", "-1") in written(EVERYTHING, nothing, unified=False)
    assert ("blkio.throttle.read_bps_device", "8:16 0") in written(
        EVERYTHING, nothing, unified=False
    )


@pytest.mark.parametrize("text", ["0", "0-3", "0,2-3"])
def test_sets_of_processors_are_read_as_the_kernel_writes_them(text):
    assert limiting.processors(text) >= {0}


def test_what_is_no_block_device_is_refused(tmp_path):
    rate = IoRate(kind=IoKind.READS, device=str(tmp_path), rate=1)

    with pytest.raises(InvalidError, match="is no block device"):
        limiting.numbers_of(Limits(io_rates=(rate,)), "shop.web.1")


# ── in a group that exists ───────────────────────────────────────────────────────────────


@pytest.fixture
def version_2(tmp_path, monkeypatch):
    """A group of version 2 made of plain files; `files` are its own."""
    group = tmp_path / "g"
    group.mkdir()
    for name in ("cpu.max", "memory.max", "memory.swap.max", "memory.high", "memory.current"):
        (group / name).write_text("")
    (group / "memory.current").write_text("0\n")
    tree = cgroups.Hierarchy(tmp_path, frozenset())
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (tree,))
    return group


def test_a_limit_the_kernel_refuses_takes_back_those_before_it(version_2):
    before = Limits(cpus=1.0, pids=None)
    (version_2 / "cpu.max").write_text("100000 100000\n")

    with pytest.raises(UnavailableError, match=r"pids\.max = 5"):
        limiting.apply("/g", before, Limits(cpus=2.0, pids=5), "shop.web.1")

    assert (version_2 / "cpu.max").read_text() == "100000 100000\n"


def test_on_version_2_less_memory_than_is_used_kills_nobody(version_2):
    (version_2 / "memory.current").write_text(f"{80 * MIB}\n")

    with pytest.raises(ConflictError, match=f"it uses {80 * MIB} bytes of memory now"):
        limiting.apply("/g", Limits(), Limits(memory=64 * MIB), "shop.web.1")

    assert (version_2 / "memory.max").read_text() == ""
    assert (version_2 / "memory.high").read_text() == "max\n"


def test_what_version_2_does_not_know_is_named_and_left_out(version_2):
    fitting, lost = limiting.fit(Limits(memory_swappiness=5, oom_kill_disable=True, io_weight=20))

    assert fitting == Limits()
    assert [one.partition(":")[0] for one in lost] == [
        "mem_swappiness",
        "oom_kill_disable",
        "blkio_config.weight",
    ]


def test_on_version_2_weights_are_those_of_bfq_where_groups_have_its_own():
    weighed = Limits(io_weight=300, io_weights=((DISK, 400),), pids=None)

    found = settings(weighed, DEVICES, unified=True, bfq=True)

    assert [(one.file, one.value) for one in found] == [
        ("io.bfq.weight", "default 300"),
        ("io.bfq.weight", "8:16 400"),
    ]


@pytest.mark.parametrize(
    ("controllers", "costs", "kept"),
    [("cpu io memory", True, 300), ("cpu memory", True, None), ("cpu io memory", False, None)],
)
def test_on_version_2_a_weight_holds_where_it_is_handed_on_to_groups(
    version_2, monkeypatch, tmp_path, controllers, costs, kept
):
    monkeypatch.setattr(limiting, "BLOCK_DEVICES", tmp_path / "none")
    (version_2.parent / "cgroup.controllers").write_text(controllers)
    if costs:
        (version_2.parent / "io.cost.qos").touch()

    fitting, lost = limiting.fit(Limits(io_weight=300))

    assert fitting.io_weight == kept
    assert len(lost) == (kept is None)


def test_a_kernel_that_schedules_a_disk_by_bfq_has_weights(version_2, monkeypatch, tmp_path):
    queue = tmp_path / "sda" / "queue"
    queue.mkdir(parents=True)
    (queue / "scheduler").write_text("none [bfq]\n")
    monkeypatch.setattr(limiting, "BLOCK_DEVICES", tmp_path)
    (version_2.parent / "cgroup.controllers").write_text("io")

    assert limiting.fit(Limits(io_weight=300)) == (Limits(io_weight=300), ())


def test_this_machine_names_what_it_cannot_do_once():
    assert limiting.fit(Limits(memory=MIB))[1] == ()
    assert Path(limiting.ONLINE).exists()
