"""Which of root's powers a container's processes have (capabilities(7))."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

from runtime.errors import InvalidError
from runtime.types import ContainerConfig

DEFAULT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
"""What a container has that asks for nothing."""

BY_NUMBER = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""Every capability there is, each at the place of its bit."""
ALL = frozenset(BY_NUMBER)


def wanted(config: ContainerConfig) -> frozenset[str]:
    """Return what a container asks for: dropped first, added after, as Docker does.

    Raises InvalidError for a name nobody knows.
    """
    if config.privileged:
        return ALL
    dropped = {_full_name(name) for name in config.cap_drop}
    added = {_full_name(name) for name in config.cap_add}
    if unknown := (dropped | added) - ALL - {"CAP_ALL"}:
        raise InvalidError(
            "create container", config.id, f"no such capability: {', '.join(sorted(unknown))}"
        )
    if "CAP_ALL" in added:
        return ALL - dropped
    kept = frozenset() if "CAP_ALL" in dropped else frozenset(DEFAULT) - dropped
    return kept | added


def granted(asked: Collection[str]) -> tuple[str, ...]:
    """Return what of ``asked`` there is to give: no more than this process itself may have."""
    return tuple(sorted(available() & set(asked)))


@cache
def available() -> frozenset[str]:
    """Return what a child of this process can have at most, on this kernel."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    bits = int(found[1], 16) if found else 0
    return frozenset(name for bit, name in enumerate(BY_NUMBER) if bits >> bit & 1)


def sets_of(capabilities: Sequence[str], uid: int) -> Mapping[str, list[str]]:
    """Return the five sets of a process, as runtimes want them.

    Inheritable and ambient stay empty: a file's capability must not be handed on. Who is not
    root has none to begin with, as after any exec, and gets no more than these by one.
    """
    names = list(capabilities)
    if uid:
        return {"bounding": names}
    return {"bounding": names, "effective": names, "permitted": names}


def _full_name(name: str) -> str:
    upper = name.upper()
    return upper if upper.startswith("CAP_") else f"CAP_{upper}"
