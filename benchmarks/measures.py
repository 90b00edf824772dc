"""Looking at processes from outside: what runs in a group, memory, processor time."""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
WANTED = "sleep"
"""What the stacks' services run: a runtime's own process in the group is not it."""


def running(group: str) -> int:
    """Return the process that sleeps in a cgroup of this name; 0 where there is none."""
    for hierarchy in (CGROUPS, CGROUPS / "pids"):
        try:
            found = (hierarchy / group / "cgroup.procs").read_text().split()
            for pid in found:
                if is_called(int(pid), WANTED):
                    return int(pid)
        except OSError:
            continue
    return 0


def is_called(pid: int, name: str) -> bool:
    """Whether a process runs a program of that name."""
    return Path(f"/proc/{pid}/comm").read_text().strip() == name


def processes_of(mark: str) -> list[int]:
    """Return the processes whose command line names ``mark``, the measuring one left out."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if mark.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return sorted(found)


def memory(pids: list[int]) -> float:
    """Return the memory of processes in MB: shared pages are split among who shares them."""
    total = 0
    for pid in set(pids):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def processor_time(pids: list[int]) -> float:
    """Return the seconds of processor time processes have used, ended children included."""
    ticks = 0
    for pid in set(pids):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
