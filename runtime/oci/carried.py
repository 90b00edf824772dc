"""What configs and secrets hold, as files in memory that only their container sees.

Everything is blocking and is run beside the event loop.
"""

import errno
import os
from pathlib import Path
from typing import Any

from runtime.oci.mounts import bind
from runtime.syscalls import MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount, umount2
from runtime.types import ContainerConfig, MountKind

PAGE = 4096
SPARE = 4 * PAGE


def write_carried(folder: Path, config: ContainerConfig) -> list[dict[str, Any]]:
    """Write every carried content into a filesystem of its own at ``folder``; return their mounts.

    What was there before is gone. Without anything to carry nothing is made.
    """
    carried = [given for given in config.mounts if given.kind is MountKind.FILE]
    if folder.is_mount():
        umount2(folder, MNT_DETACH)
    if not carried:
        return []
    folder.mkdir(exist_ok=True, mode=0o711)
    _mount(folder, sum(len(given.content) // PAGE + 1 for given in carried) * PAGE + SPARE)
    mounts = []
    for number, given in enumerate(carried):
        path = folder / str(number)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(given.content)
            os.fchown(handle, given.uid or 0, given.gid or 0)
            os.fchmod(handle, 0o444 if given.mode is None else given.mode & 0o555)
        mounts.append(bind(path, given.target, ["ro", "nosuid", "nodev", "noexec"]))
    return mounts


def is_carried(folder: Path) -> bool:
    """Whether what is carried is still there: a reboot leaves an empty directory."""
    return not folder.exists() or folder.is_mount()


def _mount(folder: Path, size: int) -> None:
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    options = f"size={size},nr_inodes=1k,mode=711"
    try:
        mount("tmpfs", folder, "tmpfs", flags, f"{options},noswap")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Kernels before 6.4 cannot keep it out of swap.
        mount("tmpfs", folder, "tmpfs", flags, options)
