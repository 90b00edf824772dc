"""Namespaces of containers: their own, the host's, or those of another container.

A container that shares its shared memory and queues has them pinned on the host, so that they
outlive its runs, as its network does. Processes cannot be pinned: a process namespace ends
with its first process, and takes everybody in it along (pid_namespaces(7)).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.oci.mounts import inherited_options
from runtime.pins import pin
from runtime.syscalls import CLONE_NEWIPC, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount
from runtime.types import ContainerConfig

SHAREABLE, HOST, NONE = "shareable", "host", "none"
SAFE = ["nosuid", "noexec", "nodev"]


def own_name(config: ContainerConfig) -> str:
    """Return what a container calls itself."""
    return config.hostname or os.uname().nodename


def ipc_donor(config: ContainerConfig) -> str:
    """Return the container whose shared memory and queues are used, itself if it shares them."""
    if config.ipc == SHAREABLE:
        return config.id
    return "" if config.ipc in ("", HOST, NONE) else config.ipc


def pid_donor(config: ContainerConfig) -> str:
    """Return the container whose processes are shared, if that is another one."""
    return "" if config.pid in ("", HOST) else config.pid


def namespaces(config: ContainerConfig, scratch: Path) -> list[dict[str, Any]]:
    """Return a container's namespaces as ``config.json`` has them.

    That of another container's processes has no path yet: it has a new one with every run.
    """
    found: list[dict[str, Any]] = [{"type": "mount"}]
    if config.pid != HOST:
        found.append({"type": "pid"})
    if donor := ipc_donor(config):
        found.append({"type": "ipc", "path": str(scratch / donor / "ipc")})
    elif config.ipc != HOST:
        found.append({"type": "ipc"})
    if not config.uts_host:
        found.append({"type": "uts"})
    if not config.cgroup_host:
        found.append({"type": "cgroup"})
    if config.netns is not None:
        found.append({"type": "network", "path": str(config.netns)})
    return found


def shared_memory(config: ContainerConfig, scratch: Path) -> list[dict[str, Any]]:
    """Return the mount of ``/dev/shm``, where there is one."""
    if config.ipc == NONE:
        return []
    safe: Sequence[str] = SAFE
    if config.ipc == HOST:
        # As the host has it: who asks for that may run what another of its programs put there.
        source, safe = "/dev/shm", inherited_options(Path("/dev/shm"))
    elif donor := ipc_donor(config):
        source = str(scratch / donor / "shm")
    else:
        options = [*SAFE, "mode=1777", f"size={config.shm_size}"]
        return [
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": options},
        ]
    return [
        {
            "destination": "/dev/shm",
            "type": "bind",
            "source": source,
            "options": ["bind", *(() if "ro" in safe else ("rw",)), *safe],
        }
    ]


def join_processes(bundle: dict[str, Any], pid: int) -> None:
    """Have a container share the processes of one whose first process is ``pid`` now."""
    for namespace in bundle["linux"]["namespaces"]:
        if namespace["type"] == "pid":
            namespace["path"] = f"/proc/{pid}/ns/pid"


def pin_ipc(folder: Path, config: ContainerConfig) -> None:
    """Make the shared memory and the queues others may have, and pin them in ``folder``."""
    memory, queues = folder / "shm", folder / "ipc"
    if not memory.is_mount():
        memory.mkdir(exist_ok=True, mode=0o700)
        options = f"mode=1777,size={config.shm_size}"
        mount("shm", memory, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options)
    pin(queues, CLONE_NEWIPC, "ipc")
