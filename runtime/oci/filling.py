"""What an image has at a place → a volume that is used there for the first time.

The path is looked up inside the root and links in what is copied stay links, so that an image
cannot name files of the host (CVE-2022-23648). A running container may have the volume, too, and
put links there meanwhile: nothing is reached by its path twice.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from runtime.oci.users import ResolvedUser
from runtime.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

O_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
COPYING = ".pyorch-copying"
"""What a file is called until it is whole."""


def fill_volume(root: Path, target: str, content: Path, *, unfinished: Path) -> None:
    """Copy what the image has at ``target`` into a volume that is still empty.

    While that lasts there is a file ``unfinished``: where it is found, the copying goes on.
    What is in the volume by then stays as it is.
    """
    if any(content.iterdir()) and not unfinished.exists():
        return
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        _inside(root, target) as copied,
    ):
        status = os.fstat(copied)
        unfinished.touch(mode=0o600)
        with _opened(str(content), O_FOLDER) as volume:
            _copy_tree(copied, volume)
            os.fchown(volume, status.st_uid, status.st_gid)
            os.fchmod(volume, stat.S_IMODE(status.st_mode))
    unfinished.unlink(missing_ok=True)


def hand_over(root: Path, target: str, content: Path, user: ResolvedUser, *, filled: bool) -> None:
    """Give an empty volume nobody has touched to ``user``, who could not write to it otherwise.

    One that was filled from the image belongs to whom the image says.
    """
    if filled:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), _inside(root, target):
            return
    with _opened(str(content), O_FOLDER) as volume:
        status = os.fstat(volume)
        untouched = (status.st_uid, status.st_gid) == (0, 0) and not os.listdir(volume)
        if untouched:
            os.fchown(volume, user.uid, user.gid)


def _copy_tree(source: int, target: int) -> None:
    """Copy what is in one open directory into another, but for what is there already."""
    with os.scandir(source) as entries:
        for entry in entries:
            name, status = entry.name, entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                _copy_link(source, target, name, status)
            elif entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=target)
                with (
                    _opened(name, O_FOLDER, source) as below,
                    _opened(name, O_FOLDER, target) as copy,
                ):
                    _copy_tree(below, copy)
                    _copy_status(copy, status)
            elif entry.is_file(follow_symlinks=False):
                _copy_file(source, target, name, status)


def _copy_link(source: int, target: int, name: str, status: os.stat_result) -> None:
    try:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    except FileExistsError:
        return
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str, status: os.stat_result) -> None:
    # Under its own name only once it is whole: what was cut off must not pass for a file.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(COPYING, dir_fd=target)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with (
        _opened(name, os.O_RDONLY | os.O_NOFOLLOW, source) as original,
        _opened(COPYING, flags, target) as copy,
        open(original, "rb", closefd=False) as reading,
        open(copy, "wb", closefd=False) as writing,
    ):
        shutil.copyfileobj(reading, writing, 1024 * 1024)
        writing.flush()
        _copy_status(copy, status)
        with contextlib.suppress(FileExistsError):
            os.link(COPYING, name, src_dir_fd=target, dst_dir_fd=target, follow_symlinks=False)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(COPYING, dir_fd=target)


def _copy_status(copy: int, status: os.stat_result) -> None:
    # The owner first: changing it takes the setuid bit away.
    os.fchown(copy, status.st_uid, status.st_gid)
    os.fchmod(copy, stat.S_IMODE(status.st_mode))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.contextmanager
def _inside(root: Path, target: str) -> Iterator[int]:
    """Open a directory of the image, wherever its links lead inside the root."""
    with _opened(str(root), os.O_PATH | os.O_DIRECTORY) as top:
        resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
        fd = openat2(top, target.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY, resolve)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _opened(name: str, flags: int, folder: int | None = None) -> Iterator[int]:
    fd = os.open(name, flags | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)
