"""Unpack layers as root without ever leaving the directory they belong in.

The standard library reads the headers; what they ask for is done here, by file descriptor:
the folder of every member is opened inside the root with ``openat2``, so that no link, no
``..`` and no absolute name leads anywhere else, and the last part of a name is never
followed. Whiteouts become what overlayfs expects (image-spec, layer.md).
"""

import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from typing_extensions import override

from runtime.errors import InvalidError
from runtime.image.streams import CHUNK, CODEC_ERRORS, ForwardReader, Tee, decompress
from runtime.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2
from runtime.trouble import HOST_TROUBLE

MAX_BYTES = 20 * 1024**3
SMALL = 1024**3
MAX_RATIO = 100
"""A layer larger than ``SMALL`` may grow so much when it is decompressed."""
MAX_ENTRIES = 5_000_000
MAX_DEPTH = 512
"""Directories within each other: what is deeper, few programs can remove again."""
MAX_XATTR = 64 * 1024
_XATTR = "SCHILY.xattr."
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


def largest(compressed: int) -> int:
    """Return how large a layer of so many compressed bytes may be."""
    return min(MAX_BYTES, SMALL + MAX_RATIO * compressed)


def unpack_layer(
    source: IO[bytes], target: Path, *, limit: int = MAX_BYTES, entries: int = MAX_ENTRIES
) -> str:
    """Apply the layer in ``source`` to the empty directory ``target``; return its diff id.

    Raises InvalidError, naming the member, for anything hostile or broken, and OSError where
    the host itself is in trouble; ``target`` is then the caller's to throw away.
    """
    raw = source if isinstance(source, Tee) else Tee(source)
    return _unpack(raw, target, _Unpacker, limit, entries)


def unpack_plain(
    source: IO[bytes], target: Path, *, limit: int = MAX_BYTES, entries: int = MAX_ENTRIES
) -> None:
    """Unpack a tarball that is no layer: whiteouts are files like others, and root owns all.

    Raises as :func:`unpack_layer` does.
    """
    _unpack(Tee(source), target, _PlainUnpacker, limit, entries)


def unpack_copy(
    source: IO[bytes], target: Path, *, owner: tuple[int, int] | None, top: bool = False
) -> None:
    """Unpack a tarball into a directory that has something in it; what is there is merged with.

    ``owner`` owns all of it, where it is not to be whom the tarball says. With ``top`` the
    directory itself becomes as the tarball says. No link that leads out of ``target`` is followed,
    whoever made it. Raises as :func:`unpack_layer` does.
    """

    def copier(root: int, entries: int, limit: int) -> _Unpacker:
        return _Copier(root, entries, limit, owner, top=top)

    _unpack(Tee(source), target, copier, MAX_BYTES, MAX_ENTRIES)


def _unpack(
    raw: Tee,
    target: Path,
    unpacker: "Callable[[int, int, int], _Unpacker]",
    limit: int,
    entries: int,
) -> str:
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        reader = ForwardReader(decompress(raw), limit)
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r:") as archive:
                unpacker(root, entries, limit).unpack(archive)
            if len(reader.last) % tarfile.BLOCKSIZE or reader.last.strip(b"\0"):
                raise InvalidError(
                    "unpack", "layer", "it ends in the middle of something", code="layer_tar"
                )
            return reader.finish()
        except CODEC_ERRORS as error:
            raise InvalidError(
                "unpack", "layer", f"it is broken: {error}", code="layer_codec"
            ) from error
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidError(
                "unpack", "layer", f"it is broken: {error}", code="layer_tar"
            ) from error
    finally:
        os.close(root)


class _Unpacker:
    def __init__(self, root: int, entries: int, limit: int) -> None:
        self._root = root
        self._limit = limit
        self._written = 0
        self._entries = entries
        self._times: dict[str, tuple[int, int]] = {}

    def unpack(self, archive: tarfile.TarFile) -> None:
        count = 0
        while (member := archive.next()) is not None:
            count += 1
            if count > self._entries:
                raise InvalidError(
                    "unpack", "layer", f"more than {self._entries} files", code="layer_inodes"
                )
            if member.size < 0:
                raise _refused(member, "a negative size", "layer_tar")
            # The header reader keeps every member it has seen; nobody needs them again.
            archive.members = []  # type: ignore[attr-defined]
            try:
                self._member(archive, member)
            except OSError as error:
                if error.errno in HOST_TROUBLE:
                    raise
                link = member.islnk()
                cause = error.strerror or str(error)
                raise _refused(member, cause, "layer_link" if link else "layer_path") from error
        for path, times in reversed(self._times.items()):
            try:
                fd = self._folder(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later member took its place
            try:
                os.utime(fd, ns=times)
            finally:
                os.close(fd)

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = _parts(member.name)
        if not parts:
            if member.isdir():
                self._own(self._root, None, member)
                self._times["."] = _times(member)
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
        if self._hidden(member, folder, name):
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
                raise _refused(member, "a whiteout in disguise", "layer_device")
            return  # devices of an image are never used: the runtime makes its own
        else:
            raise _refused(member, "an unknown kind of member", "layer_tar")
        self._own(folder, name, member)
        if member.isfifo():
            # Made a moment ago, and nobody else is here: it is no link.
            os.chmod(name, member.mode & 0o7777, dir_fd=folder)

    def _hidden(self, member: tarfile.TarInfo, folder: int, name: str) -> bool:
        """Hide what a whiteout names; say whether ``member`` was one."""
        if name == _OPAQUE:
            os.setxattr(folder, "trusted.overlay.opaque", b"y")
            return True
        if not name.startswith(_WHITEOUT):
            return False
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", "..") or hidden.startswith(_WHITEOUT):
            raise _refused(member, "a whiteout of nothing", "layer_whiteout")
        _clear(folder, hidden)
        os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)
        return True

    def _directory(self, folder: int, name: str, member: tarfile.TarInfo, path: str) -> None:
        try:
            _mkdir(folder, name, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
                os.unlink(name, dir_fd=folder)
                _mkdir(folder, name, 0o700)
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
        # A sparse file is larger than what the archive holds of it.
        self._written += member.size
        if self._written > self._limit:
            raise _refused(member, f"its files are larger than {self._limit} bytes", "layer_size")
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
            raise _refused(member, "a hard link to nothing", "layer_link")
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
        """Open a directory of the layer; with ``make`` what is missing on the way is made."""
        if not make:
            return self._open(path)
        try:
            return self._open(path)
        except FileNotFoundError:
            pass
        found = self._open(".")
        walked = ""
        for name in path.split("/"):
            walked = f"{walked}/{name}" if walked else name
            try:
                deeper = self._open(walked)
            except FileNotFoundError:
                try:
                    _mkdir(found, name, 0o755)
                except FileExistsError:
                    # A link whose target does not exist: the name is taken, and leads nowhere.
                    os.unlink(name, dir_fd=found)
                    _mkdir(found, name, 0o755)
                finally:
                    os.close(found)
                deeper = self._open(walked)
            else:
                os.close(found)
            found = deeper
        return found

    def _open(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY
        return openat2(self._root, path or ".", flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


class _PlainUnpacker(_Unpacker):
    @override
    def _hidden(self, member: tarfile.TarInfo, folder: int, name: str) -> bool:
        return False

    @override
    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        member.uid = member.gid = 0
        super()._member(archive, member)


class _Copier(_Unpacker):
    def __init__(
        self, root: int, entries: int, limit: int, owner: tuple[int, int] | None, *, top: bool
    ) -> None:
        super().__init__(root, entries, limit)
        self._owner = owner
        self._top = top

    @override
    def _hidden(self, member: tarfile.TarInfo, folder: int, name: str) -> bool:
        if not member.isdir() and _is_folder(folder, name):
            raise _refused(member, "there is a directory of that name", "layer_path")
        return False

    @override
    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if self._owner is not None:
            member.uid, member.gid = self._owner
        if self._top or _parts(member.name):
            # What is copied into was there before, and stays as it is.
            super()._member(archive, member)


def _is_folder(folder: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return False


def _mkdir(folder: int, name: str, mode: int) -> None:
    # Links make a short name of a deep place: only the kernel knows how deep it is.
    if os.readlink(f"/proc/self/fd/{folder}").count("/") > MAX_DEPTH:
        raise InvalidError(
            "unpack", shown(name), f"more than {MAX_DEPTH} directories deep", code="layer_path"
        )
    os.mkdir(name, mode, dir_fd=folder)


def _parts(name: str) -> list[str]:
    if "\0" in name:
        raise InvalidError("unpack", shown(name), "a name with a NUL in it", code="layer_path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if len(parts) > MAX_DEPTH:
        raise InvalidError(
            "unpack", shown(name), f"more than {MAX_DEPTH} directories deep", code="layer_path"
        )
    if ".." in parts:
        raise InvalidError("unpack", shown(name), "a name that leads upwards", code="layer_path")
    return parts


def shown(name: str) -> str:
    """Return a member's name as it may be printed: short, and nothing a terminal obeys."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in name[:200])


def _refused(member: tarfile.TarInfo, cause: str, code: str) -> InvalidError:
    return InvalidError("unpack", shown(member.name), cause, code=code)


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
            raise _refused(member, f"attribute {name} is too large", "layer_xattr")
        os.setxattr(fd, name, data)


def _times(member: tarfile.TarInfo) -> tuple[int, int]:
    moment = int(min(max(float(member.mtime), 0.0), 2**33) * 1_000_000_000)
    return moment, moment


def _id(number: int) -> int:
    if not 0 <= number < 2**31:
        raise InvalidError("unpack", "layer", f"owner {number} is out of range", code="layer_path")
    return number
