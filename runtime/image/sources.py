"""Where images come in from besides registries: archives and layouts, read by digest.

Members are looked up by name and only ever read; nothing of an archive is extracted by the
names it carries.
"""

import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from typing_extensions import override

from runtime.errors import InvalidError, NotFoundError
from runtime.image.layers import MAX_BYTES, shown
from runtime.image.manifest import MAX_DOCUMENT
from runtime.image.streams import CHUNK, CODEC_ERRORS, Tee, compression, decompress
from runtime.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

MAX_MEMBERS = 100_000
MAX_PIECE = 2 * MAX_DOCUMENT


class Bag(Protocol):
    """Named files: a directory, or a tarball."""

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of one of them. Raises InvalidError when there is none."""

    def size(self, name: str) -> int:
        """Return the size of one of them."""

    def names(self) -> set[str]:
        """Return the names of all."""


@dataclass(frozen=True, slots=True)
class DirectoryBag:
    """The files of a directory."""

    root: Path

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of a regular file below the directory; no link is followed."""
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Not to wait for a writer, should it be a pipe.
            flags = os.O_RDONLY | os.O_NONBLOCK
            fd = openat2(folder, name, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        except (OSError, ValueError):
            raise _missing(f"{self.root}/{name}") from None
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise _missing(f"{self.root}/{name}")
        return os.fdopen(fd, "rb")

    def size(self, name: str) -> int:
        """Return the size of a file."""
        with self.open(name) as stream:
            return os.fstat(stream.fileno()).st_size

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
            raise _missing(name)
        return found

    def size(self, name: str) -> int:
        """Return the size of a member."""
        member = self.members.get(name)
        if member is None:
            raise _missing(name)
        return member.size

    def names(self) -> set[str]:
        """Return the names of all members."""
        return set(self.members)


class _Capped(io.RawIOBase):
    """A file that is read in moderate pieces: no header of it can fill the memory."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= MAX_PIECE:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._inner.read(size)

    @override
    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._inner.seek(offset, whence)

    @override
    def tell(self) -> int:
        return self._inner.tell()


@contextmanager
def open_bag(source: Path, scratch: Path) -> Iterator[Bag]:
    """Open a directory or a tarball; a compressed one is unpacked into ``scratch`` first."""
    if source.is_dir():
        yield DirectoryBag(source)
        return
    if not source.is_file():
        raise NotFoundError("load image from", str(source), "there is no such file or directory")
    with source.open("rb") as file:
        plain = file if not compression(file.read(6)) else _plain(file, source, scratch)
        plain.seek(0)
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", _Capped(plain)), mode="r:") as archive:
                yield TarBag(archive, _members(archive))
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            raise _broken(source, error) from error
        finally:
            plain.close()


def _members(archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    found: dict[str, tarfile.TarInfo] = {}
    count = 0
    while (member := archive.next()) is not None:
        count += 1
        if count > MAX_MEMBERS:
            raise tarfile.ReadError(f"more than {MAX_MEMBERS} members")
        archive.members = []  # type: ignore[attr-defined]
        if member.isreg() and not member.issparse() and member.size >= 0:
            found[member.name.removeprefix("./")] = member
    return found


def _plain(file: IO[bytes], source: Path, scratch: Path) -> IO[bytes]:
    """Decompress an archive whose members are wanted in any order."""
    file.seek(0)
    unpacked = (scratch / "archive.tar").open("w+b")
    try:
        stream, left = decompress(Tee(file)), MAX_BYTES
        while data := stream.read(CHUNK):
            left -= len(data)
            if left < 0:
                raise _broken(source, ValueError(f"it is larger than {MAX_BYTES} bytes"))
            unpacked.write(data)
    except CODEC_ERRORS as error:
        unpacked.close()
        raise _broken(source, error) from error
    except BaseException:
        unpacked.close()
        raise
    return unpacked


def read_document(bag: Bag, name: str) -> object:
    """Return a JSON document of a bag."""
    with bag.open(name) as stream:
        data = stream.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise InvalidError("read", shown(name), "it is larger than 8 MiB", code="archive")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidError("read", shown(name), f"not JSON: {error}", code="archive") from error


def _missing(name: str) -> InvalidError:
    return InvalidError("read", shown(name), "there is no such file", code="archive")


def _broken(source: Path, error: BaseException) -> InvalidError:
    return InvalidError(
        "load image from", str(source), f"it is no image archive: {error}", code="archive"
    )
