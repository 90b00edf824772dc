"""The kernel's tables of links, addresses and routes, read whole. Blocks.

A dump costs what is decoded of it, and a host has hundreds of links with dozens of attributes
each: no more is looked at here than is asked for. Layouts: rtnetlink(7).
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from runtime.network.wire import HEADER, attributes, messages, text
from runtime.types import Address, Net

_REQUEST_DUMP = 0x1 | 0x300
_INTERRUPTED = 0x10
_ERROR, _DONE = 2, 3
_GET_LINK, _GET_ADDRESS, _GET_ROUTE = 18, 22, 26
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_IFNAME, _MASTER, _ALIAS, _EXTENDED = 3, 10, 20, 29
_SKIP_STATISTICS = 1 << 3
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_DESTINATION, _OUT, _TABLE = 1, 4, 15
_UP = 1
_BUFFER = 1 << 17
ATTEMPTS = 5
"""How often a table that changes while it is read is read again; then it is taken as it is."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link of this host."""

    name: str
    index: int
    alias: str
    up: bool
    master: int
    """Index of the bridge it is a port of; 0 for none."""


@dataclass(frozen=True, slots=True)
class Way:
    """A route of this host: to ``target``, out by the link ``out``, in the table ``table``."""

    target: Net
    out: int
    table: int


def read_links() -> tuple[Link, ...]:
    """Return every link. Raises OSError."""
    extended = struct.pack("=HHI", 8, _EXTENDED, _SKIP_STATISTICS)
    found = []
    for content in _dump(_GET_LINK, _LINK.pack(0, 0, 0, 0, 0) + extended):
        _, _, index, flags, _ = _LINK.unpack_from(content)
        name, alias, master = "", "", 0
        for kind, value in attributes(content[_LINK.size :]):
            if kind == _IFNAME:
                name = text(value)
            elif kind == _ALIAS:
                alias = text(value)
            elif kind == _MASTER:
                (master,) = struct.unpack("=I", value)
        found.append(Link(name, index, alias, bool(flags & _UP), master))
    return tuple(found)


def read_addresses() -> frozenset[tuple[int, Address]]:
    """Return every address with the index of its link. Raises OSError."""
    found = set()
    for content in _dump(_GET_ADDRESS, _ADDRESS.pack(0, 0, 0, 0, 0)):
        *_, index = _ADDRESS.unpack_from(content)
        given = dict(attributes(content[_ADDRESS.size :]))
        # Of a pair of ends IFA_ADDRESS is the other one; IPv6 has no IFA_LOCAL elsewhere.
        packed = given.get(_IFA_LOCAL) or given.get(_IFA_ADDRESS)
        if packed:
            found.add((index, ip_address(packed)))
    return frozenset(found)


def read_routes(family: int, *, most: int | None = None) -> tuple[Way, ...]:
    """Return every route of an address family but those without a target.

    Raises OSError, also where there are more than ``most``.
    """
    found = []
    for content in _dump(_GET_ROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0), most):
        _, length, _, _, table, *_ = _ROUTE.unpack_from(content)
        given = dict(attributes(content[_ROUTE.size :]))
        if _DESTINATION in given:
            target = ip_network((given[_DESTINATION], length), strict=False)
            out = int.from_bytes(given.get(_OUT, b""), "little")
            table = int.from_bytes(given.get(_TABLE, bytes([table])), "little")
            found.append(Way(target, out, table))
    return tuple(found)


def _dump(kind: int, body: bytes, most: int | None = None) -> list[bytes]:
    found: list[bytes] = []
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as channel:
        for attempt in range(1, ATTEMPTS + 1):
            request = HEADER.pack(HEADER.size + len(body), kind, _REQUEST_DUMP, attempt, 0)
            channel.send(request + body)
            found, whole = [], True
            for answer, flags, content in _answers(channel):
                whole = whole and not flags & _INTERRUPTED
                if answer == _ERROR:
                    (code,) = struct.unpack_from("=i", content)
                    raise OSError(-code, os.strerror(-code))
                found.append(content)
                if most is not None and len(found) > most:
                    raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
            if whole:
                break
    return found


def _answers(channel: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Yield what comes before the end of a dump."""
    while True:
        for kind, flags, content in messages(channel.recv(_BUFFER)):
            if kind == _DONE:
                return
            yield kind, flags, content
            if kind == _ERROR:
                return
