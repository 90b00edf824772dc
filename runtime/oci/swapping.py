"""Another file in the place of one that is mounted in a container that runs.

A mounted file is a mounted inode: to give its name to another one changes nothing for who has it
mounted. So the other one is mounted in its place, inside the container's mount namespace, beneath
the old one, and the old one is taken away: whoever opens the path has the one or the other, whole.

A container may put links wherever it likes, at any moment. The place is looked up once, kept open,
and has to be the very file that was mounted there; nothing is reached by its path again.
"""

import os
from pathlib import Path
from threading import Thread

from runtime.syscalls import (
    CLONE_FS,
    CLONE_NEWNS,
    MNT_DETACH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    clone_confined,
    move_mount,
    openat2,
    setns,
    umount2,
    unshare,
)

Inode = tuple[int, int]
"""Device and number of a file."""


def inode_of(path: Path) -> Inode:
    """Return what tells a file from all others."""
    status = path.stat(follow_symlinks=False)
    return status.st_dev, status.st_ino


def swap(namespace: int, target: str, old: Inode, new: Path) -> bool:
    """Have ``new`` at ``target`` where ``old`` was, in an open mount namespace; blocks.

    Returns False where something else is there by now: the container has hidden or unmounted it.
    """
    found: list[bool | BaseException] = []

    def work() -> None:
        try:
            found.append(_swap(namespace, target, old, new))
        except BaseException as error:
            found.append(error)

    # A thread of its own: one that has been elsewhere does not come back.
    thread = Thread(target=work)
    thread.start()
    thread.join()
    (result,) = found
    if isinstance(result, BaseException):
        raise result
    return result


def _swap(namespace: int, target: str, old: Inode, new: Path) -> bool:
    tree = clone_confined(new)
    # Where the host's descriptors can be named from inside: the container's own proc knows none.
    descriptors = os.open("/proc/thread-self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    place = -1
    try:
        unshare(CLONE_FS)
        setns(namespace, CLONE_NEWNS)
        place = _open(target)
        if place < 0:
            return False
        status = os.fstat(place)
        if (status.st_dev, status.st_ino) != old:
            return False
        try:
            move_mount(tree, place, beneath=True)
        except OSError:
            # Kernels before 6.5 have no beneath: the old one stays below until the run ends.
            move_mount(tree, place)
            return True
        os.fchdir(descriptors)
        umount2(str(place), MNT_DETACH)
        return True
    finally:
        for one in (tree, descriptors, place):
            if one >= 0:
                os.close(one)


def _open(target: str) -> int:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rules = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
        return openat2(root, target.lstrip("/"), os.O_PATH, rules)
    except OSError:
        return -1
    finally:
        os.close(root)
