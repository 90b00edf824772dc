"""What control groups have used, as the kernel counts it, on version 1 and 2. Everything blocks."""

import os
from pathlib import Path

from runtime import cgroups
from runtime.procfs import name_of, stat_of
from runtime.types import ProcessFacts, Usage

NANOSECONDS = 10**9
MICROSECONDS = 10**6
TICKS = os.sysconf("SC_CLK_TCK")


def read_usage(path: str, pid: int | None = None) -> Usage:
    """Return what the group ``path`` uses, and has used; None for what is not counted here.

    ``pid`` is a process that sees the network interfaces that are its own.
    """
    received, sent = _carried(pid)
    return Usage(
        cpu=_cpu(path),
        memory=_number(path, "memory.current", "memory.usage_in_bytes"),
        cache=_cache(path),
        pids=_number(path, "pids.current"),
        read=_moved(path, "rbytes", "Read"),
        written=_moved(path, "wbytes", "Write"),
        received=received,
        sent=sent,
        oom_kills=cgroups.oom_kills(path),
    )


def list_processes(path: str) -> tuple[ProcessFacts, ...]:
    """Return the processes of a group and those below; who ends meanwhile is left out."""
    found = []
    for pid in sorted(cgroups.processes(path)):
        try:
            fields = stat_of(pid)
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
            told = [os.fsdecode(word) for word in words] or [f"[{name_of(pid)}]"]
            found.append(
                ProcessFacts(
                    pid=pid,
                    parent=int(fields[1]),
                    uid=Path(f"/proc/{pid}").stat().st_uid,
                    cpu=(int(fields[11]) + int(fields[12])) / TICKS,
                    started=int(fields[19]) / TICKS,
                    terminal=fields[4] != "0",
                    command=" ".join(told),
                )
            )
        except (OSError, IndexError):
            continue
    return tuple(found)


def _carried(pid: int | None) -> tuple[int | None, int | None]:
    """Return the bytes that came and went over all interfaces but the loopback."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:] if pid else None
    except OSError:
        lines = None
    if lines is None:
        return None, None
    figures = [line.split(":", 1) for line in lines]
    counts = [text.split() for name, text in figures if name.strip() != "lo"]
    return sum(int(one[0]) for one in counts), sum(int(one[8]) for one in counts)


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
