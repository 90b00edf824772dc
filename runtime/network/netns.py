"""Network namespaces that outlive their processes. Everything here blocks."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runtime import pins
from runtime.pins import is_pinned
from runtime.syscalls import CLONE_NEWNET, setns

T = TypeVar("T")

__all__ = ["create", "delete", "enter", "is_pinned", "run_inside"]


def create(path: Path) -> None:
    """Make a namespace and pin it at ``path``; one that is pinned there already stays."""
    pins.pin(path, CLONE_NEWNET, "net")


def run_inside(path: Path, work: Callable[[], T]) -> T:
    """Call ``work`` with the calling thread inside the namespace, and return its answer."""

    def entered() -> T:
        enter(path)
        return work()

    return pins.in_own_thread(entered)


def enter(path: Path) -> None:
    """Have the calling thread be inside the namespace; it must be one made for that."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd, CLONE_NEWNET)
    finally:
        os.close(fd)


def delete(path: Path) -> None:
    """Unpin a namespace: it goes with its last process, and its links with it."""
    pins.unpin(path)
