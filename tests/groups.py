"""Control groups of containers as the kernel shows them, on either version of them."""

from pathlib import Path

TOP = Path("/sys/fs/cgroup")
UNIFIED = (TOP / "cgroup.controllers").exists()
"""Whether this machine has version 2 alone."""

CROWD = "trap 'kill $all' EXIT; for i in $(seq {count}); do sleep 1000 & all=\"$all $!\"; done"
"""A line of shell that starts so many processes, and ends them when it cannot, or is done."""


def read(pyorch, group, first, second):
    """Return what a file of a group says: ``CONTROLLER/FILE`` of version 1, or one of version 2.

    ``group`` is that of a container, as ``shop/web.1``, or of a whole stack.
    """
    own = f"{pyorch.settings.instance().cgroup}/{group}"
    if UNIFIED:
        return (TOP / own / second).read_text().strip()
    controller, file = first.split("/")
    return (TOP / controller / own / file).read_text().strip()


def memory(pyorch, group):
    """Return how much memory a group may have."""
    return int(read(pyorch, group, "memory/memory.limit_in_bytes", "memory.max"))


def processor_time(pyorch, group):
    """Return quota and period of a group."""
    if UNIFIED:
        return tuple(map(int, read(pyorch, group, "", "cpu.max").split()))
    quota = read(pyorch, group, "cpu/cpu.cfs_quota_us", "")
    return int(quota), int(read(pyorch, group, "cpu/cpu.cfs_period_us", ""))


def processes(pyorch, group):
    """Return how many processes a group may have."""
    return int(read(pyorch, group, "pids/pids.max", "pids.max"))
