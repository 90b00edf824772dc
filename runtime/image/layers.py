"""Unpack layers as root without ever leaving the directory they belong in.

The standard library reads the headers; what they ask for is done here, by file descriptor:
the folder of every member is opened inside the root with ``openat2``, so that no link, no
``..`` and no absolute name leads anywhere else, and the last part of a name is never
followed. Whiteouts become what overlayfs expects (image-spec, layer.md).
"""

import hashlib
import os
import stat
import tarfile
from pathlib import Path
from typing import IO, Any, cast

import zstandard
from isal import igzip

from runtime.errors import InvalidError
from runtime.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

MAX_BYTES = 20 * 1024**3
MAX_ENTRIES = 5_000_000
MAX_XATTR = 64 * 1024
CHUNK = 1024 * 1024
_XATTR = "SCHILY.xattr."
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class HashingReader:
    """A stream that is hashed while it is read, up to a cap."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        """Read from ``source``, at most ``limit`` bytes."""
        self._source = source
        self._limit = limit
        self._hash = hashlib.sha256()
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes. Raises InvalidError past the cap."""
        data = self._source.read(size)
        self.count += len(data)
        if self.count > self._limit:
            raise InvalidError("unpack", "layer", f"it is larger than {self._limit} bytes")
        self._hash.update(data)
        return data

    def finish(self) -> str:
        """Read what is left and return the digest of everything."""
        while self.read(CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"


def decompress(source: IO[bytes]) -> IO[bytes]:
    """Return a stream of what ``source`` holds: gzip, zstd, or nothing special."""
    head = source.read(6)
    source.seek(0)
    if head.startswith(b"\x1f\x8b"):
        unzipped = igzip.IGzipFile(fileobj=source, mode="rb")  # type: ignore[no-untyped-call]
        return cast("IO[bytes]", unzipped)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(source)
        return cast("IO[bytes]", reader)
    if head.startswith(b"\xfd7zXZ"):
        import lzma

        return cast("IO[bytes]", lzma.LZMAFile(source))
    return source


def unpack_layer(source: IO[bytes], target: Path, *, limit: int = MAX_BYTES) -> str:
    """Apply the layer in ``source`` to the empty directory ``target``; return its diff id.

    Raises InvalidError, naming the member, for anything hostile or broken; ``target`` is
    then the caller's to throw away.
    """
    reader = HashingReader(decompress(source), limit)
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r|") as archive:
                _Unpacker(root).unpack(archive)
        except (
            tarfile.TarError,
            EOFError,
            zstandard.ZstdError,
            ValueError,
            OverflowError,
        ) as error:
            raise InvalidError("unpack", "layer", f"it is broken: {error}") from error
        except igzip.BadGzipFile as error:
            raise InvalidError("unpack", "layer", f"it is broken: {error}") from error
        return reader.finish()
    finally:
        os.close(root)


class _Unpacker:
    def __init__(self, root: int) -> None:
        self._root = root
        self._times: dict[str, tuple[int, int]] = {}

    def unpack(self, archive: tarfile.TarFile) -> None:
        for count, member in enumerate(archive):
            if count > MAX_ENTRIES:
                raise InvalidError("unpack", "layer", f"more than {MAX_ENTRIES} files")
            # The header reader keeps every member it has seen; nobody needs them again.
            archive.members = []  # type: ignore[attr-defined]
            try:
                self._member(archive, member)
            except OSError as error:
                cause = error.strerror or str(error)
                raise InvalidError("unpack", member.name[:200], cause) from error
        for path, times in reversed(self._times.items()):
            fd = self._folder(path)
            try:
                os.utime(fd, ns=times)
            finally:
                os.close(fd)

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = _parts(member.name)
        if not parts:
            if member.isdir():
                self._own(self._root, None, member)
            return
        folder = self._folder("/".join(parts[:-1]), make=True)
        try:
            self._place(archive, member, folder, parts)
        finally:
            os.close(folder)

    def _place(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, folder: int, parts: list[str]
    ) -> None:
        name = parts[-1]
        if name == _OPAQUE:
            os.setxattr(folder, "trusted.overlay.opaque", b"y")
            return
        if name.startswith(_WHITEOUT):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", "..") or hidden.startswith(_WHITEOUT):
                raise InvalidError("unpack", member.name[:200], "a whiteout of nothing")
            _clear(folder, hidden)
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)
            return
        if member.isdir():
            self._directory(folder, name, member, "/".join(parts))
            return
        _clear(folder, name)
        if member.isreg():
            self._file(archive, member, folder, name)
            return
        if member.islnk():
            self._hardlink(member, folder, name)
            return
        if member.issym():
            os.symlink(member.linkname, name, dir_fd=folder)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=folder)
        elif member.ischr() or member.isblk():
            if (member.devmajor, member.devminor) == (0, 0):
                raise InvalidError("unpack", member.name[:200], "a whiteout in disguise")
            return  # devices of an image are never used: the runtime makes its own
        else:
            raise InvalidError("unpack", member.name[:200], "an unknown kind of member")
        self._own(folder, name, member)

    def _directory(self, folder: int, name: str, member: tarfile.TarInfo, path: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
                os.unlink(name, dir_fd=folder)
                os.mkdir(name, 0o700, dir_fd=folder)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            os.fchown(fd, _id(member.uid), _id(member.gid))
            os.fchmod(fd, member.mode & 0o7777)
            _xattrs(fd, member)
        finally:
            os.close(fd)
        self._times[path] = _times(member)

    def _file(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, folder: int, name: str
    ) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            source = archive.extractfile(member)
            while source is not None and (data := source.read(CHUNK)):
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            os.fchown(fd, _id(member.uid), _id(member.gid))
            # After the owner: changing that clears setuid bits and capabilities.
            os.fchmod(fd, member.mode & 0o7777)
            _xattrs(fd, member)
            os.utime(fd, ns=_times(member))
        finally:
            os.close(fd)

    def _hardlink(self, member: tarfile.TarInfo, folder: int, name: str) -> None:
        parts = _parts(member.linkname)
        if not parts:
            raise InvalidError("unpack", member.name[:200], "a hard link to nothing")
        beside = self._folder("/".join(parts[:-1]))
        try:
            os.link(parts[-1], name, src_dir_fd=beside, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(beside)

    def _own(self, folder: int, name: str | None, member: tarfile.TarInfo) -> None:
        if name is None:
            os.fchown(folder, _id(member.uid), _id(member.gid))
            os.fchmod(folder, member.mode & 0o7777)
            return
        os.chown(name, _id(member.uid), _id(member.gid), dir_fd=folder, follow_symlinks=False)
        os.utime(name, ns=_times(member), dir_fd=folder, follow_symlinks=False)

    def _folder(self, path: str, *, make: bool = False) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY
        resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
        try:
            return openat2(self._root, path or ".", flags, resolve)
        except FileNotFoundError:
            if not make:
                raise
        above, _, name = path.rpartition("/")
        parent = self._folder(above, make=True)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            # A link whose target does not exist: the name is taken, and leads nowhere.
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, 0o755, dir_fd=parent)
        finally:
            os.close(parent)
        return openat2(self._root, path, flags, resolve)


def _parts(name: str) -> list[str]:
    if "\0" in name:
        raise InvalidError("unpack", name[:200], "a name with a NUL in it")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidError("unpack", name[:200], "a name that leads upwards")
    return parts


def _clear(folder: int, name: str) -> None:
    try:
        status = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=folder)
        return
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        for below in os.listdir(fd):
            _clear(fd, below)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=folder)


def _xattrs(fd: int, member: tarfile.TarInfo) -> None:
    headers: dict[str, Any] = dict(member.pax_headers)
    for key, value in headers.items():
        if not key.startswith(_XATTR):
            continue
        name = key.removeprefix(_XATTR)
        if not name.startswith(("user.", "security.capability")) or name.startswith("user.overlay"):
            continue  # overlayfs keeps its own marks as attributes: an image may not set them
        data = str(value).encode("utf-8", "surrogateescape")
        if len(data) > MAX_XATTR:
            raise InvalidError("unpack", member.name[:200], f"attribute {name} is too large")
        os.setxattr(fd, name, data)


def _times(member: tarfile.TarInfo) -> tuple[int, int]:
    moment = int(min(max(float(member.mtime), 0.0), 2**33) * 1_000_000_000)
    return moment, moment


def _id(number: int) -> int:
    if not 0 <= number < 2**31:
        raise InvalidError("unpack", "layer", f"owner {number} is out of range")
    return number
