"""Changes of links, their queues, addresses and routes, as single requests over a plain socket.

For threads, because the kernel holds whoever asks until the change is made, and because a
socket belongs to the namespace its thread was in when it was opened. The library's sockets
bring an event loop each, which costs more than the change. Layouts: rtnetlink(7).
"""

import os
import socket
import struct
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE, _ERROR = 16, 17, 20, 24, 2
_NEWQDISC, _DELQDISC = 36, 37
_REQUEST_ACK, _CREATE_NEW, _CREATE_OR_CHANGE = 0x1 | 0x4, 0x200 | 0x400, 0x100 | 0x400
_ADDRESS, _IFNAME, _MTU, _LINK, _MASTER, _LINKINFO, _ALIAS, _NET_NS_FD = 1, 3, 4, 5, 10, 18, 20, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_INFO_SLAVE_KIND, _INFO_SLAVE_DATA, _BRPORT_MODE, _BRPORT_ISOLATED = 4, 5, 4, 33
_MACVLAN_MODE, _IPVLAN_MODE = 1, 1
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
_IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 2, 8, 1, 4, 5
_TC_KIND, _TC_OPTIONS, _TC_ROOT = 1, 2, 0xFFFFFFFF
_TBF_PARAMETERS, _TBF_RATE64, _TBF_BURST, _ETHERNET = 1, 4, 6, 1
_MOST_32 = 0xFFFFFFFF
LEAST_BURST = 64 * 1024
"""Bytes that may go at once: as many as one packet has that is put together of several."""
_NO_DAD = 0x02
_UP = 1
_LINK_GROUP = 1
_MAIN_TABLE, _BY_ADMIN, _UNICAST, _ON_LINK = 254, 4, 1, 253


class Route:
    """A socket of the calling thread's present namespace. Blocks."""

    def __init__(self) -> None:
        """Open it."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )

    def __enter__(self) -> "Route":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, *requests: bytes, may_be: Iterable[int] = ()) -> None:
        """Have the kernel carry out all of ``requests``, in one go that no signal interrupts.

        Raises OSError for the first that was refused, but for the codes in ``may_be``.
        """
        self._socket.send(b"".join(requests))
        refused = 0
        for _ in requests:
            answer = self._socket.recv(65536)
            _, kind, _, _, _, code = struct.unpack_from("=IHHIIi", answer)
            if kind == _ERROR and code and -code not in may_be:
                refused = refused or -code
        if refused:
            raise OSError(refused, os.strerror(refused))


def open_notices() -> socket.socket:
    """Return a socket that gets a message whenever a link comes, changes or goes."""
    found = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    found.bind((0, _LINK_GROUP))
    return found


def add_bridge(name: str, *, mac: str | None = None, mtu: int | None = None) -> bytes:
    """Make a bridge. Without ``mac`` its address is that of one port or another, as they come."""
    size = _number(_MTU, mtu) if mtu is not None else b""
    own = _attribute(_ADDRESS, _mac(mac)) if mac is not None else b""
    info = _attribute(_LINKINFO, _text(_INFO_KIND, "bridge"))
    return _link(_NEWLINK, _text(_IFNAME, name), size, own, info, flags=_CREATE_NEW)


def add_veth(name: str, peer: str, namespace: int, mac: str, *, mtu: int) -> bytes:
    """Make a pair whose other end, ``peer``, is inside the namespace open as ``namespace``."""
    size = _number(_MTU, mtu)
    other = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    other += _text(_IFNAME, peer) + size + _number(_NET_NS_FD, namespace)
    other += _attribute(_ADDRESS, _mac(mac))
    data = _attribute(_INFO_DATA, _attribute(_VETH_PEER, other))
    info = _attribute(_LINKINFO, _text(_INFO_KIND, "veth") + data)
    return _link(_NEWLINK, _text(_IFNAME, name), size, info, flags=_CREATE_NEW)


def set_link(
    name: str,
    *,
    up: bool = False,
    alias: str | None = None,
    master: int | None = None,
    mtu: int | None = None,
) -> bytes:
    """Change a link."""
    attributes = [_text(_IFNAME, name)]
    if alias is not None:
        attributes.append(_text(_ALIAS, alias))
    if master is not None:
        attributes.append(_number(_MASTER, master))
    if mtu is not None:
        attributes.append(_number(_MTU, mtu))
    return _link(_NEWLINK, *attributes, up=up)


def add_shared_link(
    kind: str,
    name: str,
    parent: int,
    namespace: int,
    mac: str | None,
    *,
    mode: str,
    mtu: int | None,
) -> bytes:
    """Make a link on ``parent`` inside the namespace open as ``namespace``: macvlan or ipvlan."""
    if kind == "macvlan":
        data = _number(_MACVLAN_MODE, _MACVLAN_MODES[mode or "bridge"])
    else:
        data = _attribute(_IPVLAN_MODE, struct.pack("=H", _IPVLAN_MODES[mode or "l2"]))
    info = _attribute(_LINKINFO, _text(_INFO_KIND, kind) + _attribute(_INFO_DATA, data))
    attributes = [_text(_IFNAME, name), _number(_LINK, parent), _number(_NET_NS_FD, namespace)]
    if mac is not None:
        attributes.append(_attribute(_ADDRESS, _mac(mac)))
    if mtu is not None:
        attributes.append(_number(_MTU, mtu))
    return _link(_NEWLINK, *attributes, info, flags=_CREATE_NEW)


def set_port(name: str, *, isolated: bool) -> bytes:
    """Have a bridge send packets back through the port they came by, where they belong there.

    An ``isolated`` port reaches the bridge itself and no other isolated one.
    """
    settings = _attribute(_BRPORT_MODE, b"\1")
    settings += _attribute(_BRPORT_ISOLATED, b"\1" if isolated else b"\0")
    data = _attribute(_INFO_SLAVE_DATA, settings)
    info = _attribute(_LINKINFO, _text(_INFO_SLAVE_KIND, "bridge") + data)
    return _link(_NEWLINK, _text(_IFNAME, name), info)


def rename_link(index: int, name: str) -> bytes:
    """Give a link that is down another name."""
    head = struct.pack("=BxHiII", 0, 0, index, 0, 0)
    return _request(_NEWLINK, 0, head, _text(_IFNAME, name))


def remove_link(name: str) -> bytes:
    """Remove a link."""
    return _link(_DELLINK, _text(_IFNAME, name))


def add_address(index: int, address: IPv4Interface | IPv6Interface) -> bytes:
    """Give a link one more address. It is in use at once: nobody else is asked whether it is."""
    family = _family(address.version)
    head = struct.pack("=BBBBI", family, address.network.prefixlen, 0, 0, index)
    both = _attribute(_IFA_LOCAL, address.packed) + _attribute(_IFA_ADDRESS, address.packed)
    if address.version == 6:
        both += _number(_IFA_FLAGS, _NO_DAD)
    return _request(_NEWADDR, _CREATE_NEW, head + both)


def add_route(
    gateway: IPv4Address | IPv6Address, to: IPv4Network | IPv6Network | None = None
) -> bytes:
    """Lead a net, or everything that has no other way, over ``gateway``."""
    length = to.prefixlen if to is not None else 0
    head = struct.pack(
        "=BBBBBBBBI",
        *(_family(gateway.version), length, 0, 0, _MAIN_TABLE, _BY_ADMIN, 0, _UNICAST, 0),
    )
    target = _attribute(_RTA_DST, to.network_address.packed) if to is not None else b""
    way = _attribute(_RTA_GATEWAY, gateway.packed)
    return _request(_NEWROUTE, _CREATE_NEW, head + target + way)


def hold_to_rate(index: int, rate: int) -> bytes:
    """Have a link send no more than ``rate`` bytes a second; what waits is bounded, too."""
    burst = max(LEAST_BURST, rate // 100)
    waiting = burst + rate // 4
    each = (0, _ETHERNET, 0, 0, 0, min(rate, _MOST_32))
    parameters = struct.pack("=BBHhHI", *each) + struct.pack("=BBHhHI", *(0,) * 6)
    parameters += struct.pack("=III", min(waiting, _MOST_32), 0, 0)
    options = _attribute(_TBF_PARAMETERS, parameters)
    options += _number(_TBF_BURST, min(burst, _MOST_32))
    if rate > _MOST_32:
        options += _attribute(_TBF_RATE64, struct.pack("=Q", rate))
    kind = _text(_TC_KIND, "tbf")
    head = _queue_of(index)
    return _request(_NEWQDISC, _CREATE_OR_CHANGE, head, kind, _attribute(_TC_OPTIONS, options))


def let_go(index: int) -> bytes:
    """Have a link send as fast as it can."""
    return _request(_DELQDISC, 0, _queue_of(index))


def add_link_route(index: int, to: IPv4Network) -> bytes:
    """Lead a net to a link itself; refused where any route to just this net is there."""
    head = struct.pack(
        "=BBBBBBBBI",
        *(socket.AF_INET, to.prefixlen, 0, 0, _MAIN_TABLE, _BY_ADMIN, _ON_LINK, _UNICAST, 0),
    )
    target = _attribute(_RTA_DST, to.network_address.packed)
    return _request(_NEWROUTE, _CREATE_NEW, head + target + _number(_RTA_OIF, index))


def _queue_of(index: int) -> bytes:
    return struct.pack("=BxxxiIII", 0, index, 0, _TC_ROOT, 0)


def _link(kind: int, *attributes: bytes, flags: int = 0, up: bool = False) -> bytes:
    state = _UP if up else 0
    return _request(kind, flags, struct.pack("=BxHiII", 0, 0, 0, state, state), *attributes)


def _request(kind: int, flags: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST_ACK | flags, 0, 0) + body


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, number: int) -> bytes:
    return _attribute(kind, struct.pack("=I", number))


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
