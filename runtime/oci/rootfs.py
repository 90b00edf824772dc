"""The root filesystem of a container: an image's layers under a layer of its own.

Everything is blocking and is run beside the event loop.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from runtime.errors import InvalidError
from runtime.syscalls import MNT_DETACH, MS_NODEV, mount, umount2

RUNTIMES_OWN = ("dev", "proc", "sys")
OPTIONS = 4000
"""Bytes of options a mount may have, a little less than a page."""

O_FOLDER = os.O_PATH | os.O_DIRECTORY


def mount_root(folder: Path, layers: Sequence[Path]) -> Path:
    """Mount the overlay of ``layers`` (lowest first) in ``folder`` and return where.

    Raises InvalidError for a root that leads what is mounted or made in it elsewhere.
    """
    merged = mount_layers(folder, layers)
    _check_root(merged, folder.name)
    return merged


def mount_layers(folder: Path, layers: Sequence[Path]) -> Path:
    """Mount the overlay of ``layers`` in ``folder`` and return where, whatever is in it."""
    upper, work, merged = folder / "upper", folder / "work", folder / "merged"
    for directory in (upper, work, merged):
        directory.mkdir(exist_ok=True, mode=0o755)
    if merged.is_mount():
        return merged
    below = [str(layer).replace(":", "\\:") for layer in reversed(layers)]
    above = f"upperdir={upper},workdir={work}"
    with contextlib.ExitStack() as stack:
        if len(":".join(below)) + len(above) > OPTIONS:
            # All options share one page, and the names of many layers do not fit into it.
            below = [
                f"/proc/self/fd/{stack.enter_context(_opened(str(layer), O_FOLDER))}"
                for layer in layers
            ]
            below.reverse()
        options = f"lowerdir={':'.join(below)},{above}"
        mount("overlay", merged, "overlay", MS_NODEV, options)
    return merged


def _check_root(root: Path, container: str) -> None:
    """Refuse links where runtimes make and mount things.

    An image can bring them, and so can a container that ran: a runtime that follows one
    writes on the host: runc 1.1 makes the links of /dev where it leads.
    """
    for name in RUNTIMES_OWN:
        try:
            mode = os.lstat(root / name).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            raise InvalidError(
                "start container",
                container,
                f"`/{name}` in it is no directory, but a way to elsewhere",
                hint="the image is broken or hostile; a container that did this to itself is"
                " made anew by `up --force-recreate`",
                code="rootfs_symlink",
            )


def unmount_root(folder: Path) -> None:
    """Undo :func:`mount_root`; what is not mounted is unmounted."""
    merged = folder / "merged"
    while merged.is_mount():
        umount2(merged, MNT_DETACH)


@contextlib.contextmanager
def _opened(name: str, flags: int) -> Iterator[int]:
    fd = os.open(name, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
