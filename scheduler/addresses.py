"""Choose subnets for networks and addresses for replicas, the same ones every time."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network

from scheduler.errors import ExhaustedError
from scheduler.ids import Address, Net, NetworkName, ReplicaId, StackName

IPV6_PREFIX = 64
RESERVED = 3
"""Addresses of a subnet no replica can have: its first, its last, and the gateway's."""


def choose_subnet(
    network: NetworkName, pools: Sequence[Net], prefix: int, taken: Collection[Net]
) -> Net:
    """Return a free subnet: beginning at a place derived from the name, the next one free.

    Raises ExhaustedError when every subnet of every pool overlaps something.
    """
    for pool in pools:
        width = max(prefix, pool.prefixlen)
        count = 2 ** (width - pool.prefixlen)
        first = _number(network) % count
        for step in range(count):
            subnet = _nth(pool, width, (first + step) % count)
            if not any(overlap(subnet, other) for other in taken):
                return subnet
    raise ExhaustedError(
        f"cannot find a free subnet for network `{network}`",
        hint="free some networks, or give the daemon more pools with PYORCH_POOLS",
    )


def overlap(one: Net, other: Net) -> bool:
    """Whether two nets, of whatever families, have addresses in common."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def _nth(pool: Net, width: int, number: int) -> Net:
    base = int(pool.network_address) + number * 2 ** (pool.max_prefixlen - width)
    return IPv4Network((base, width)) if pool.version == 4 else IPv6Network((base, width))


def prefix_for(members: int, smallest: int) -> int:
    """Return the prefix length of a subnet that holds ``members`` twice over, or ``smallest``.

    Twice, because a stack that is scaled up must not need another network.
    """
    needed = 2 * members + RESERVED
    return min(smallest, 32 - (needed - 1).bit_length())


def gateway_of(subnet: Net) -> Address:
    """Return the address the host itself takes in a subnet: the first one."""
    return subnet.network_address + 1


def choose_address(
    stack: StackName,
    replica: ReplicaId,
    network: NetworkName,
    subnet: Net,
    gateway: Address,
    taken: Iterable[Address],
    *,
    within: Net | None = None,
) -> Address:
    """Return a free address: beginning at a place derived from the names, the next one free.

    ``within`` is the part of the subnet it is taken from. Raises ExhaustedError when that is
    full.
    """
    place = within or subnet
    used = {*taken, gateway, subnet.network_address, subnet.broadcast_address}
    count = place.num_addresses
    first = _number(f"{stack}.{replica}.{network}") % count
    for step in range(count):
        address = place.network_address + (first + step) % count
        if address not in used:
            return address
    raise ExhaustedError(
        f"cannot find a free address for `{replica}`: network `{network}` ({place}) is full",
        hint="give the network a larger subnet with `ipam`",
    )


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
