"""Where images come in from besides registries: archives and layouts, read by digest.

Members are looked up by name and only ever read; nothing of an archive is extracted by the
names it carries.
"""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from runtime.errors import InvalidError, NotFoundError
from runtime.image.manifest import MAX_DOCUMENT


class Bag(Protocol):
    """Named files: a directory, or a tarball."""

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of one of them. Raises InvalidError when there is none."""

    def names(self) -> set[str]:
        """Return the names of all."""


@dataclass(frozen=True, slots=True)
class DirectoryBag:
    """The files of a directory."""

    root: Path

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of a regular file below the directory."""
        path = self.root / name
        if ".." in Path(name).parts or path.is_symlink() or not path.is_file():
            raise InvalidError("read", f"{self.root}/{name}", "there is no such file")
        return path.open("rb")

    def names(self) -> set[str]:
        """Return the names at the top."""
        return {path.name for path in self.root.iterdir()}


@dataclass(frozen=True, slots=True)
class TarBag:
    """The regular members of a tarball; the last of several with one name counts."""

    archive: tarfile.TarFile
    members: dict[str, tarfile.TarInfo]

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of a member."""
        member = self.members.get(name)
        found = self.archive.extractfile(member) if member else None
        if found is None:
            raise InvalidError("read", name[:200], "the archive has no such file")
        return found

    def names(self) -> set[str]:
        """Return the names of all members."""
        return set(self.members)


@contextmanager
def open_bag(source: Path) -> Iterator[Bag]:
    """Open a directory or a tarball, compressed or not."""
    if source.is_dir():
        yield DirectoryBag(source)
        return
    if not source.is_file():
        raise NotFoundError("load image from", str(source), "there is no such file or directory")
    try:
        with tarfile.open(source, "r:*") as archive:
            members = {
                member.name.removeprefix("./"): member for member in archive if member.isreg()
            }
            yield TarBag(archive, members)
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise InvalidError(
            "load image from", str(source), f"it is no image archive: {error}"
        ) from error


def read_document(bag: Bag, name: str) -> object:
    """Return a JSON document of a bag."""
    with bag.open(name) as stream:
        data = stream.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise InvalidError("read", name, "it is larger than 8 MiB")
    try:
        return json.loads(data)
    except ValueError as error:
        raise InvalidError("read", name, f"not JSON: {error}") from error
