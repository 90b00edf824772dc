"""Namespaces that outlive their processes: pinned by a mount, entered by a thread.

Everything here blocks and runs in a thread of its own, because a namespace belongs to a
thread: one that has entered another is not used for anything else afterwards.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runtime.syscalls import MNT_DETACH, MS_BIND, mount, umount2, unshare

T = TypeVar("T")


def pin(path: Path, kind: int, name: str) -> None:
    """Make a namespace and pin it at ``path``; one that is pinned there already stays.

    ``kind`` is its flag, ``name`` what it is called below ``/proc/PID/ns``.
    """
    if is_pinned(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)

    def make() -> None:
        unshare(kind)
        mount(f"/proc/thread-self/ns/{name}", path, None, MS_BIND)

    in_own_thread(make)


def is_pinned(path: Path) -> bool:
    """Whether there is a namespace at ``path`` and not just the file it was pinned to."""
    try:
        return os.stat(path).st_dev != os.stat(path.parent).st_dev
    except FileNotFoundError:
        return False


def unpin(path: Path) -> None:
    """Let go of a namespace: it goes with its last process."""
    while is_pinned(path):
        umount2(path, MNT_DETACH)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def in_own_thread(work: Callable[[], T]) -> T:
    """Call ``work`` in a thread that is used for nothing else, and return its answer."""
    answer: list[T] = []
    refused: list[BaseException] = []

    def body() -> None:
        try:
            answer.append(work())
        except BaseException as error:
            refused.append(error)

    thread = threading.Thread(target=body, name="namespace")
    thread.start()
    thread.join()
    if refused:
        raise refused[0]
    return answer[0]
