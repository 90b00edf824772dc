"""The directory a container's process starts in: made where it is missing, and kept inside.

The path may come from an image and is hostile: it is looked up inside the root, and one that
ends in ``/proc`` is refused, because descriptors of the host could lie there (CVE-2024-21626).
"""

import contextlib
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import InvalidError
from runtime.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

FOLDER = os.O_PATH | os.O_DIRECTORY
INSIDE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS


def checked(path: str, container: str) -> str:
    """Return a working directory as an absolute path. Raises InvalidError for one that is none."""
    if ".." in path.split("/"):
        raise _refused(path, container, "it leads upwards")
    clean = posixpath.normpath(f"/{path}")
    clean = f"/{clean.lstrip('/')}"
    if clean == "/proc" or clean.startswith("/proc/"):
        raise _refused(path, container, "it is in /proc")
    return clean


def make_working_dir(root: Path, path: str, container: str) -> None:
    """Make ``path`` inside ``root`` where it is missing, as a directory of root's.

    Raises InvalidError where something else is in the way, and for a way into ``/proc``.
    """
    clean = checked(path, container)
    with _opened(os.open(root, FOLDER | os.O_CLOEXEC)) as top:
        reached = ""
        for name in clean.strip("/").split("/"):
            above, reached = reached, f"{reached}/{name}"
            if name:
                _make(top, above or ".", name, reached, container)
        try:
            with _opened(openat2(top, reached.lstrip("/") or ".", FOLDER, INSIDE)) as found:
                real = os.readlink(f"/proc/self/fd/{found}")
                start = os.readlink(f"/proc/self/fd/{top}")
        except OSError as error:
            raise _refused(path, container, error.strerror or str(error)) from error
    if f"{real}/".startswith(f"{start}/proc/"):
        raise _refused(path, container, "a link in it leads into /proc")


def _make(top: int, above: str, name: str, reached: str, container: str) -> None:
    try:
        with _opened(openat2(top, reached.lstrip("/"), FOLDER, INSIDE)):
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _refused(reached, container, error.strerror or str(error)) from error
    with _opened(openat2(top, above.lstrip("/") or ".", FOLDER, INSIDE)) as folder:
        try:
            os.mkdir(name, 0o755, dir_fd=folder)
        except FileExistsError:
            raise _refused(reached, container, "a link in it leads nowhere") from None


@contextlib.contextmanager
def _opened(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def _refused(path: str, container: str, cause: str) -> InvalidError:
    return InvalidError(
        "create container",
        container,
        f"working directory `{path[:200]}`: {cause}",
        hint="set `working_dir` to a directory of the container",
        code="workdir",
    )
