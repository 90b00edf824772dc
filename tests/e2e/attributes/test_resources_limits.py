"""Limits of a service, as the kernel keeps them and as they are felt inside."""

import os
import secrets
from pathlib import Path

import pytest

from tests import groups
from tests.instance import Pyorch
from tests.patience import patient

pytestmark = pytest.mark.root

MIB = 2**20
STACK = """
name: lim
x-common: &common {{image: busybox, command: sleep 1000, stop_grace_period: 0s}}
services:
  free: *common
  one:
    <<: *common
    cpus: 0.5
    cpu_shares: 512
    cpuset: "0"
    mem_limit: 64m
    mem_reservation: 32m
    memswap_limit: 96m
    pids_limit: 20
    oom_score_adj: 500
  reserved:
    <<: *common
    deploy:
      resources:
        limits: {{cpus: "0.25", memory: 48m, pids: 30}}
        reservations: {{cpus: "0.5", memory: 16m}}
  quota: {{<<: *common, cpu_quota: 20000, cpu_period: 50000}}
  old: {{<<: *common, mem_limit: 32m, mem_swappiness: 30, oom_kill_disable: true}}
  io:
    <<: *common
    blkio_config:
      weight: 300
      weight_device: [{{path: {disk}, weight: 400}}]
      device_read_bps: [{{path: {disk}, rate: 10mb}}]
      device_write_bps: [{{path: {disk}, rate: 5mb}}]
      device_read_iops: [{{path: {disk}, rate: 1000}}]
      device_write_iops: [{{path: {disk}, rate: 500}}]
  unlimited: {{<<: *common, pids_limit: -1}}
"""


def disk():
    """Return a whole disk of this machine; nothing is written to it."""
    for name in sorted(os.listdir("/sys/block")):
        if Path("/dev", name).is_block_device() and not name.startswith(("loop", "ram", "zram")):
            return f"/dev/{name}"
    pytest.skip("this machine has no disk")


@pytest.fixture(scope="module")
def up(tmp_path_factory, busybox):
    """A stack of which every service shows other limits."""
    pyorch = Pyorch(name=f"t{secrets.token_hex(3)}", home=tmp_path_factory.mktemp("p"))
    try:
        pyorch.run("image", "import", str(busybox), "busybox")
        pyorch.write(STACK.format(disk=disk()))
        done = pyorch.try_("up", "-d", "--wait", "--wait-timeout", f"{patient(60):g}")
        assert done.code == 0, done.err
        yield pyorch, done.err
    finally:
        left = pyorch.clean()
    assert left == []


@pytest.fixture
def lim(up):
    """The pyorch the stack runs in."""
    return up[0]


@pytest.fixture
def said(up):
    """What `up` said."""
    return up[1]


def inside(pyorch, service, *words):
    return pyorch.run("-p", "lim", "exec", "-T", service, *words).strip()


@pytest.mark.attribute("services.*.cpus")
def test_cpus_is_a_quota_of_processor_time(lim):
    assert groups.processor_time(lim, "lim/one.1") == (50_000, 100_000)


@pytest.mark.attribute("services.*.cpu_quota", "services.*.cpu_period")
def test_cpu_quota_and_cpu_period_are_the_kernels_own(lim):
    assert groups.processor_time(lim, "lim/quota.1") == (20_000, 50_000)


@pytest.mark.attribute("services.*.cpu_shares")
def test_cpu_shares_is_a_weight(lim):
    found = groups.read(lim, "lim/one.1", "cpu/cpu.shares", "cpu.weight")

    assert found == ("20" if groups.UNIFIED else "512")


@pytest.mark.attribute("services.*.cpuset")
def test_cpuset_is_seen_by_the_process(lim):
    status = inside(lim, "one", "cat", "/proc/self/status")

    assert "Cpus_allowed_list:\t0" in status.splitlines()


@pytest.mark.attribute("services.*.mem_limit")
def test_mem_limit_ends_what_takes_more(lim):
    # Swap is allowed beyond it: what dies is what takes more than both.
    take = ("dd", "if=/dev/zero", "of=/dev/null", "bs=120M", "count=1")
    done = lim.try_("-p", "lim", "exec", "-T", "one", *take)

    assert groups.memory(lim, "lim/one.1") == 64 * MIB
    assert done.code == 137


@pytest.mark.attribute("services.*.memswap_limit")
def test_memswap_limit_counts_memory_and_swap(lim):
    found = int(
        groups.read(lim, "lim/one.1", "memory/memory.memsw.limit_in_bytes", "memory.swap.max")
    )

    assert found == (32 if groups.UNIFIED else 96) * MIB


def test_mem_limit_without_memswap_limit_allows_as_much_swap(lim):
    first = "memory/memory.memsw.limit_in_bytes"
    found = int(groups.read(lim, "lim/reserved.1", first, "memory.swap.max"))

    assert found == (48 if groups.UNIFIED else 96) * MIB


@pytest.mark.attribute(
    "services.*.mem_reservation", "services.*.deploy.resources.reservations.memory"
)
def test_mem_reservation_is_a_soft_limit(lim):
    first = "memory/memory.soft_limit_in_bytes"

    assert int(groups.read(lim, "lim/one.1", first, "memory.low")) == 32 * MIB
    assert int(groups.read(lim, "lim/reserved.1", first, "memory.low")) == 16 * MIB


@pytest.mark.attribute("services.*.pids_limit")
def test_pids_limit_keeps_further_processes_from_starting(lim):
    script = groups.CROWD.format(count=30)
    done = lim.try_("-p", "lim", "exec", "-T", "one", "sh", "-c", script)

    assert groups.processes(lim, "lim/one.1") == 20
    assert "can't fork" in done.err


def test_pids_limit_is_4096_unless_the_file_says_otherwise(lim):
    assert groups.processes(lim, "lim/free.1") == 4096
    assert groups.read(lim, "lim/unlimited.1", "pids/pids.max", "pids.max") == "max"


@pytest.mark.attribute("services.*.oom_score_adj")
def test_oom_score_adj_is_that_of_the_process(lim):
    assert inside(lim, "one", "cat", "/proc/1/oom_score_adj") == "500"


@pytest.mark.attribute("services.*.deploy.resources.limits")
def test_deploy_resources_limits_are_limits(lim):
    assert groups.processor_time(lim, "lim/reserved.1") == (25_000, 100_000)
    assert groups.memory(lim, "lim/reserved.1") == 48 * MIB
    assert groups.processes(lim, "lim/reserved.1") == 30


@pytest.mark.attribute("services.*.deploy.resources.reservations.cpus")
def test_deploy_resources_reservations_cpus_is_a_weight_when_everybody_wants_more(lim):
    found = groups.read(lim, "lim/reserved.1", "cpu/cpu.shares", "cpu.weight")

    assert found == ("20" if groups.UNIFIED else "512")


@pytest.mark.attribute("services.*.mem_swappiness")
def test_mem_swappiness_holds_on_version_1_and_is_told_on_version_2(lim, said):
    if groups.UNIFIED:
        assert said.count("mem_swappiness") == 1
    else:
        assert groups.read(lim, "lim/old.1", "memory/memory.swappiness", "") == "30"


@pytest.mark.attribute("services.*.oom_kill_disable")
def test_oom_kill_disable_holds_on_version_1_and_is_told_on_version_2(lim, said):
    if groups.UNIFIED:
        assert said.count("oom_kill_disable") == 1
    else:
        found = groups.read(lim, "lim/old.1", "memory/memory.oom_control", "")
        assert "oom_kill_disable 1" in found


@pytest.mark.attribute(
    "services.*.blkio_config.device_read_bps",
    "services.*.blkio_config.device_read_iops",
    "services.*.blkio_config.device_write_bps",
    "services.*.blkio_config.device_write_iops",
)
def test_blkio_config_rates_are_kept_by_the_kernel_for_that_device(lim):
    number = os.stat(disk()).st_rdev
    device = f"{os.major(number)}:{os.minor(number)}"

    if groups.UNIFIED:
        assert groups.read(lim, "lim/io.1", "", "io.max") == (
            f"{device} rbps={10 * MIB} wbps={5 * MIB} riops=1000 wiops=500"
        )
        return
    for file, rate in (
        ("read_bps", 10 * MIB),
        ("write_bps", 5 * MIB),
        ("read_iops", 1000),
        ("write_iops", 500),
    ):
        found = groups.read(lim, "lim/io.1", f"blkio/blkio.throttle.{file}_device", "")
        assert found == f"{device} {rate}"


@pytest.mark.attribute("services.*.blkio_config.weight")
def test_blkio_config_weight_holds_where_the_kernel_has_weights(lim, said):
    if groups.UNIFIED:
        found = Path(groups.TOP, lim.settings.instance().cgroup, "lim/io.1")
        kept = {"io.bfq.weight": "default 300", "io.weight": "default 2930"}
        files = [file for file in kept if (found / file).exists()]
        assert bool(files) != ("blkio_config.weight:" in said)
        # Where there are both, one of them is the runtime's choice.
        for file in files[:1]:
            assert kept[file] in groups.read(lim, "lim/io.1", "", file).splitlines()
        return
    assert groups.read(lim, "lim/io.1", "blkio/blkio.bfq.weight", "") == "300"


@pytest.mark.attribute("services.*.blkio_config.weight_device")
def test_blkio_config_weight_device_holds_for_a_disk_that_has_weights(lim, said):
    if said.count("is not scheduled by BFQ") == 1:
        return
    number = os.stat(disk()).st_rdev
    found = groups.read(lim, "lim/io.1", "blkio/blkio.bfq.weight_device", "io.bfq.weight")
    assert f"{os.major(number)}:{os.minor(number)} 400" in found
