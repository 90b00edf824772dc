"""What is mounted where, as the kernel tells it, and letting go of it."""

from pathlib import Path

from runtime.procfs import mounts
from runtime.syscalls import MNT_DETACH, umount2


def mount_points() -> list[str]:
    """Return every mount point this process sees, in the order they were mounted."""
    return [one.point for one in mounts()]


def is_mount_point(path: Path) -> bool:
    """Whether something is mounted at ``path``, a bind of the same filesystem included."""
    return str(path) in mount_points()


def unmount_below(folder: Path) -> None:
    """Unmount everything that is mounted somewhere below ``folder``, the last one first."""
    for point in reversed(mount_points()):
        if point.startswith(f"{folder}/"):
            umount2(point, MNT_DETACH)
