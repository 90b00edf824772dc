"""Small files, written whole or not at all, and a way off the event loop."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

STAGING = ".writing"
"""Ends the name of a file that is not whole yet."""

P = ParamSpec("P")
T = TypeVar("T")


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, sync: bool = False) -> None:
    """Replace ``path`` by ``data`` in one step; with ``sync`` it also survives a power cut."""
    staging = path.with_name(f".{path.name}{STAGING}")
    handle = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(staging, path)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise
    if sync:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def drop_staging(folder: Path) -> None:
    """Remove what writers killed in the middle left in ``folder``; nobody else may be writing."""
    for path in folder.glob(f".*{STAGING}"):
        path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, object] | None:
    """Return the object in ``path``; None where there is no such file or it is half a one."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking work beside the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)
