"""Limits written into control groups that exist: all of them, or none.

Which file comes first depends on the direction (memory must never exceed memory and swap
together), so what is refused at first is tried again once the others are written.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from runtime import cgroups
from runtime.errors import ConflictError, InvalidError, UnavailableError
from runtime.limits import Numbers, Setting, changes, settings
from runtime.types import Limits

HIGH = "memory.high"
PAGE = os.sysconf("SC_PAGE_SIZE")
BLOCK_DEVICES = Path("/sys/block")
ONLINE = Path("/sys/devices/system/cpu/online")


def numbers_of(limits: Limits, subject: str) -> dict[str, Numbers]:
    """Return major and minor of every block device ``limits`` name.

    Raises InvalidError for a path that is none.
    """
    found: dict[str, Numbers] = {}
    for path in {*(path for path, _ in limits.io_weights), *(r.device for r in limits.io_rates)}:
        try:
            status = os.stat(path)
        except OSError as error:
            raise InvalidError("limit", subject, f"`{path}`: {error.strerror}") from None
        if not stat.S_ISBLK(status.st_mode):
            raise InvalidError(
                "limit",
                subject,
                f"`{path}` is no block device",
                hint="`lsblk -p` lists them",
            )
        found[path] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    return found


def fit(limits: Limits) -> tuple[Limits, tuple[str, ...]]:
    """Return what of ``limits`` this kernel can enforce, and a few words for what it cannot."""
    lost: list[str] = []
    unified = cgroups.mode() is cgroups.Mode.V2
    gone: dict[str, object] = {}
    if unified and limits.memory_swappiness is not None:
        lost.append("mem_swappiness: cgroup v2 has no swappiness of a group")
        gone["memory_swappiness"] = None
    if unified and limits.oom_kill_disable:
        lost.append("oom_kill_disable: cgroup v2 always kills")
        gone["oom_kill_disable"] = False
    if not unified and limits.memory is not None and not cgroups.has("memory.memsw.limit_in_bytes"):
        if limits.memory_swap is not None:
            lost.append("memswap_limit: this kernel does not count swap (swapaccount=1 has it do)")
        gone["memory_swap"] = -1
    even = [path for path, _ in limits.io_weights if not _is_weighed(path)]
    lost += [f"blkio_config.weight_device: {path} is not scheduled by BFQ" for path in even]
    if even:
        gone["io_weights"] = tuple(one for one in limits.io_weights if one[0] not in even)
    if (limits.io_weight is not None or limits.io_weights) and not _has_weights():
        lost.append("blkio_config.weight: this kernel shares out input and output evenly")
        gone |= {"io_weight": None, "io_weights": ()}
    return replace(limits, **gone), tuple(lost)  # type: ignore[arg-type]


def check_processors(limits: Limits, subject: str) -> None:
    """Raise InvalidError for a processor this machine does not have."""
    if limits.cpuset is None:
        return
    online = processors(ONLINE.read_text())
    try:
        wanted = processors(limits.cpuset)
    except ValueError:
        raise InvalidError(
            "limit", subject, f"`{limits.cpuset}` is no set of processors", hint="write 0-3 or 0,2"
        ) from None
    if missing := sorted(wanted - online):
        raise InvalidError(
            "limit",
            subject,
            f"cpuset `{limits.cpuset}`: there is no processor {missing[0]}",
            hint=f"this machine has {ONLINE.read_text().strip()}",
        )


def processors(text: str) -> set[int]:
    """Read a set of numbers as the kernel writes it, as ``0-2,7``. Raises ValueError."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        found.update(range(int(first), int(last) + 1) if dash else [int(first)])
    return found


def apply(path: str, before: Limits, after: Limits, subject: str) -> None:
    """Have the group ``path`` keep to ``after`` instead of ``before``; blocks.

    Raises ConflictError where more memory is in use than it may have from now on, and
    UnavailableError where the kernel refuses anything else; then ``before`` holds.
    """
    unified = cgroups.mode() is cgroups.Mode.V2
    bfq = cgroups.find(path, "io.bfq.weight") is not None
    old = settings(before, numbers_of(before, subject), unified=unified, bfq=bfq)
    new = settings(after, numbers_of(after, subject), unified=unified, bfq=bfq)
    if after.memory and (before.memory is None or after.memory < before.memory):
        _make_room(path, after.memory, subject)
    refused = _write(path, changes(old, new))
    if refused is None:
        return
    setting, error = refused
    _write(path, changes(new, old))
    raise UnavailableError("limit", subject, f"{setting.file} = {setting.value}: {error.strerror}")


def bound(path: str, ceiling: Limits) -> None:
    """Have everything below the group ``path`` keep to ``ceiling`` together; blocks.

    The group is made where it is not there. Raises UnavailableError where the kernel refuses.
    """
    before = read_ceiling(path)
    if ceiling == before:
        return
    cgroups.make(path, ("cpu", "memory", "pids"))
    apply(path, before, ceiling, path.rpartition("/")[2])


def read_ceiling(path: str) -> Limits:
    """Return what everything below a group keeps to together."""
    memory = cgroups.read(path, "memory.max") or cgroups.read(path, "memory.limit_in_bytes")
    quota, period = cgroups.read(path, "cpu.cfs_quota_us"), cgroups.read(path, "cpu.cfs_period_us")
    if (both := cgroups.read(path, "cpu.max")) is not None:
        quota, period = both.split()
    pids = cgroups.read(path, "pids.max")
    return Limits(
        cpus=int(quota) / int(period) if quota and period and _is_limit(quota) else None,
        memory=int(memory) if memory and _is_limit(memory) else None,
        pids=int(pids) if pids and _is_limit(pids) else None,
    )


def _is_limit(text: str) -> bool:
    return text.isdigit() and int(text) < cgroups.UNLIMITED


def usage(path: str) -> int | None:
    """Return how much memory a group uses; None where that is not known."""
    for name in ("memory.current", "memory.usage_in_bytes"):
        found = cgroups.read(path, name)
        if found is not None:
            return int(found)
    return None


def _make_room(path: str, wanted: int, subject: str) -> None:
    """Have the kernel take back what can be spared, so that a lower limit kills nobody."""
    used = usage(path)
    if used is None or used <= wanted:
        return
    with contextlib.suppress(OSError):
        cgroups.write(path, HIGH, str(wanted))
    used = usage(path)
    with contextlib.suppress(OSError):
        cgroups.write(path, HIGH, "max")
    # Version 1 takes back while it is told, and refuses where that is not enough.
    if cgroups.mode() is cgroups.Mode.V2 and used is not None and used > wanted:
        raise ConflictError(
            "limit",
            subject,
            f"it uses {used} bytes of memory now, more than {wanted}",
            hint="the processes would be killed at once; `up --force-recreate` does that",
        )


def _write(path: str, wanted: Sequence[Setting]) -> tuple[Setting, OSError] | None:
    """Write all; return the first that is still refused when nothing else can be written."""
    left = list(wanted)
    refused: tuple[Setting, OSError] | None = None
    while left:
        again: list[Setting] = []
        refused = None
        for one in left:
            try:
                cgroups.write(path, one.file, _value(path, one))
            except OSError as error:
                again.append(one)
                refused = refused or (one, error)
        if len(again) == len(left):
            return refused
        left = again
    return None


def _value(path: str, one: Setting) -> str:
    if one.value or one.without is not None:
        return one.value
    return cgroups.read(str(Path(path).parent), one.file) or ""


def _has_weights() -> bool:
    """Whether groups below the top have weights; those at the top have what comes with them."""
    if cgroups.mode() is not cgroups.Mode.V2:
        return cgroups.has("blkio.bfq.io_serviced")
    # What the top may not hand on, because it was not handed on to it, no group has.
    handed_on = (cgroups.read("", "cgroup.controllers") or "").split()
    return "io" in handed_on and (cgroups.has("io.cost.qos") or any(map(_knows_bfq, _queues())))


def _queues() -> Iterator[Path]:
    yield from BLOCK_DEVICES.glob("*/queue/scheduler")


def _knows_bfq(queue: Path) -> bool:
    with contextlib.suppress(OSError):
        return "bfq" in queue.read_text()
    return False


def _is_weighed(path: str) -> bool:
    number = os.stat(path).st_rdev if os.path.exists(path) else 0
    scheduler = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/queue/scheduler")
    return scheduler.exists() and "[bfq]" in scheduler.read_text()
