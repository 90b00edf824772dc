"""The only user of pyroute2: links, addresses and routes as typed coroutines.

Every link of ours carries an alias that says whose it is, from its very first moment: a
link without an owner is what an interrupted set-up leaves for ever.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from pyroute2 import AsyncIPRoute, IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runtime.errors import UnavailableError
from runtime.network import netns

MAIN_TABLES = (254,)
SIOCGIFFLAGS = 0x8913
IFF_UP = 1


@dataclass(frozen=True, slots=True)
class Link:
    """A link of this host."""

    name: str
    index: int
    alias: str
    up: bool
    master: int
    """Index of the bridge it is a port of; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What a link is to look like inside its namespace."""

    name: str
    address: IPv4Address
    prefix: int
    gateway: IPv4Address | None
    """Where the default route leads; None for a link without one."""
    resolvers: tuple[IPv4Network, IPv4Address] | None
    """The resolvers' net, and the way to it."""


class Links:
    """A netlink socket, and what is done through it."""

    def __init__(self, route: AsyncIPRoute) -> None:
        """Use an open socket."""
        self._route = route

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Links"]:
        """Open a socket for as long as the context lasts."""
        async with AsyncIPRoute() as route:
            yield cls(route)

    async def list(self) -> tuple[Link, ...]:
        """Return every link that has an alias."""
        found = []
        with _refusal("list links of", "this host"):
            async for message in await self._route.get_links():
                alias = message.get_attr("IFLA_IFALIAS")
                if alias:
                    found.append(
                        Link(
                            name=message.get_attr("IFLA_IFNAME"),
                            index=message["index"],
                            alias=alias,
                            up=bool(message["flags"] & IFF_UP),
                            master=message.get_attr("IFLA_MASTER") or 0,
                        )
                    )
        return tuple(found)

    async def addresses(self) -> frozenset[tuple[int, IPv4Address]]:
        """Return every address of this host with the index of its link."""
        found = set()
        with _refusal("list addresses of", "this host"):
            async for message in await self._route.get_addr(family=socket.AF_INET):
                found.add((message["index"], IPv4Address(message.get_attr("IFA_LOCAL"))))
        return frozenset(found)

    async def add_bridge(
        self, name: str, alias: str, gateway: IPv4Address, subnet: IPv4Network, *, mtu: int
    ) -> None:
        """Make a bridge with an address, or mend the one of that name; it is up afterwards."""
        with _refusal("make bridge", name):
            with _already_there():
                await self._route.link("add", ifname=name, kind="bridge", ifalias=alias, mtu=mtu)
            index = await self._index(name)
            _sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")
            _sysctl(f"net/ipv4/conf/{name}/route_localnet", "1")
            with _already_there():
                await self._route.addr(
                    "add", index=index, address=str(gateway), prefixlen=subnet.prefixlen
                )
            await self._route.link("set", index=index, state="up", ifalias=alias)

    async def add_holder(self, name: str, alias: str) -> None:
        """Make a link that leads nowhere and only holds addresses.

        A bridge without ports: not every kernel has dummy links.
        """
        with _refusal("make link", name):
            with _already_there():
                await self._route.link("add", ifname=name, kind="bridge", ifalias=alias)
            await self._route.link("set", index=await self._index(name), state="up", ifalias=alias)

    async def add_address(self, name: str, address: IPv4Address) -> None:
        """Give a link one more address, of its own."""
        with _refusal("give an address to link", name), _already_there():
            index = await self._index(name)
            await self._route.addr("add", index=index, address=str(address), prefixlen=32)

    async def remove(self, name: str) -> None:
        """Remove a link; one that is gone is removed."""
        with _refusal("remove link", name):
            for index in await self._route.link_lookup(ifname=name):
                with _gone():
                    await self._route.link("del", index=index)

    async def add_veth(
        self,
        name: str,
        alias: str,
        bridge: str,
        inside: str,
        namespace: Path,
        mac: str,
        *,
        mtu: int,
    ) -> None:
        """Make a pair: one end on ``bridge``, the other inside ``namespace`` as ``inside``."""
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        peer = {"ifname": inside, "net_ns_fd": fd, "address": mac, "mtu": mtu}
        try:
            with _refusal("make link", name):
                with _already_there():
                    await self._route.link("add", ifname=name, kind="veth", mtu=mtu, peer=peer)
                index = await self._index(name)
                _sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")
                master = await self._index(bridge)
                await self._route.link("set", index=index, ifalias=alias, master=master, state="up")
                # Where br_netfilter is loaded, the bridge itself sends a packet that was
                # translated: back through this port, where a container asks for itself.
                await self._route.brport("set", index=index, mode=1)
        finally:
            os.close(fd)

    async def routes(self, ours: frozenset[int]) -> tuple[IPv4Network, ...]:
        """Return the destinations this host routes through links whose index is not in ``ours``."""
        found = set()
        with _refusal("list routes of", "this host"):
            async for message in await self._route.get_routes(family=2):
                target = message.get_attr("RTA_DST")
                if (
                    target
                    and message.get_attr("RTA_TABLE") in MAIN_TABLES
                    and message.get_attr("RTA_OIF") not in ours
                ):
                    found.add(IPv4Network(f"{target}/{message['dst_len']}", strict=False))
        return tuple(sorted(found))

    async def _index(self, name: str) -> int:
        found = await self._route.link_lookup(ifname=name)
        if not found:
            raise UnavailableError("find link", name, "it is gone")
        return int(found[0])


def configure_inside(namespace: Path, links: tuple[Inside, ...]) -> None:
    """Bring up loopback and ``links`` inside a namespace. Blocks; safe to repeat."""

    def configure() -> None:
        with IPRoute() as route:
            route.link("set", index=1, state="up")
            for inside in links:
                index = route.link_lookup(ifname=inside.name)[0]
                _sysctl(f"net/ipv6/conf/{inside.name}/disable_ipv6", "1")
                with _already_there():
                    route.addr(
                        "add", index=index, address=str(inside.address), prefixlen=inside.prefix
                    )
                route.link("set", index=index, state="up")
                if inside.gateway is not None:
                    with _already_there():
                        route.route("add", dst="default", gateway=str(inside.gateway))
                if inside.resolvers is not None:
                    net, way = inside.resolvers
                    with _already_there():
                        route.route("add", dst=str(net), gateway=str(way))

    with _refusal("configure namespace", namespace.name):
        netns.run_inside(namespace, configure)


def is_up(name: str) -> bool:
    """Whether a link exists and is up."""
    # Not through /sys, which shows the network namespace it was mounted in.
    request = struct.pack("16sH14x", name.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        try:
            answer = fcntl.ioctl(channel, SIOCGIFFLAGS, request)
        except OSError:
            return False
    return bool(struct.unpack("16sH14x", answer)[1] & IFF_UP)


def exists(name: str) -> bool:
    """Whether there is a link of that name."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise


@contextlib.contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise


@contextlib.contextmanager
def _refusal(verb: str, subject: str) -> Iterator[None]:
    """Say a kernel's refusal the way drivers do."""
    try:
        yield
    except NetlinkError as error:
        cause = os.strerror(error.code)
        if error.code == errno.EXFULL:
            cause = "its bridge has no port left (1023 at most)"
        raise UnavailableError(verb, subject, cause) from error


def _sysctl(path: str, value: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/sys", path).write_text(value)
