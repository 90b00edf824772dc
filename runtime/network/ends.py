"""Networks and a sandbox → the links it needs and what is on each of them. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from runtime.network.names import bridge_name, veth_name
from runtime.types import (
    Address,
    Attachment,
    Instance,
    Net,
    NetworkConfig,
    NetworkId,
    NetworkKind,
    Rates,
    SandboxConfig,
    Subnet,
)

Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One of a sandbox's ways into a network, and what its inner end is like."""

    name: str
    """The outer end's; of those without one, what the inner end is known by."""
    alias: str
    kind: NetworkKind
    master: str
    """The bridge it is a port of, or the link it is on."""
    submode: str
    mtu: int
    inside: str
    """The inner end's name."""
    mac: str | None
    addresses: tuple[Interface, ...]
    gateways: tuple[Address, ...]
    """Where default routes lead, one for each family at most."""
    resolvers: tuple[Net, Address] | None
    """The resolvers' net, and the way to it."""
    sysctls: tuple[tuple[str, str], ...]
    isolated: bool
    """It reaches no other member."""
    rates: Rates


def ends_of(
    instance: Instance,
    sandbox: SandboxConfig,
    networks: Mapping[NetworkId, NetworkConfig],
    resolvers: Mapping[int, Net],
) -> tuple[End, ...]:
    """Return the ends of ``sandbox``, in its order.

    ``resolvers`` are the resolvers' nets of each family.
    """
    ways = {version: default_way(sandbox.attachments, networks, version) for version in (4, 6)}
    asked, version = way_to_host(sandbox.attachments, networks)
    return tuple(
        _end(
            instance,
            sandbox,
            place,
            networks[place.network],
            versions=[version for version, way in ways.items() if way is place],
            resolvers=resolvers.get(version) if place is asked else None,
        )
        for place in sandbox.attachments
    )


def default_way(
    places: Iterable[Attachment], networks: Mapping[NetworkId, NetworkConfig], version: int
) -> Attachment | None:
    """Return the place that carries the default route of a family."""
    leading = [
        place
        for place in places
        if not networks[place.network].internal
        and any(address.version == version for address in place.addresses)
    ]
    return min(leading, key=lambda place: (-place.gateway_priority, place.network), default=None)


def mac_of(address: Address) -> str:
    """Derive a locally administered address, so that neighbours' tables stay true."""
    tail = address.packed
    if address.version == 6:
        tail = hashlib.sha256(tail).digest()[:4]
    return "02:42:" + ":".join(f"{byte:02x}" for byte in tail)


def bridge_of(instance: Instance, network: NetworkConfig) -> str:
    """Return the name of a network's link on the host."""
    return network.bridge or bridge_name(instance, network.id)


def host_addresses(network: NetworkConfig) -> tuple[Interface, ...]:
    """Return what a network's bridge itself is given."""
    return tuple(
        ip_interface(f"{subnet.gateway}/{subnet.net.prefixlen}") for subnet in network.subnets
    )


def way_to_host(
    places: Iterable[Attachment], networks: Mapping[NetworkId, NetworkConfig]
) -> tuple[Attachment | None, int]:
    """Return the first place from which the host can be reached, and by which family."""
    for version in (4, 6):
        for place in places:
            network = networks[place.network]
            if network.kind is NetworkKind.BRIDGE and network.of_version(version) is not None:
                return place, version
    return None, 0


def _end(
    instance: Instance,
    sandbox: SandboxConfig,
    place: Attachment,
    network: NetworkConfig,
    *,
    versions: Iterable[int],
    resolvers: Net | None,
) -> End:
    subnets: dict[int, Subnet] = {subnet.net.version: subnet for subnet in network.subnets}
    addresses = [
        ip_interface(f"{address}/{subnets[address.version].net.prefixlen}")
        for address in place.addresses
    ]
    mac = place.mac
    bridged = network.kind is NetworkKind.BRIDGE
    if mac is None and place.addresses and network.kind is not NetworkKind.IPVLAN:
        mac = mac_of(place.addresses[0])
    return End(
        name=veth_name(instance, sandbox.id, place.network),
        alias=f"{instance.alias}{sandbox.id}",
        kind=network.kind,
        master=bridge_of(instance, network) if bridged else network.parent,
        submode=network.submode,
        mtu=network.mtu,
        inside=place.interface,
        mac=mac,
        addresses=(*addresses, *place.further),
        gateways=tuple(subnets[version].gateway for version in versions),
        resolvers=(resolvers, subnets[resolvers.version].gateway) if resolvers else None,
        sysctls=place.sysctls,
        isolated=not network.between,
        rates=sandbox.rates,
    )
