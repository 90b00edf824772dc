"""What control groups have used, as the kernel counts it, on version 1 and 2. Everything blocks."""

from runtime import cgroups
from runtime.types import Usage

NANOSECONDS = 10**9
MICROSECONDS = 10**6


def read_usage(path: str) -> Usage:
    """Return what the group ``path`` uses, and has used; None for what is not counted here."""
    return Usage(
        cpu=_cpu(path),
        memory=_number(path, "memory.current", "memory.usage_in_bytes"),
        cache=_cache(path),
        pids=_number(path, "pids.current"),
        read=_moved(path, "rbytes", "Read"),
        written=_moved(path, "wbytes", "Write"),
        oom_kills=cgroups.oom_kills(path),
    )


def _cpu(path: str) -> float | None:
    if (unified := cgroups.count(path, "cpu.stat", "usage_usec")) is not None:
        return int(unified) / MICROSECONDS
    used = _number(path, "cpuacct.usage")
    return None if used is None else used / NANOSECONDS


def _cache(path: str) -> int | None:
    """Return what the kernel would give back first: files nobody has looked at for a while."""
    stat = "memory.stat"
    found = cgroups.count(path, stat, "total_inactive_file") or cgroups.count(
        path, stat, "inactive_file"
    )
    return None if found is None else int(found)


def _moved(path: str, unified: str, named: str) -> int | None:
    """Return the bytes moved from or to block devices."""
    if (text := cgroups.read(path, "io.stat")) is not None:
        pairs = (word.partition("=") for line in text.splitlines() for word in line.split()[1:])
        return sum(int(value) for key, _, value in pairs if key == unified)
    for file in (
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    ):
        if (text := cgroups.read(path, file)) is not None:
            lines = (line.split() for line in text.splitlines())
            return sum(int(line[2]) for line in lines if len(line) == 3 and line[1] == named)
    return None


def _number(path: str, *files: str) -> int | None:
    for file in files:
        if (text := cgroups.read(path, file)) is not None and text.isdigit():
            return int(text)
    return None
