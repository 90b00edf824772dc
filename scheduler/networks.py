"""A stack's networks: which to make, of which addresses, and which of those a replica has."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from scheduler.actions import Addresses, CreateNetwork, LeaseAddresses, RemoveNetwork
from scheduler.addresses import (
    IPV6_PREFIX,
    choose_address,
    choose_subnet,
    gateway_of,
    prefix_for,
)
from scheduler.desired import AddressRange, DesiredNetwork, DesiredService, DesiredStack
from scheduler.errors import ExhaustedError
from scheduler.ids import Address, Net, NetworkName, ReplicaId, service_slot
from scheduler.observed import ObservedNetwork, ObservedStack
from scheduler.plan import PlanBuilder


@dataclass(frozen=True, slots=True)
class _Pool:
    """What a network's addresses of one family are taken from."""

    subnet: Net
    gateway: Address
    within: Net | None


@dataclass(slots=True, kw_only=True)
class NetworkPlanner:
    """Plans the networks of one stack, and hands out addresses in them."""

    desired: DesiredStack
    observed: ObservedStack
    plan: PlanBuilder
    steps: dict[NetworkName, int] = field(default_factory=dict)
    """The steps that make networks."""
    unusable: dict[NetworkName, str] = field(default_factory=dict)
    """Networks nobody can use now, and why."""
    _pools: dict[NetworkName, tuple[_Pool, ...]] = field(default_factory=dict)
    _taken: dict[NetworkName, set[Address]] = field(default_factory=dict)
    _held: dict[tuple[ReplicaId, NetworkName], set[Address]] = field(default_factory=dict)

    def make(self, *, idle: Collection[NetworkName]) -> None:
        """Plan every network but those that are ``idle``: services to come alone are on them."""
        self._read_leases()
        for wanted in sorted(self.desired.networks, key=lambda one: one.name):
            if wanted.name not in idle:
                self._network(wanted)

    def addresses(self, service: DesiredService, replica: ReplicaId) -> Addresses:
        """Return the addresses a replica has, in every network that is there or is made.

        Raises ExhaustedError when one of them is full.
        """
        chosen: list[tuple[NetworkName, Address]] = []
        for place in service.networks:
            used = self._taken.setdefault(place.network, set())
            held = self._held.get((replica, place.network), set())
            for pool in self._pools.get(place.network, ()):
                address = _first_in(pool.subnet, place.addresses)
                address = address or _first_in(pool.within or pool.subnet, held)
                if address is None:
                    address = choose_address(
                        self.desired.name,
                        replica,
                        place.network,
                        pool.subnet,
                        pool.gateway,
                        used,
                        within=pool.within,
                    )
                used.add(address)
                chosen.append((place.network, address))
        return tuple(chosen)

    def lease_virtual(self, service: DesiredService) -> None:
        """Plan what a service as a whole needs to be reached under one address, of IPv4 alone."""
        slot = service_slot(service.name)
        places = tuple(replace(place, addresses=()) for place in service.networks)
        chosen = self.addresses(replace(service, networks=places), slot)
        wanted = tuple((network, one) for network, one in chosen if one.version == 4)
        held = {
            (network, address)
            for place in places
            for network, address in (
                (place.network, one) for one in self._held.get((slot, place.network), set())
            )
        }
        if not set(wanted) <= held:
            self.plan.add(
                LeaseAddresses(service=service.name, addresses=wanted), "names lead there"
            )

    def remove_unwanted(self) -> None:
        """Plan to remove what the file does not name any more, once nobody is on it."""
        wanted = {network.name for network in self.desired.networks}
        for network in sorted(self.observed.networks, key=lambda found: found.name):
            mine = network.stack == self.desired.name
            if mine and network.name not in wanted and network.members == 0:
                self.plan.add(RemoveNetwork(network.name), "not in the stack file")

    def _read_leases(self) -> None:
        for lease in self.observed.addresses:
            self._taken.setdefault(lease.network, set()).add(lease.address)
            if lease.stack == self.desired.name:
                held = self._held.setdefault((lease.replica, lease.network), set())
                held.add(lease.address)
        for service in self.desired.services:
            for place in service.networks:
                self._taken.setdefault(place.network, set()).update(place.addresses)
        for network in self.desired.networks:
            for one in network.ranges:
                self._taken.setdefault(network.name, set()).update(one.reserved)

    def _network(self, wanted: DesiredNetwork) -> None:
        found = next((one for one in self.observed.networks if one.name == wanted.name), None)
        if found is not None:
            self._keep(wanted, found)
            return
        if wanted.external:
            self._refuse(
                wanted.name,
                f"external network `{wanted.name}` does not exist",
                hint="make it with the stack that owns it, or drop `external: true`",
            )
            return
        members = sum(
            service.replicas
            for service in self.desired.services
            if any(place.network == wanted.name for place in service.networks)
        )
        try:
            pools = tuple(self._choose(wanted.name, one, members) for one in wanted.ranges)
        except ExhaustedError as error:
            self._refuse(wanted.name, str(error), hint=error.hint)
            return
        self._create(wanted, pools, "is missing")

    def _keep(self, wanted: DesiredNetwork, found: ObservedNetwork) -> None:
        parts = {one.version: one.within for one in wanted.ranges}
        pools = tuple(
            _Pool(subnet, gateway, parts.get(subnet.version)) for subnet, gateway in found.subnets
        )
        self._pools[wanted.name] = pools
        if wanted.external:
            return
        if found.stack != self.desired.name:
            self._refuse(
                wanted.name,
                f"network `{wanted.name}` belongs to stack `{found.stack}`",
                hint="mark it `external: true` to share it",
            )
        elif moved := _moved(wanted, pools):
            self._refuse(wanted.name, moved, hint="`pyorch down` first, then `pyorch up`")
        elif not found.intact:
            self._create(wanted, pools, "its bridge is gone or down")
        elif found.revision != wanted.revision or found.internal != wanted.internal:
            self._create(wanted, pools, "its options have changed")

    def _choose(self, name: NetworkName, wanted: AddressRange, members: int) -> _Pool:
        subnet = wanted.subnet
        if subnet is None:
            taken = [*self.observed.routes]
            taken += [subnet for other in self.observed.networks for subnet, _ in other.subnets]
            taken += [pool.subnet for pools in self._pools.values() for pool in pools]
            smallest = self.desired.subnet_prefix
            subnet = choose_subnet(
                name,
                [pool for pool in self.desired.pools if pool.version == wanted.version],
                prefix_for(members, smallest) if wanted.version == 4 else IPV6_PREFIX,
                taken,
            )
        return _Pool(subnet, wanted.gateway or gateway_of(subnet), wanted.within)

    def _create(self, wanted: DesiredNetwork, pools: tuple[_Pool, ...], reason: str) -> None:
        self._pools[wanted.name] = pools
        self.steps[wanted.name] = self.plan.add(
            CreateNetwork(
                network=wanted.name,
                subnets=tuple((pool.subnet, pool.gateway) for pool in pools),
                internal=wanted.internal,
            ),
            reason,
        )

    def _refuse(self, network: NetworkName, reason: str, *, hint: str | None) -> None:
        self.unusable[network] = reason
        self.plan.hold(f"network {network}", reason, hint=hint, stuck=True)


def _moved(wanted: DesiredNetwork, pools: tuple[_Pool, ...]) -> str:
    """Return why a network that is there cannot become the one that is wanted; empty if it can."""
    present: dict[int, _Pool] = {pool.subnet.version: pool for pool in pools}
    nets = ", ".join(str(pool.subnet) for pool in pools)
    for one in wanted.ranges:
        pool = present.get(one.version)
        if pool is None:
            return f"network `{wanted.name}` exists without IPv{one.version}"
        if one.subnet not in (None, pool.subnet):
            return f"network `{wanted.name}` exists with subnet {nets}"
        if one.gateway not in (None, pool.gateway):
            return f"network `{wanted.name}` exists with gateway {pool.gateway}"
    if len(present) > len(wanted.ranges):
        return f"network `{wanted.name}` exists with subnet {nets}"
    return ""


def _first_in(net: Net, addresses: Iterable[Address]) -> Address | None:
    return next((one for one in sorted(addresses, key=str) if one in net), None)
