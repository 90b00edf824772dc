"""All stacks, their replicas and leases → what is reachable under a port or a name.

Ready means running and not known to be unwell: with a healthcheck, healthy; without one,
running. Where no replica of a service is ready all running ones answer, so that clusters
which form before they are ready find each other.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.translate.observed import HostView
from runtime import types as host
from scheduler.desired import DesiredService, DesiredStack
from scheduler.ids import (
    Address,
    NetworkName,
    ReplicaId,
    StackName,
    parse_container_name,
    service_slot,
)
from scheduler.observed import AddressLease, Health, PortLease

Name = tuple[host.NetworkId, str, StackName]
"""In which network, which name, given by which stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A replica that runs, and where it is."""

    replica: ReplicaId
    health: Health
    addresses: Mapping[NetworkName, tuple[Address, ...]]
    aside: bool


def build_exposure(
    stacks: Iterable[DesiredStack],
    view: HostView,
    *,
    health: Mapping[host.ContainerId, Health],
    leases: Iterable[PortLease],
    aside: Collection[host.ContainerId] = (),
    addresses: Iterable[AddressLease] = (),
) -> host.Exposure:
    """Return everything that is to be reachable right now, in a settled order.

    ``addresses`` are those held by services as a whole. Who stands ``aside`` gets no new
    connections as long as anybody else can take them.
    """
    running = _running(view, health, aside)
    networks = {NetworkName(facts.config.id): facts.config for facts in view.networks}
    held: dict[tuple[str, str], list[PortLease]] = {}
    for lease in leases:
        held.setdefault((lease.stack, lease.service), []).append(lease)
    ports: list[host.PublishedPort] = []
    names: dict[Name, list[Address]] = {}
    own: dict[Name, list[Address]] = {}
    zones: set[host.Zone] = set()
    own_addresses = {
        (one.stack, one.replica.service, one.network): one.address
        for one in addresses
        if one.replica == service_slot(one.replica.service)
    }
    virtual: list[host.VirtualAddress] = []
    for stack in stacks:
        for service in stack.services:
            places = running.get((stack.name, service.name), [])
            ready = _ready(service, places)
            if service.networks:
                zones.add(zone_of(stack.name, service))
            for lease in held.get((stack.name, service.name), ()):
                ports += _published(lease, service, ready, networks)
            for membership in (one for one in service.networks if not one.nameless):
                network = host.NetworkId(membership.network)
                answers = [
                    address
                    for place in ready
                    for address in place.addresses.get(membership.network, ())
                ]
                held_by_all = own_addresses.get((stack.name, service.name, membership.network))
                if service.virtual and held_by_all is not None:
                    virtual.append(
                        host.VirtualAddress(
                            network=network,
                            address=held_by_all,
                            targets=tuple(
                                sorted(
                                    (
                                        address
                                        for place in ready
                                        for address in place.addresses.get(membership.network, ())
                                        if address.version == held_by_all.version
                                    ),
                                    key=_in_order,
                                )
                            ),
                        )
                    )
                    answers = [held_by_all, *(one for one in answers if one.version == 6)]
                for alias in (service.name, *membership.aliases):
                    names.setdefault((network, alias, stack.name), []).extend(answers)
                for place in places:
                    if membership.network in place.addresses:
                        name = f"{stack.name}-{place.replica.service}-{place.replica.slot}"
                        own.setdefault((network, name, stack.name), []).extend(
                            place.addresses[membership.network]
                        )
    return host.Exposure(
        ports=tuple(sorted(ports, key=lambda port: (port.protocol, port.host_port, port.host_ip))),
        names=(*_named(own, primary=True), *_named(names, primary=False)),
        zones=tuple(sorted(zones)),
        virtual=tuple(sorted(virtual, key=lambda one: (one.network, _in_order(one.address)))),
    )


def zone_of(stack: StackName, service: DesiredService) -> host.Zone:
    """Return what a service's replicas may know: the names of their networks, and their links."""
    return host.Zone(
        networks=tuple(sorted({host.NetworkId(place.network) for place in service.networks})),
        servers=service.dns_servers,
        aliases=tuple(
            host.Alias(name=link.alias, of=link.name, owner=None if link.foreign else stack)
            for link in service.links
        ),
    )


def _named(
    found: Mapping[Name, list[Address]], *, primary: bool
) -> tuple[host.NamedAddresses, ...]:
    return tuple(
        host.NamedAddresses(
            network=network,
            name=name,
            addresses=tuple(sorted(set(addresses), key=_in_order)),
            owner=owner,
            primary=primary,
        )
        for (network, name, owner), addresses in sorted(found.items())
        if addresses
    )


def _running(
    view: HostView,
    health: Mapping[host.ContainerId, Health],
    aside: Collection[host.ContainerId],
) -> dict[tuple[StackName, str], list[Place]]:
    addresses = {
        sandbox.config.id: {
            NetworkName(place.network): place.addresses for place in sandbox.config.attachments
        }
        for sandbox in view.sandboxes
    }
    running: dict[tuple[StackName, str], list[Place]] = {}
    for facts in view.containers:
        if not isinstance(facts.phase, host.Running):
            continue
        stack, replica = parse_container_name(facts.id)
        place = Place(
            replica=replica,
            health=health.get(facts.id, Health.NONE),
            addresses=addresses.get(facts.id, {}),
            aside=facts.id in aside or facts.phase.stop_by is not None,
        )
        running.setdefault((stack, replica.service), []).append(place)
    return running


def _ready(service: DesiredService, places: list[Place]) -> list[Place]:
    if service.dns_all:
        return places
    well = Health.HEALTHY if service.checks else Health.NONE
    ready = [place for place in places if place.health is well]
    taking_part = [place for place in places if not place.aside]
    return [place for place in ready if not place.aside] or ready or taking_part or places


def _published(
    lease: PortLease,
    service: DesiredService,
    ready: Collection[Place],
    networks: Mapping[NetworkName, host.NetworkConfig],
) -> Iterator[host.PublishedPort]:
    """Yield what a lease comes to in each family it is of."""
    for version, everywhere in ((4, "0.0.0.0"), (6, "::")):
        if lease.host_ip and (":" in lease.host_ip) != (version == 6):
            continue
        way = _way(service, networks, version)
        if way is None and version == 6:
            continue
        targets = tuple(
            (address, lease.target)
            for place in ready
            for address in (place.addresses.get(way, ()) if way is not None else ())
            if address.version == version
        )
        yield host.PublishedPort(
            host_ip=lease.host_ip or everywhere,
            host_port=lease.host_port,
            protocol=lease.protocol,
            targets=tuple(sorted(targets, key=lambda target: _in_order(target[0]))),
        )


def _way(
    service: DesiredService, networks: Mapping[NetworkName, host.NetworkConfig], version: int
) -> NetworkName | None:
    """Return the network through which a service's published ports are reached."""
    # The one that carries the default route, so that answers go back the way questions came.
    # One whose networks are all internal is reached by the host alone.
    ways = sorted(service.networks, key=lambda one: (-one.gateway_priority, one.network))
    known = [
        networks[place.network]
        for place in ways
        if place.network in networks
        and networks[place.network].kind is host.NetworkKind.BRIDGE
        and networks[place.network].of_version(version) is not None
    ]
    found = next((one for one in known if not one.internal), known[0] if known else None)
    return NetworkName(found.id) if found else None


def _in_order(address: Address) -> tuple[int, int]:
    return address.version, int(address)
