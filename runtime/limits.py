"""Limits → what the kernel is told, in the words of both versions of control groups. Pure.

The runtime gets them with a container's configuration (runtime-spec, config-linux.md); a
container that exists gets them as files of its control group, which is all the runtime would
do with them. Block devices are known by their numbers here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.types import IoKind, Limits

PERIOD = 100_000
"""The kernel's own period of a quota of processor time, in µs."""

UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))

Numbers = tuple[int, int]
"""Major and minor number of a device."""

RATES_V1 = {
    IoKind.READ_BYTES: "blkio.throttle.read_bps_device",
    IoKind.WRITE_BYTES: "blkio.throttle.write_bps_device",
    IoKind.READS: "blkio.throttle.read_iops_device",
    IoKind.WRITES: "blkio.throttle.write_iops_device",
}
RATES_V2 = {
    IoKind.READ_BYTES: "rbps",
    IoKind.WRITE_BYTES: "wbps",
    IoKind.READS: "riops",
    IoKind.WRITES: "wiops",
}
RATES_OCI = {
    IoKind.READ_BYTES: "throttleReadBpsDevice",
    IoKind.WRITE_BYTES: "throttleWriteBpsDevice",
    IoKind.READS: "throttleReadIOPSDevice",
    IoKind.WRITES: "throttleWriteIOPSDevice",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One file of a control group, and what is written into it.

    ``without`` is what to write once the limit is gone; None where the value of the group
    above is to be copied.
    """

    controller: str
    file: str
    value: str
    without: str | None
    about: str = ""
    """The device it is about, or which of a file's several values it is."""


def oci_resources(limits: Limits, devices: Mapping[str, Numbers]) -> dict[str, Any]:
    """Return the limits as ``linux.resources`` of a bundle; ``devices`` has every path named."""
    memory: dict[str, Any] = {
        "limit": limits.memory,
        "reservation": limits.memory_reservation,
        "swap": swap_of(limits),
        "swappiness": limits.memory_swappiness,
        "disableOOMKiller": limits.oom_kill_disable or None,
    }
    quota = _quota(limits)
    cpu: dict[str, Any] = {
        "quota": quota[0] if quota else None,
        "period": quota[1] if quota else None,
        "shares": limits.cpu_shares,
        "cpus": limits.cpuset,
    }
    io: dict[str, Any] = {"weight": limits.io_weight}
    if limits.io_weights:
        io["weightDevice"] = [
            {"major": devices[path][0], "minor": devices[path][1], "weight": weight}
            for path, weight in limits.io_weights
        ]
    for one in limits.io_rates:
        major, minor = devices[one.device]
        io.setdefault(RATES_OCI[one.kind], []).append(
            {"major": major, "minor": minor, "rate": one.rate}
        )
    pids: dict[str, Any] = {"limit": limits.pids if limits.pids and limits.pids > 0 else None}
    given = {
        name: {key: value for key, value in part.items() if value is not None}
        for name, part in (("memory", memory), ("cpu", cpu), ("blockIO", io), ("pids", pids))
    }
    return {name: part for name, part in given.items() if part}


def swap_of(limits: Limits) -> int | None:
    """Return memory and swap together: as much swap as memory where nothing is said."""
    if limits.memory is None:
        return None
    return limits.memory_swap if limits.memory_swap is not None else 2 * limits.memory


def settings(
    limits: Limits, devices: Mapping[str, Numbers], *, unified: bool, bfq: bool = False
) -> tuple[Setting, ...]:
    """Return the files that say ``limits``, on version 2 where ``unified``, else on version 1.

    Version 2 has weights of input and output of two kinds: ``bfq`` where groups have its own.
    """
    return tuple(_unified(limits, devices, bfq=bfq) if unified else _split(limits, devices))


def changes(before: Iterable[Setting], after: Iterable[Setting]) -> tuple[Setting, ...]:
    """Return what to write so that ``after`` holds where ``before`` does."""
    old = {(one.file, one.about): one for one in before}
    new = {(one.file, one.about): one for one in after}
    gone = [
        Setting(one.controller, one.file, one.without or "", one.without, one.about)
        for key, one in old.items()
        if key not in new
    ]
    return (*gone, *(one for key, one in new.items() if old.get(key) != one))


def _quota(limits: Limits) -> tuple[int, int] | None:
    if limits.cpus:
        return round(limits.cpus * PERIOD), PERIOD
    if limits.cpu_quota or limits.cpu_period:
        return limits.cpu_quota or -1, limits.cpu_period or PERIOD
    return None


def _split(limits: Limits, devices: Mapping[str, Numbers]) -> Iterable[Setting]:
    if quota := _quota(limits):
        yield Setting("cpu", "cpu.cfs_period_us", str(quota[1]), str(PERIOD))
        yield Setting("cpu", "cpu.cfs_quota_us", str(quota[0]), "-1")
    if limits.cpu_shares:
        yield Setting("cpu", "cpu.shares", str(limits.cpu_shares), "1024")
    if limits.cpuset:
        yield Setting("cpuset", "cpuset.cpus", limits.cpuset, None)
    if limits.memory:
        yield Setting("memory", "memory.limit_in_bytes", str(limits.memory), "-1")
    if (swap := swap_of(limits)) is not None:
        yield Setting("memory", "memory.memsw.limit_in_bytes", str(swap), "-1")
    if limits.memory_reservation:
        amount = str(limits.memory_reservation)
        yield Setting("memory", "memory.soft_limit_in_bytes", amount, "-1")
    if limits.memory_swappiness is not None:
        yield Setting("memory", "memory.swappiness", str(limits.memory_swappiness), None)
    if limits.oom_kill_disable:
        yield Setting("memory", "memory.oom_control", "1", "0")
    if limits.pids and limits.pids > 0:
        yield Setting("pids", "pids.max", str(limits.pids), "max")
    if limits.io_weight:
        yield Setting("blkio", "blkio.bfq.weight", str(limits.io_weight), "100")
    for path, weight in limits.io_weights:
        device = _colon(devices[path])
        file = "blkio.bfq.weight_device"
        yield Setting("blkio", file, f"{device} {weight}", f"{device} 0", device)
    for one in limits.io_rates:
        device = _colon(devices[one.device])
        yield Setting("blkio", RATES_V1[one.kind], f"{device} {one.rate}", f"{device} 0", device)


def _unified(limits: Limits, devices: Mapping[str, Numbers], *, bfq: bool) -> Iterable[Setting]:
    if quota := _quota(limits):
        amount = str(quota[0]) if quota[0] > 0 else "max"
        yield Setting("cpu", "cpu.max", f"{amount} {quota[1]}", f"max {PERIOD}")
    if limits.cpu_shares:
        # As the runtimes do it: 2 to 262144 become 1 to 10000.
        weight = 1 + (max(limits.cpu_shares, 2) - 2) * 9999 // 262142
        yield Setting("cpu", "cpu.weight", str(weight), "100")
    if limits.cpuset:
        yield Setting("cpuset", "cpuset.cpus", limits.cpuset, "")
    if limits.memory:
        yield Setting("memory", "memory.max", str(limits.memory), "max")
        swap = swap_of(limits)
        beyond = "max" if swap is None or swap < 0 else str(swap - limits.memory)
        yield Setting("memory", "memory.swap.max", beyond, "max")
    if limits.memory_reservation:
        yield Setting("memory", "memory.low", str(limits.memory_reservation), "0")
    if limits.pids and limits.pids > 0:
        yield Setting("pids", "pids.max", str(limits.pids), "max")
    if limits.io_weight and bfq:
        yield Setting("io", "io.bfq.weight", f"default {limits.io_weight}", "default 100")
    elif limits.io_weight:
        weight = _io_weight(limits.io_weight)
        yield Setting("io", "io.weight", f"default {weight}", "default 100")
    for path, share in limits.io_weights:
        # The other kind has none of single devices that a runtime would set.
        device = _colon(devices[path])
        yield Setting("io", "io.bfq.weight", f"{device} {share}", f"{device} default", device)
    for one in limits.io_rates:
        device, key = _colon(devices[one.device]), RATES_V2[one.kind]
        about = f"{device} {key}"
        yield Setting("io", "io.max", f"{about}={one.rate}", f"{about}=max", about)


def _io_weight(weight: int) -> int:
    # As the runtimes do it: 10 to 1000 become 1 to 10000.
    return 1 + (weight - 10) * 9999 // 990


def _colon(numbers: Numbers) -> str:
    return f"{numbers[0]}:{numbers[1]}"


def size(amount: int) -> str:
    """Return bytes in the largest unit that says them exactly."""
    if amount < 0:
        return "unlimited"
    for unit, factor in UNITS:
        if amount and amount % factor == 0:
            return f"{amount // factor} {unit}"
    return f"{amount} B"
