"""A container's files as a tarball: all of them, or what differs from its image.

The container may run and change everything meanwhile: folders are opened by descriptor and no
link is ever followed, so that nothing outside its root is read (blocking).
"""

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from runtime.errors import InvalidError, NotFoundError
from runtime.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

MAX_DEPTH = 256
INSIDE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
CHUNK = 1024 * 1024
_OPAQUE = "trusted.overlay.opaque"
_STEERING = ("trusted.overlay.redirect", "trusted.overlay.metacopy")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def pack_tree(root: Path, out: IO[bytes], *, changes: bool) -> None:
    """Write what is below ``root`` to ``out``; with ``changes`` it is an overlay's upper layer.

    What was removed becomes whiteouts (image-spec, layer.md). Sockets and devices are left
    out. Raises InvalidError for a tree that is too deep, or cannot be told as a layer.
    """
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        fd = os.open(root, _FOLDER)
        try:
            _Packer(archive, changes=changes).folder(fd, ".", os.fstat(fd), depth=0)
        finally:
            os.close(fd)


def pack_entry(root: int, path: str, out: IO[bytes], *, name: str, follow: bool) -> None:
    """Write what is at ``path`` below ``root`` to ``out``, under ``name``; a folder with all in it.

    ``.`` as a name is for what a folder holds. A link is itself, or with ``follow`` what it leads
    to, inside the root. Raises NotFoundError where there is nothing, InvalidError as above.
    """
    above, _, last = path.rstrip("/").rpartition("/")
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        packer = _Packer(archive, changes=False)
        try:
            if follow or last in ("", ".", "..") or name == ".":
                path = _reached(root, path)
                above, _, last = path.rpartition("/")
            folder = openat2(root, above.lstrip("/") or ".", _FOLDER & ~os.O_NOFOLLOW, INSIDE)
            try:
                if not last:
                    packer.folder(folder, name, os.fstat(folder), depth=0)
                else:
                    os.lstat(last, dir_fd=folder)
                    packer.entry(folder, last, name, depth=-1)
            finally:
                os.close(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(
                "copy from container", path[:200], "there is no such file"
            ) from None


def _reached(root: int, path: str) -> str:
    """Return where a path leads in the end, as seen from the root. Raises FileNotFoundError."""
    found = openat2(root, path.lstrip("/") or ".", os.O_PATH, INSIDE)
    try:
        top = os.readlink(f"/proc/self/fd/{root}")
        place = os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)
    return "/" + place.removeprefix(top).lstrip("/")


class _Packer:
    def __init__(self, archive: tarfile.TarFile, *, changes: bool) -> None:
        self._archive = archive
        self._changes = changes
        self._linked: dict[tuple[int, int], str] = {}

    def folder(self, fd: int, path: str, status: os.stat_result, *, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise InvalidError("pack", path[:200], f"more than {MAX_DEPTH} directories deep")
        info = _info(path, status)
        info.type = tarfile.DIRTYPE
        info.pax_headers = _attributes(fd)
        self._archive.addfile(info)
        if self._changes:
            marks = os.listxattr(fd)
            if any(mark in marks for mark in _STEERING):
                raise InvalidError("pack", path[:200], "the kernel keeps it in parts elsewhere")
            if _OPAQUE in marks:
                self._archive.addfile(tarfile.TarInfo(f"{path}/.wh..wh..opq"))
        for name in sorted(os.listdir(fd)):
            try:
                self.entry(fd, name, f"{path}/{name}", depth)
            except FileNotFoundError:
                continue  # it went meanwhile

    def entry(self, folder: int, name: str, path: str, depth: int) -> None:
        status = os.lstat(name, dir_fd=folder)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            try:
                fd = os.open(name, _FOLDER, dir_fd=folder)
            except OSError:
                return  # something else has taken its place
            try:
                self.folder(fd, path, os.fstat(fd), depth=depth + 1)
            finally:
                os.close(fd)
        elif stat.S_ISREG(mode):
            self._file(folder, name, path)
        elif stat.S_ISLNK(mode):
            info = _info(path, status)
            info.type = tarfile.SYMTYPE
            try:
                info.linkname = os.readlink(name, dir_fd=folder)
            except OSError:
                return
            self._archive.addfile(info)
        elif stat.S_ISFIFO(mode):
            info = _info(path, status)
            info.type = tarfile.FIFOTYPE
            self._archive.addfile(info)
        elif self._changes and stat.S_ISCHR(mode) and status.st_rdev == 0:
            above, _, last = path.rpartition("/")
            self._archive.addfile(tarfile.TarInfo(f"{above}/.wh.{last}"))

    def _file(self, folder: int, name: str, path: str) -> None:
        try:
            # Not to wait for a writer, should it have become a pipe.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(name, flags, dir_fd=folder)
        except OSError:
            return
        with os.fdopen(fd, "rb", buffering=0) as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return
            info = _info(path, status)
            place = status.st_dev, status.st_ino
            if status.st_nlink > 1 and place in self._linked:
                info.type, info.linkname = tarfile.LNKTYPE, self._linked[place]
                self._archive.addfile(info)
                return
            self._linked[place] = path
            info.size = status.st_size
            info.pax_headers = _attributes(fd)
            self._archive.addfile(info, _Exactly(file, status.st_size))


class _Exactly:
    """A file that has as many bytes as its header says, whatever becomes of it meanwhile."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = min(self._left, CHUNK if size < 0 else size)
        data = self._file.read(wanted) or bytes(wanted)
        self._left -= len(data)
        return data


def _info(path: str, status: os.stat_result) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.mtime = int(status.st_mtime)
    return info


def _attributes(fd: int) -> dict[str, str]:
    return {
        f"SCHILY.xattr.{name}": os.getxattr(fd, name).decode("utf-8", "surrogateescape")
        for name in _kept(os.listxattr(fd))
    }


def _kept(names: list[str]) -> Iterator[str]:
    for name in names:
        if name.startswith(("user.", "security.capability")) and "overlay" not in name:
            yield name
