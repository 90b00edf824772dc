"""Contexts of a build as one tarball, in pieces as they are read. No link is followed."""

import io
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.building.ignore import Ignored
from orchestrator.errors import PyorchError

PIECE = 256 * 1024
MODES = 0o7777


@dataclass(frozen=True, slots=True)
class Folder:
    """A context: a directory, and what of it is left out."""

    path: Path
    ignored: Ignored


def pack(folders: Sequence[Folder]) -> Iterator[bytes]:
    """Yield the tarball of contexts, each below its number, in pieces.

    Owners are left out: what is copied into an image belongs to root unless it says otherwise.
    Raises PyorchError for what cannot be read.
    """
    held = bytearray()
    for data in _members(folders):
        held += data
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    held += b"\0" * tarfile.BLOCKSIZE * 2
    yield bytes(held)


def _members(folders: Sequence[Folder]) -> Iterator[bytes]:
    for number, folder in enumerate(folders):
        yield from _member(str(folder.path), str(number))
        yield from _below(folder, "", str(number))


def _below(folder: Folder, inside: str, name: str) -> Iterator[bytes]:
    try:
        entries = sorted(os.scandir(folder.path / inside), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder.path / inside, error) from None
    for entry in entries:
        path = f"{inside}/{entry.name}" if inside else entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        left_out = folder.ignored(path)
        if left_out and not (is_folder and not folder.ignored.whole(path)):
            continue
        if not left_out:
            yield from _member(entry.path, f"{name}/{path}")
        if is_folder:
            yield from _below(folder, path, name)


def _member(path: str, name: str) -> Iterator[bytes]:
    try:
        status = os.lstat(path)
        info = tarfile.TarInfo(name)
        info.mode, info.mtime = status.st_mode & MODES, status.st_mtime
        if stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            yield from _file(path, info)
            return
        else:
            return  # sockets, pipes and devices are of this machine, and of this moment
        yield info.tobuf(tarfile.PAX_FORMAT)
    except OSError as error:
        raise _unreadable(path, error) from None


def _file(path: str, info: tarfile.TarInfo) -> Iterator[bytes]:
    # Not to wait for a writer, should a pipe have taken its place meanwhile.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with io.FileIO(fd) as file:
        info.size = left = os.fstat(fd).st_size
        yield info.tobuf(tarfile.PAX_FORMAT)
        while left and (data := file.read(min(left, PIECE))):
            yield data
            left -= len(data)
    # A file that became shorter while it was read must not shift what follows.
    yield b"\0" * (left + -info.size % tarfile.BLOCKSIZE)


def _unreadable(path: str | Path, error: OSError) -> PyorchError:
    cause = error.strerror or str(error)
    return PyorchError(
        f"`{path}` is part of the build context and cannot be read: {cause.lower()}",
        hint="leave it out with a `.dockerignore`, or make it readable",
    )
