"""What configs and secrets hold, as files in memory that only their container sees.

Everything is blocking and is run beside the event loop.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.oci.mounts import bind
from runtime.oci.swapping import inode_of, swap
from runtime.syscalls import (
    MNT_DETACH,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_REMOUNT,
    mount,
    umount2,
)
from runtime.types import ContainerConfig, Mount, MountKind

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
        _write(path, given)
        mounts.append(bind(path, given.target, ["ro", "nosuid", "nodev", "noexec"]))
    return mounts


def renew_carried(
    folder: Path, mounts: Sequence[Mount], files: Sequence[Mount], namespace: int | None
) -> None:
    """Write other contents of files that have a digest.

    With the open mount ``namespace`` of a run it sees them at once. Where nothing is mounted any
    more, because the machine has started since, nothing is written: all of it is made anew.
    """
    wanted = {given.target: given for given in files if given.digest}
    carried = [given for given in mounts if given.kind is MountKind.FILE]
    if folder.is_mount():
        most = sum(len(given.content) // PAGE + 1 for given in files) * PAGE
        used = os.statvfs(folder)
        _mount(folder, (used.f_blocks - used.f_bfree) * used.f_bsize + most + SPARE, again=True)
        for number, given in enumerate(carried):
            other = wanted.get(given.target)
            if other is not None and other.digest != given.digest:
                _renew(folder / str(number), other, namespace)


def with_digests(mounts: Sequence[Mount], files: Sequence[Mount]) -> tuple[Mount, ...]:
    """Return mounts as they are once files with a digest hold what ``files`` say."""
    wanted = {given.target: given for given in files if given.digest}
    return tuple(
        replace(given, digest=wanted[given.target].digest) if given.target in wanted else given
        for given in mounts
    )


def _renew(path: Path, given: Mount, namespace: int | None) -> None:
    staging = path.with_name(f"{path.name}.new")
    staging.unlink(missing_ok=True)
    old = inode_of(path)
    _write(staging, given)
    os.replace(staging, path)
    if namespace is not None:
        swap(namespace, given.target, old, path)


def is_carried(folder: Path) -> bool:
    """Whether what is carried is still there: a reboot leaves an empty directory."""
    return not folder.exists() or folder.is_mount()


def _write(path: Path, given: Mount) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(given.content)
        os.fchown(handle, given.uid or 0, given.gid or 0)
        os.fchmod(handle, 0o444 if given.mode is None else given.mode & 0o555)


def _mount(folder: Path, size: int, *, again: bool = False) -> None:
    """Mount memory of so many bytes; ``again``: give what is mounted as much."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (MS_REMOUNT if again else 0)
    options = f"size={size},nr_inodes=1k,mode=711"
    try:
        mount("tmpfs", folder, "tmpfs", flags, f"{options},noswap")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Kernels before 6.4 cannot keep it out of swap.
        mount("tmpfs", folder, "tmpfs", flags, options)
