"""Choose subnets for networks and addresses for replicas, the same ones every time."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network

from scheduler.errors import ExhaustedError
from scheduler.ids import NetworkName, ReplicaId, StackName

RESERVED = 3
"""Addresses of a subnet no replica can have: its first, its last, and the gateway's."""


def choose_subnet(
    network: NetworkName,
    pools: Sequence[IPv4Network],
    prefix: int,
    taken: Collection[IPv4Network],
) -> IPv4Network:
    """Return a free subnet: beginning at a place derived from the name, the next one free.

    Raises ExhaustedError when every subnet of every pool overlaps something.
    """
    for pool in pools:
        width = max(prefix, pool.prefixlen)
        count = 2 ** (width - pool.prefixlen)
        size = 2 ** (32 - width)
        first = _number(network) % count
        for step in range(count):
            base = int(pool.network_address) + (first + step) % count * size
            subnet = IPv4Network((base, width))
            if not any(subnet.overlaps(other) for other in taken):
                return subnet
    raise ExhaustedError(
        f"cannot find a free subnet for network `{network}`",
        hint="free some networks, or give the daemon more pools with PYORCH_POOLS",
    )


def prefix_for(members: int, smallest: int) -> int:
    """Return the prefix length of a subnet that holds ``members`` twice over, or ``smallest``.

    Twice, because a stack that is scaled up must not need another network.
    """
    needed = 2 * members + RESERVED
    return min(smallest, 32 - (needed - 1).bit_length())


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """Return the address the host itself takes in a subnet: the first one."""
    return subnet.network_address + 1


def choose_address(
    stack: StackName,
    replica: ReplicaId,
    network: NetworkName,
    subnet: IPv4Network,
    gateway: IPv4Address,
    taken: Iterable[IPv4Address],
) -> IPv4Address:
    """Return a free address: beginning at a place derived from the names, the next one free.

    Raises ExhaustedError when the subnet is full.
    """
    used = {*taken, gateway, subnet.network_address, subnet.broadcast_address}
    count = subnet.num_addresses
    first = _number(f"{stack}.{replica}.{network}") % count
    for step in range(count):
        address = subnet.network_address + (first + step) % count
        if address not in used:
            return address
    raise ExhaustedError(
        f"cannot find a free address for `{replica}`: network `{network}` ({subnet}) is full",
        hint="give the network a larger subnet with `ipam`",
    )


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
