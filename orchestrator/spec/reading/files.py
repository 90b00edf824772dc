"""Files somebody named: opened without waiting, bounded, and turned into text."""

import codecs
import os
import stat
from pathlib import Path

from orchestrator.spec.problems import Mark, Problem, SpecError

MAX_BYTES = 10_000_000

_KINDS = (
    (stat.S_ISDIR, "it is a directory"),
    (stat.S_ISFIFO, "it is a named pipe"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)
# Files of these are made up as they are read: some wait, some never end, some hold secrets.
_KERNEL = ("/proc", "/sys")
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_file(path: Path) -> str:
    """Return the text of a file. Raises SpecError for what is no ordinary text file."""
    return decode(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """Return the content of an ordinary file of at most ``MAX_BYTES``. Never waits."""
    file = str(path)
    try:
        # Looked at before it is opened: opening a device may already do something.
        _check(file, os.stat(path))
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            _check(file, os.fstat(handle))
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refuse(file, _why(path, error)) from None
    except ValueError:
        raise _refuse(file, "no file can have such a name") from None
    if len(data) > MAX_BYTES:
        raise _too_large(file)
    return data


def decode(data: bytes, file: str) -> str:
    """Return ``data`` as text: UTF-8, or UTF-16 that says so. Raises SpecError."""
    for mark, encoding in _UTF16.items():
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding)
            except UnicodeDecodeError:
                raise _refuse(file, "not valid UTF-16", "save it as UTF-8") from None
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        lines = data[: error.start].decode().split("\n")
        place = Mark(file=file, line=len(lines), column=len(lines[-1]) + 1)
        cause = f"not valid UTF-8: byte 0x{data[error.start]:02x}"
        raise SpecError(
            [Problem(mark=place, path="", cause=cause, hint="save the file as UTF-8")]
        ) from None


def _check(file: str, status: os.stat_result) -> None:
    for matches, what in _KINDS:
        if matches(status.st_mode):
            hint = "give it on standard input, with `-f -`" if "pipe" in what else None
            raise _refuse(file, f"cannot read it: {what}", hint)
    if any(status.st_dev == os.stat(root).st_dev for root in _KERNEL if os.path.ismount(root)):
        raise _refuse(file, "cannot read it: the kernel makes it up, it is no ordinary file")
    if status.st_size > MAX_BYTES:
        raise _too_large(file)


def _why(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return f"cannot read it: it is a link to `{os.readlink(path)}`, which does not exist"
    return f"cannot read it: {os.strerror(error.errno or 0)}"


def _too_large(file: str) -> SpecError:
    return _refuse(file, f"it is larger than {MAX_BYTES // 10**6} MB")


def _refuse(file: str, cause: str, hint: str | None = None) -> SpecError:
    return SpecError([Problem(mark=Mark(file=file), path="", cause=cause, hint=hint)])
