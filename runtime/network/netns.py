"""Network namespaces that outlive their processes: pinned by a mount, entered by a thread.

Everything here blocks and runs in a thread of its own, because a namespace belongs to a
thread: one that has entered another is not used for anything else afterwards.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runtime.syscalls import CLONE_NEWNET, MNT_DETACH, MS_BIND, mount, setns, umount2, unshare

T = TypeVar("T")


def create(path: Path) -> None:
    """Make a namespace and pin it at ``path``; one that is pinned there already stays."""
    if is_pinned(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)

    def make() -> None:
        unshare(CLONE_NEWNET)
        mount("/proc/thread-self/ns/net", path, None, MS_BIND)

    _in_own_thread(make)


def is_pinned(path: Path) -> bool:
    """Whether there is a namespace at ``path`` and not just the file it was pinned to."""
    try:
        return os.stat(path).st_dev != os.stat(path.parent).st_dev
    except FileNotFoundError:
        return False


def run_inside(path: Path, work: Callable[[], T]) -> T:
    """Call ``work`` with the calling thread inside the namespace, and return its answer."""

    def enter() -> T:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(fd, CLONE_NEWNET)
        finally:
            os.close(fd)
        return work()

    return _in_own_thread(enter)


def delete(path: Path) -> None:
    """Unpin a namespace: it goes with its last process, and its links with it."""
    while is_pinned(path):
        umount2(path, MNT_DETACH)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _in_own_thread(work: Callable[[], T]) -> T:
    answer: list[T] = []
    refused: list[BaseException] = []

    def body() -> None:
        try:
            answer.append(work())
        except BaseException as error:
            refused.append(error)

    thread = threading.Thread(target=body, name="netns")
    thread.start()
    thread.join()
    if refused:
        raise refused[0]
    return answer[0]
