"""Files carried into containers and out of them.

A container's root is as hostile as what runs in it: every path is resolved inside of it, by the
kernel, and no link leads out.
"""

import errno
import os
import posixpath
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runtime.drivers import ContainerDriver
from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.files import in_thread
from runtime.image.layers import unpack_copy
from runtime.oci.packing import INSIDE, pack_entry
from runtime.syscalls import openat2
from runtime.types import ContainerId, Reached

ROOT = (0, 0)


@dataclass(frozen=True, slots=True)
class Copier:
    """Carries files; ``scratch`` is where what is on the way waits."""

    containers: ContainerDriver
    scratch: Path

    async def kind(self, container: ContainerId, path: str) -> str:
        """Return what is at a path, links followed inside: `folder`, `file`, or nothing."""
        async with self.containers.reach(container) as reached:
            return await in_thread(_kind, reached, path)

    @asynccontextmanager
    async def packed(
        self, container: ContainerId, path: str, *, name: str, follow: bool
    ) -> AsyncIterator[IO[bytes]]:
        """Yield a tarball of what is at a path, under ``name``, read from its beginning."""
        with tempfile.TemporaryFile(dir=self.scratch) as file:
            async with self.containers.reach(container) as reached:
                _refuse_hidden(reached, path)
                await in_thread(pack_entry, reached.root, path, file, name=name, follow=follow)
            file.seek(0)
            yield file

    async def unpack(
        self, container: ContainerId, path: str, source: IO[bytes], *, owners: bool
    ) -> None:
        """Unpack a tarball into the folder at a path; root owns it unless ``owners`` are kept."""
        async with self.containers.reach(container) as reached:
            _refuse_hidden(reached, path)
            await in_thread(_unpack, reached, path, source, owners=owners)


def _kind(reached: Reached, path: str) -> str:
    try:
        found = openat2(reached.root, path.lstrip("/") or ".", os.O_PATH, INSIDE)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return ""
        raise _refused(path, error) from error
    try:
        return "folder" if stat.S_ISDIR(os.fstat(found).st_mode) else "file"
    finally:
        os.close(found)


def _unpack(reached: Reached, path: str, source: IO[bytes], *, owners: bool) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        folder = openat2(reached.root, path.lstrip("/") or ".", flags, INSIDE)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        unpack_copy(source, Path(f"/proc/self/fd/{folder}"), owner=None if owners else ROOT)
    except InvalidError as error:
        raise InvalidError("copy to", path[:200], error.cause, code="invalid") from error
    finally:
        os.close(folder)


def _refused(path: str, error: OSError) -> NotFoundError:
    cause = error.strerror or str(error)
    return NotFoundError("reach", path[:200], f"{cause[:1].lower()}{cause[1:]}")


def _refuse_hidden(reached: Reached, path: str) -> None:
    """Refuse what would go under a mount that is not there now, or be missing for one."""
    wanted = posixpath.normpath(f"/{path.lstrip('/')}")
    for target in reached.hidden:
        if f"{wanted}/".startswith(f"{posixpath.normpath(target)}/"):
            raise ConflictError(
                "reach",
                path[:200],
                f"`{target}` is mounted in it, and only while it runs",
                hint="start it first",
            )
