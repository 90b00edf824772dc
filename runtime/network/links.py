"""Links, addresses and routes as typed coroutines: the kernel is asked and told in threads.

Every link of ours carries an alias that says whose it is, from its very first moment: a
link without an owner is what an interrupted set-up leaves for ever.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
import threading
import time
from collections.abc import (
    Iterator,
    Sequence,
)
from ipaddress import IPv4Network, ip_interface
from pathlib import Path

from runtime.errors import UnavailableError, UnsupportedError
from runtime.files import in_thread
from runtime.network import netlink, netns
from runtime.network.ends import End, Interface
from runtime.network.netlink import Route
from runtime.network.tables import Link, read_addresses, read_links, read_routes
from runtime.types import Address, Net, NetworkKind

MAIN_TABLES = (254,)
SIOCGIFFLAGS = 0x8913
IPV6 = Path("/proc/sys/net/ipv6")
IFF_UP = 1
ALREADY_THERE = frozenset({errno.EEXIST})
GONE = frozenset({errno.ENODEV})
NOT_HELD = frozenset({errno.ENOENT, errno.EINVAL})
"""What the kernel says of a queue nobody has made."""

_one_at_a_time = threading.Lock()
"""The kernel changes links one at a time, and lets whoever else wants to spin meanwhile."""


class Links:
    """What is known of this host's links and done with them; it keeps nothing."""

    async def list(self) -> tuple[Link, ...]:
        """Return every link that has an alias."""
        with refusal("list links of", "this host"):
            return tuple(link for link in await in_thread(read_links) if link.alias)

    async def addresses(self) -> frozenset[tuple[int, Address]]:
        """Return every address of this host with the index of its link."""
        with refusal("list addresses of", "this host"):
            return await in_thread(read_addresses)

    async def add_bridge(
        self,
        name: str,
        alias: str,
        addresses: Sequence[Interface],
        mac: str,
        *,
        mtu: int,
    ) -> None:
        """Make a bridge with addresses, or mend the one of that name; it is up afterwards."""
        await in_thread(_add_bridge, name, alias, addresses, mac, mtu)

    async def add_holder(self, name: str, alias: str) -> None:
        """Make a link that leads nowhere and only holds addresses.

        A bridge without ports: not every kernel has dummy links.
        """
        await in_thread(_add_holder, name, alias)

    async def add_address(self, name: str, address: Address) -> None:
        """Give a link one more address, of its own."""
        await in_thread(_add_address, name, address)

    async def remove_address(self, name: str, address: Address) -> None:
        """Take an address of its own from a link; one that is gone is taken."""
        await in_thread(_remove_address, name, address)

    async def claim(self, name: str, net: IPv4Network) -> bool:
        """Have a link hold a net, for as long as it lives; say whether nobody else holds it."""
        return await in_thread(_claim, name, net)

    async def remove(self, name: str) -> None:
        """Remove a link; one that is gone is removed."""
        await in_thread(_remove, name)

    async def wait_until_gone(self, names: Sequence[str], patience: float) -> Sequence[str]:
        """Return once none of these links is left, or those that are after ``patience`` seconds."""
        return await in_thread(_wait_until_gone, names, patience) if names else ()

    async def attach(self, namespace: Path, ends: Sequence[End]) -> None:
        """Join a namespace to bridges, and bring up its loopback; safe to repeat."""
        await in_thread(_attach, namespace, ends)

    async def limit(self, namespace: Path, ends: Sequence[End]) -> None:
        """Hold links that are there to the rates of their ends, or to none."""
        await in_thread(_limit, namespace, ends)

    async def routes(self, ours: frozenset[int]) -> tuple[Net, ...]:
        """Return the destinations this host routes through links whose index is not in ``ours``."""
        found: set[Net] = set()
        with refusal("list routes of", "this host"):
            for family in (socket.AF_INET, socket.AF_INET6):
                found.update(
                    way.target
                    for way in await in_thread(read_routes, family)
                    if way.table in MAIN_TABLES and way.out not in ours
                )
        return tuple(sorted(found, key=lambda net: (net.version, net)))


def _add_bridge(name: str, alias: str, addresses: Sequence[Interface], mac: str, mtu: int) -> None:
    with refusal("make bridge", name), _one_at_a_time, Route() as route:
        # An address of its own: a port's would go with the port, and what members have noted
        # as their gateway's would lead nowhere until they ask again.
        route.ask(
            netlink.add_bridge(name, mac=mac, mtu=mtu),
            netlink.set_link(name, alias=alias),
            may_be=ALREADY_THERE,
        )
        ipv6 = any(address.version == 6 for address in addresses)
        if ipv6 and not IPV6.exists():
            raise UnsupportedError("make bridge", name, "this kernel has no IPv6")
        _sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "0" if ipv6 else "1")
        _sysctl(f"net/ipv6/conf/{name}/accept_ra", "0")
        _sysctl(f"net/ipv4/conf/{name}/route_localnet", "1")
        index = socket.if_nametoindex(name)
        route.ask(
            *(netlink.add_address(index, address) for address in addresses),
            netlink.set_link(name, up=True, mtu=mtu),
            may_be=ALREADY_THERE,
        )


def _add_holder(name: str, alias: str) -> None:
    with refusal("make link", name), _one_at_a_time, Route() as route:
        route.ask(
            netlink.add_bridge(name),
            netlink.set_link(name, alias=alias, up=True),
            may_be=ALREADY_THERE,
        )


def _add_address(name: str, address: Address) -> None:
    with refusal("give an address to link", name), _one_at_a_time, Route() as route:
        index = socket.if_nametoindex(name)
        alone = ip_interface(address)
        route.ask(netlink.add_address(index, alone), may_be=ALREADY_THERE)


def _remove_address(name: str, address: Address) -> None:
    with refusal("take an address from link", name), _one_at_a_time, Route() as route:
        if exists(name):
            index = socket.if_nametoindex(name)
            request = netlink.remove_address(index, ip_interface(address))
            route.ask(request, may_be=(errno.EADDRNOTAVAIL,))


def _claim(name: str, net: IPv4Network) -> bool:
    with refusal("lead a net to link", name), _one_at_a_time, Route() as route:
        try:
            # Two who ask at the same time cannot both be told yes: there is one such route.
            route.ask(netlink.add_link_route(socket.if_nametoindex(name), net))
        except FileExistsError:
            return False
    return True


def _remove(name: str) -> None:
    with refusal("remove link", name), _one_at_a_time, Route() as route:
        route.ask(netlink.remove_link(name), may_be=GONE)


def _wait_until_gone(names: Sequence[str], patience: float) -> Sequence[str]:
    deadline = time.monotonic() + patience
    with netlink.open_notices() as notices:
        while left := [name for name in names if exists(name)]:
            notices.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                notices.recv(65536)
            except TimeoutError:
                return left
            except OSError as error:
                # More happened than the socket holds: look again, it is only a hint.
                if error.errno != errno.ENOBUFS:
                    raise
    return ()


def _attach(namespace: Path, ends: Sequence[End]) -> None:
    with refusal("join namespace", namespace.name):
        pinned = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            shared = [end.inside for end in ends if end.kind is not NetworkKind.BRIDGE]
            # Seldom any: whoever is on bridges alone is not entered twice.
            there = netns.run_inside(namespace, lambda: _existing(shared)) if shared else ()
            for end in ends:
                if end.inside not in there:
                    _join(end, pinned)
        finally:
            os.close(pinned)
        netns.run_inside(namespace, lambda: _configure(ends))


def _join(end: End, pinned: int) -> None:
    if end.kind is not NetworkKind.BRIDGE:
        _share(end, pinned)
        return
    with _one_at_a_time, Route() as route:
        # One go: there is no moment at which the link exists without its owner's name.
        route.ask(
            netlink.add_veth(end.name, end.inside, pinned, end.mac or "", mtu=end.mtu),
            netlink.set_link(end.name, alias=end.alias, master=socket.if_nametoindex(end.master)),
            may_be=ALREADY_THERE,
        )
        _sysctl(f"net/ipv6/conf/{end.name}/disable_ipv6", "1")
        # Where br_netfilter is loaded, the bridge itself sends a packet that was translated:
        # back through this port, where a container asks for itself.
        route.ask(
            netlink.set_port(end.name, isolated=end.isolated), netlink.set_link(end.name, up=True)
        )
        # What the host sends into it is what is received inside.
        _hold(route, end.name, end.rates.receive)


def _existing(names: Sequence[str]) -> frozenset[str]:
    """Return those of ``names`` that links of the calling thread's namespace have."""
    return frozenset(name for name in names if exists(name))


def _share(end: End, pinned: int) -> None:
    try:
        parent = socket.if_nametoindex(end.master)
    except OSError:
        raise UnavailableError(
            "join namespace", end.inside, f"this host has no link `{end.master}`"
        ) from None
    with _one_at_a_time, Route() as route:
        made = netlink.add_shared_link(
            *(end.kind, end.name, parent, pinned, end.mac), mode=end.submode, mtu=None
        )
        try:
            route.ask(made, may_be=ALREADY_THERE)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            raise UnsupportedError(
                "join namespace", end.inside, f"this kernel has no {end.kind.value} links"
            ) from None


def _configure(ends: Sequence[End]) -> None:
    """Bring up what is inside the calling thread's namespace."""
    with _one_at_a_time, Route() as route:
        wanted = [netlink.set_link("lo", up=True)]
        for end in ends:
            if end.kind is not NetworkKind.BRIDGE and not exists(end.inside):
                # Made under a name the host has none of: kernels before 6.14 look there for the
                # name of what is made elsewhere, and the host's own link may be called the same.
                route.ask(netlink.rename_link(socket.if_nametoindex(end.name), end.inside))
            ipv6 = any(address.version == 6 for address in end.addresses)
            _sysctl(f"net/ipv6/conf/{end.inside}/disable_ipv6", "0" if ipv6 else "1")
            _sysctl(f"net/ipv6/conf/{end.inside}/accept_ra", "0")
            for path, value in end.sysctls:
                _set_sysctl(path, value)
            index = socket.if_nametoindex(end.inside)
            wanted += [netlink.add_address(index, address) for address in end.addresses]
            _hold(route, end.inside, end.rates.send)
            wanted.append(netlink.set_link(end.inside, up=True))
            wanted += [netlink.add_route(gateway) for gateway in end.gateways]
            if end.resolvers is not None:
                net, way = end.resolvers
                wanted.append(netlink.add_route(way, net))
        route.ask(*wanted, may_be=ALREADY_THERE)


def _limit(namespace: Path, ends: Sequence[End]) -> None:
    def inside() -> None:
        with Route() as route:
            for end in ends:
                _let_go(route, end.inside)
                _hold(route, end.inside, end.rates.send)

    with refusal("limit what goes over links of", namespace.name):
        with Route() as route:
            for end in ends:
                if end.kind is NetworkKind.BRIDGE:
                    _let_go(route, end.name)
                    _hold(route, end.name, end.rates.receive)
        netns.run_inside(namespace, inside)


def _hold(route: Route, name: str, rate: int | None) -> None:
    if rate is None:
        return
    try:
        route.ask(netlink.hold_to_rate(socket.if_nametoindex(name), rate))
    except FileNotFoundError:
        raise UnsupportedError(
            "limit what goes over",
            name,
            "this kernel has no token buckets",
            hint="`modprobe sch_tbf`, or leave `x-pyorch.rates` out",
        ) from None


def _let_go(route: Route, name: str) -> None:
    route.ask(netlink.let_go(socket.if_nametoindex(name)), may_be=NOT_HELD)


def _set_sysctl(path: str, value: str) -> None:
    try:
        Path("/proc/sys", path).write_text(value)
    except OSError as error:
        cause = error.strerror or str(error)
        raise UnavailableError("set", path.replace("/", "."), f"`{value}`: {cause}") from error


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
def refusal(verb: str, subject: str) -> Iterator[None]:
    """Say a kernel's refusal the way drivers do."""
    try:
        yield
    except OSError as error:
        code = error.errno
        cause = os.strerror(code) if code else str(error)
        if code == errno.EXFULL:
            cause = "its bridge has no port left (1023 at most)"
        raise UnavailableError(verb, subject, cause) from error


def _sysctl(path: str, value: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/sys", path).write_text(value)
