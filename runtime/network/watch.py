"""Hear from the kernel that links, addresses or firewall rules of this host went away.

A hint and nothing more: what is heard is not believed but looked at, and what is missed is
found by the next sweep. Messages are not decoded further than it takes to tell whether
they may concern us: an `up` of fifty containers makes hundreds.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from enum import Enum

from runtime.network.wire import attributes, messages, text

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
RTMGRP_LINK = 0x1
RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV6_IFADDR = 0x100
RTMGRP_IPV4_NETCONF = 1 << 23
RTMGRP_IPV6_NETCONF = 1 << 24
NFNLGRP_NFTABLES = 7
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1

RTM_NEWLINK, RTM_DELLINK, RTM_DELADDR, RTM_NEWNETCONF = 16, 17, 21, 80
IFLA_IFNAME, IFA_LABEL = 3, 3
IFF_UP = 1
LINK_HEADER = struct.Struct("=BxHiII")
ADDRESS_HEADER = struct.Struct("=4xI")
NEW_LINK = 0xFFFFFFFF
"""What ``ifi_change`` says of a link that was just made."""

BUFFER = 1 << 20


class Lost(Enum):
    """What may be gone."""

    LINKS = "links"
    RULES = "rules"


class Watch:
    """Two netlink sockets in the event loop."""

    def __init__(
        self,
        *,
        links: Collection[str],
        parents: Collection[str],
        marks: Collection[str],
        hint: Callable[[Lost], None],
    ) -> None:
        """Call ``hint`` when one of ``links`` or a rule that names one of ``marks`` may be gone.

        And when one of ``parents`` comes up: what was on it went with its like of before.
        ``links`` and ``parents`` are read anew each time: they may change meanwhile.
        """
        self._links = links
        self._parents = parents
        self._marks = tuple(mark.encode() + b"\0" for mark in marks)
        self._hint = hint
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        """Begin to listen, in the running event loop."""
        route = self._socket(NETLINK_ROUTE)
        addresses = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR
        route.bind((0, RTMGRP_LINK | addresses | RTMGRP_IPV4_NETCONF | RTMGRP_IPV6_NETCONF))
        rules = self._socket(NETLINK_NETFILTER)
        rules.bind((0, 0))  # one without an address of its own is passed over
        rules.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        loop = asyncio.get_running_loop()
        loop.add_reader(route, self._heard, route, self._of_links)
        loop.add_reader(rules, self._heard, rules, self._of_rules)

    def close(self) -> None:
        """Stop listening."""
        loop = asyncio.get_running_loop()
        for channel in self._sockets:
            loop.remove_reader(channel)
            channel.close()
        self._sockets.clear()

    def _socket(self, protocol: int) -> socket.socket:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        channel = socket.socket(socket.AF_NETLINK, kind, protocol)
        with contextlib.suppress(OSError):
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._sockets.append(channel)
        return channel

    def _heard(self, channel: socket.socket, judge: Callable[[bytes], set[Lost]]) -> None:
        lost: set[Lost] = set()
        while True:
            try:
                lost |= judge(channel.recv(1 << 16))
            except BlockingIOError:
                break
            except OSError:
                # ENOBUFS: more happened than could be told, so anything may have.
                lost = set(Lost)
        for one in lost:
            self._hint(one)

    def _of_rules(self, data: bytes) -> set[Lost]:
        return {Lost.RULES} if any(mark in data for mark in self._marks) else set()

    def _of_links(self, data: bytes) -> set[Lost]:
        lost = set()
        for kind, _, message in messages(data):
            if kind == RTM_NEWNETCONF:
                lost.add(Lost.RULES)  # ip_forward, for one, which goes with them
            elif any(name in self._links for name in lost_links(kind, message)) or (
                self._parents and any(name in self._parents for name in risen_links(kind, message))
            ):
                lost.add(Lost.LINKS)
        return lost


def lost_links(kind: int, message: bytes) -> Iterator[str]:
    """Yield the name of the link an rtnetlink(7) message says is gone, down or unaddressed."""
    if kind in (RTM_NEWLINK, RTM_DELLINK):
        _, _, _, flags, changed = LINK_HEADER.unpack_from(message)
        fell = bool(changed & IFF_UP) and changed != NEW_LINK and not flags & IFF_UP
        if kind == RTM_DELLINK or fell:
            yield from _names(message[LINK_HEADER.size :], IFLA_IFNAME)
    elif kind == RTM_DELADDR and message[0] == socket.AF_INET6:
        # Those have no label; a link that is gone itself is told of by a message of its own.
        with contextlib.suppress(OSError):
            yield socket.if_indextoname(ADDRESS_HEADER.unpack_from(message)[0])
    elif kind == RTM_DELADDR:
        yield from _names(message[ADDRESS_HEADER.size :], IFA_LABEL)


def risen_links(kind: int, message: bytes) -> Iterator[str]:
    """Yield the name of the link an rtnetlink(7) message says came up."""
    if kind == RTM_NEWLINK:
        _, _, _, flags, changed = LINK_HEADER.unpack_from(message)
        if changed & flags & IFF_UP:
            yield from _names(message[LINK_HEADER.size :], IFLA_IFNAME)


def _names(data: bytes, wanted: int) -> Iterator[str]:
    return (text(value) for kind, value in attributes(data) if kind == wanted)
