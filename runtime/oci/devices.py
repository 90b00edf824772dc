"""Device nodes of the host in a container, and the rules about which may be used.

A node in a container's own ``/dev`` is a new one; everywhere else nodes have no meaning, and
the host's own is mounted there.
"""

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from runtime.errors import InvalidError, NotFoundError
from runtime.types import ContainerConfig, Device

RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
PERMISSIONS = re.compile(r"[rwm]{1,3}")
MOST = 4096
"""Nodes one container may have: more are a mistake."""

ALWAYS = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2))
"""null, zero, full, random, urandom, tty, console, ptmx: what every runtime makes."""
OF_RUNTIME = frozenset({"console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random"})
OF_RUNTIME |= {"shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}
"""Names in ``/dev`` that a container always has of its own."""
PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One device node: what it is on the host, and where the container has it."""

    path: str
    kind: str
    """``c`` or ``b``."""
    major: int
    minor: int
    mode: int
    uid: int = 0
    gid: int = 0
    host: str = ""
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Device nodes as ``config.json`` has them: made, mounted, and allowed."""

    made: list[dict[str, Any]] = field(default_factory=list)
    mounted: list[dict[str, Any]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)


def describe_nodes(config: ContainerConfig, further: Sequence[Node] = ()) -> Nodes:
    """Return the devices a container gets, ``further`` ones among them.

    Raises NotFoundError for a device the host does not have, InvalidError for one that is none.
    """
    found = Nodes()
    found.rules.extend(_first_rules(privileged=config.privileged))
    nodes: dict[str, Node] = {}
    if config.privileged:
        nodes |= {node.path: node for node in _below("/dev", "/dev", "rwm")}
    for given in config.devices:
        nodes |= {node.path: node for node in _nodes(config, given)}
    nodes |= {node.path: node for node in further}
    if len(nodes) > MOST:
        raise InvalidError("create container", config.id, f"it asks for {len(nodes)} devices")
    for node in nodes.values():
        if not config.privileged:
            found.rules.append(_allow(node.kind, node.major, node.minor, node.permissions))
        if node.path.startswith("/dev/") or not node.host:
            found.made.append(_made(node))
        else:
            found.mounted.append(_mounted(node))
    found.rules.extend(_given_rule(config, rule) for rule in config.device_rules)
    return found


def node_at(path: str, target: str, permissions: str) -> Node | None:
    """Return the device at a path of the host; None where there is another thing."""
    status = os.stat(path)
    if stat.S_ISCHR(status.st_mode):
        kind = "c"
    elif stat.S_ISBLK(status.st_mode):
        kind = "b"
    else:
        return None
    return Node(
        path=target,
        kind=kind,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        host=os.path.realpath(path),
        permissions=permissions,
    )


def _nodes(config: ContainerConfig, given: Device) -> Iterator[Node]:
    """Yield what one entry stands for: a device, those of a directory, those of a pattern."""
    if not PERMISSIONS.fullmatch(given.permissions):
        cause = f"`{given.permissions}` is not made of r, w and m"
        raise InvalidError("pass on device", given.source, cause)
    if PATTERN & set(given.source):
        matches = sorted(glob.glob(given.source))
        if not matches:
            raise _missing(config, given, "nothing on the host matches it")
        for match in matches:
            below = f"{given.target.rstrip('/')}/{os.path.basename(match)}"
            yield from _one(config, given, match, below if given.target else match)
    else:
        yield from _one(config, given, given.source, given.target or given.source)


def _one(config: ContainerConfig, given: Device, source: str, target: str) -> Iterator[Node]:
    if not os.path.exists(source):
        raise _missing(config, given, "the host has no such device")
    if os.path.isdir(source):
        yield from _below(source, target, given.permissions)
        return
    node = node_at(source, target, given.permissions)
    if node is None:
        raise InvalidError(
            "pass on device",
            source,
            "it is no device",
            hint=f"`{config.id}` asks for it; files are mounted under `volumes`",
        )
    yield node


def _below(source: str, target: str, permissions: str) -> Iterator[Node]:
    """Yield every device below a directory; what a container has of its own is left out."""
    for folder, folders, names in os.walk(source):
        top = folder == "/dev"
        folders[:] = sorted(name for name in folders if not (top and name in OF_RUNTIME))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if (top and name in OF_RUNTIME) or os.path.islink(path):
                continue
            inside = str(PurePosixPath(target, os.path.relpath(path, source)))
            if os.path.exists(path) and (node := node_at(path, inside, permissions)):
                yield node


def _missing(config: ContainerConfig, given: Device, cause: str) -> NotFoundError:
    hint = f"`{config.id}` asks for it; `ls -l {os.path.dirname(given.source) or '/dev'}`"
    return NotFoundError("pass on device", given.source, cause, hint=hint)


def _made(node: Node) -> dict[str, Any]:
    return {
        "path": node.path,
        "type": node.kind,
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
    }


def _mounted(node: Node) -> dict[str, Any]:
    return {
        "destination": node.path,
        "type": "bind",
        "source": node.host,
        "options": ["bind", "rw", "nosuid", "noexec"],
    }


def _first_rules(*, privileged: bool) -> list[dict[str, Any]]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    return [
        {"allow": False, "access": "rwm"},
        # Making a node is not using it, and takes CAP_MKNOD.
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "b", "access": "m"},
        *(_allow("c", major, minor, "rwm") for major, minor in ALWAYS),
        {"allow": True, "type": "c", "major": 136, "access": "rwm"},
    ]


def _allow(kind: str, major: int, minor: int, access: str) -> dict[str, Any]:
    return {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}


def _given_rule(config: ContainerConfig, text: str) -> dict[str, Any]:
    found = RULE.fullmatch(text)
    if found is None:
        cause = f"`{text}` is no rule about devices"
        raise InvalidError("create container", config.id, cause, hint="write one like `c 1:3 rwm`")
    kind, major, minor, access = found.groups()
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    rule |= {name: int(n) for name, n in (("major", major), ("minor", minor)) if n != "*"}
    return rule
