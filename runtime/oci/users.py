"""Users and groups by the image's own ``/etc/passwd`` and ``/etc/group``.

Both files come from the image and are hostile: they are opened inside the root without
leaving it, must be regular, and are read up to a cap. A name that is not there is an error;
it never falls back to root.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import InvalidError
from runtime.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

HIGHEST = 2**31 - 1
CAP = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedUser:
    """Numeric ids, and where the user is at home."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve_user(root: Path, user: str, group_add: Sequence[str] = ()) -> ResolvedUser:
    """Resolve ``uid|name[:gid|group]`` inside ``root``; empty is root.

    Raises InvalidError for a name that is unknown or a number out of range.
    """
    name, _, group = (user or "0").partition(":")
    entries = list(_lines(root, "etc/passwd", 7))
    entry = next((line for line in entries if name in (line[0], line[2])), None)
    if name.isdigit():
        uid = _number(name, user)
        gid = _number(entry[3], user) if entry else 0
    elif entry is not None:
        uid, gid = _number(entry[2], user), _number(entry[3], user)
    else:
        raise InvalidError("resolve user", user, "the image has no such user", code="user")
    login = entry[0] if entry else name
    groups = list(_lines(root, "etc/group", 4))
    extra: set[int] = set()
    if group:
        gid = _group(groups, group, user)
    else:
        extra = {_number(line[2], user) for line in groups if login in line[3].split(",")}
    extra.update(_group(groups, one, one) for one in group_add)
    # Of a file whose group it is in, a process that gives its own group away would else become
    # one of the others, who may be allowed more (CVE-2022-36109).
    extra.add(gid)
    return ResolvedUser(
        uid=uid, gid=gid, groups=tuple(sorted(extra)), home=(entry[5] if entry else "") or "/"
    )


def _group(groups: Sequence[list[str]], group: str, user: str) -> int:
    if group.isdigit():
        return _number(group, user)
    for line in groups:
        if line[0] == group:
            return _number(line[2], user)
    raise InvalidError("resolve group", group, "the image has no such group", code="user")


def _number(text: str, user: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > HIGHEST:
        cause = f"`{text}` is no id between 0 and {HIGHEST}"
        raise InvalidError("resolve user", user, cause, code="user")
    return int(text)


def _lines(root: Path, path: str, fields: int) -> Iterator[list[str]]:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = openat2(
            top, path, os.O_RDONLY | os.O_NONBLOCK, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
        )
    except FileNotFoundError:
        return
    except OSError as error:
        cause = error.strerror or str(error)
        raise InvalidError("read", f"/{path}", cause, code="image_passwd") from error
    finally:
        os.close(top)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > CAP:
            cause = "it is no small regular file"
            raise InvalidError("read", f"/{path}", cause, code="image_passwd")
        with open(fd, "rb", closefd=False) as file:
            text = file.read(CAP).decode(errors="replace")
    finally:
        os.close(fd)
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) >= fields:
            yield parts
