"""``plan_stack``: what was asked for × what was found × the moment → a plan.

The answer depends on the arguments alone, not on their order. A stack that already matches
gets an empty plan. Nothing in a plan waits: what may not happen yet is held, with the
reason, and whatever frees it leads to another plan.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from scheduler.actions import (
    Addresses,
    CreateNetwork,
    CreateVolume,
    LimitReplica,
    LimitStack,
    PullImage,
    RemoveNetwork,
    RemoveReplica,
)
from scheduler.addresses import (
    IPV6_PREFIX,
    choose_address,
    choose_subnet,
    gateway_of,
    prefix_for,
)
from scheduler.capacity import Refusal, refuse_starts
from scheduler.desired import AddressRange, DesiredNetwork, DesiredService, DesiredStack, Intent
from scheduler.errors import ExhaustedError
from scheduler.gates import Gatekeeper
from scheduler.graph import start_order
from scheduler.ids import (
    Address,
    Net,
    NetworkName,
    ReplicaId,
    ServiceName,
    StackName,
    VolumeName,
    container_name,
    parse_container_name,
)
from scheduler.observed import (
    HookProgress,
    ObservedNetwork,
    ObservedReplica,
    ObservedStack,
    PortLease,
)
from scheduler.plan import Plan, PlanBuilder
from scheduler.ports import lease_ports
from scheduler.replicas import Donor, Ground, changed_limits, discard, plan_replicas
from scheduler.shutdown import plan_shutdown
from scheduler.standstill import plan_standstill


def plan_stack(desired: DesiredStack, observed: ObservedStack, *, now: float) -> Plan:
    """Return everything that can be done for ``desired`` right now, and what must wait.

    Raises CyclicDependencyError when its services depend on each other in a circle.
    """
    if desired.intent is not Intent.RUN:
        return plan_shutdown(desired, observed, now=now)
    return _Planner(desired=desired, observed=observed, now=now).run()


@dataclass(frozen=True, slots=True)
class _Pool:
    """What a network's addresses of one family are taken from."""

    subnet: Net
    gateway: Address
    within: Net | None


def _moved(wanted: DesiredNetwork, pools: tuple[_Pool, ...]) -> str:
    """Return why a network that is there cannot become the one that is wanted; empty if it can."""
    present: dict[int, _Pool] = {pool.subnet.version: pool for pool in pools}
    versions = [one.version for one in wanted.ranges]
    nets = ", ".join(str(pool.subnet) for pool in pools)
    for one in wanted.ranges:
        pool = present.get(one.version)
        if pool is None:
            return f"network `{wanted.name}` exists without IPv{one.version}"
        if one.subnet not in (None, pool.subnet):
            return f"network `{wanted.name}` exists with subnet {nets}"
        if one.gateway not in (None, pool.gateway):
            return f"network `{wanted.name}` exists with gateway {pool.gateway}"
    if len(present) > len(versions):
        return f"network `{wanted.name}` exists with subnet {nets}"
    return ""


def _first_in(net: Net, addresses: Iterable[Address]) -> Address | None:
    return next((one for one in sorted(addresses, key=str) if one in net), None)


@dataclass(slots=True, kw_only=True)
class _Planner:
    desired: DesiredStack
    observed: ObservedStack
    now: float
    plan: PlanBuilder = field(default_factory=PlanBuilder)
    network_steps: dict[NetworkName, int] = field(default_factory=dict)
    volume_steps: dict[VolumeName, int] = field(default_factory=dict)
    pulls: dict[str, int] = field(default_factory=dict)
    pools: dict[NetworkName, tuple[_Pool, ...]] = field(default_factory=dict)
    taken: dict[NetworkName, set[Address]] = field(default_factory=dict)
    held_addresses: dict[tuple[ReplicaId, NetworkName], set[Address]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    """Networks and volumes nobody can use now, and why."""
    promised: list[PortLease] = field(default_factory=list)
    refused: Mapping[ReplicaId, Refusal] = field(default_factory=dict)
    first: tuple[int, ...] = ()
    """Steps no replica is started before."""

    def run(self) -> Plan:
        services = {service.name: service for service in self.desired.services}
        order = start_order(self.desired)
        self.refused = refuse_starts(self.desired, self.observed, now=self.now)
        self._read_leases()
        idle = _idle(
            self.desired.services, lambda service: [place.network for place in service.networks]
        )
        for network in sorted(self.desired.networks, key=lambda wanted: wanted.name):
            if network.name not in idle:
                self._network(network)
        self._volumes()
        ceiling = changed_limits(self.observed.ceiling, self.desired.ceiling)
        # No replica may have more of the processors than all of them together: what becomes
        # less comes after theirs, what becomes more before.
        lowered = 0 < self.desired.ceiling_cpus < self.observed.ceiling_cpus
        if ceiling and not lowered:
            self.first = (self.plan.add(LimitStack(self.desired.name), ", ".join(ceiling)),)
        found: dict[ServiceName, list[ObservedReplica]] = {}
        for replica in sorted(self.observed.replicas, key=lambda one: one.id):
            found.setdefault(replica.id.service, []).append(replica)
        for name in sorted(set(found) - set(services)):
            for replica in reversed(found[name]):
                discard(
                    self.plan, replica, grace=10.0, reason="not in the stack file", now=self.now
                )
        self._leftover_sandboxes(services)
        gates = Gatekeeper(services=services, replicas=found, now=self.now)
        for name in order:
            service = services[name]
            if not service.intent.makes_containers:
                plan_standstill(
                    self.plan,
                    service,
                    found.get(name, ()),
                    services=services,
                    replicas=found,
                    now=self.now,
                )
                continue
            plan_replicas(
                self.plan,
                service,
                found.get(name, ()),
                ground=self._ground(service),
                gates=gates,
                now=self.now,
            )
        if ceiling and lowered:
            limited = self.plan.numbers(LimitReplica)
            self.plan.add(LimitStack(self.desired.name), ", ".join(ceiling), after=limited)
        self._unwanted_networks()
        return self.plan.build()

    def _read_leases(self) -> None:
        for lease in self.observed.addresses:
            self.taken.setdefault(lease.network, set()).add(lease.address)
            if lease.stack == self.desired.name:
                held = self.held_addresses.setdefault((lease.replica, lease.network), set())
                held.add(lease.address)
        for service in self.desired.services:
            for place in service.networks:
                self.taken.setdefault(place.network, set()).update(place.addresses)
        for network in self.desired.networks:
            for one in network.ranges:
                self.taken.setdefault(network.name, set()).update(one.reserved)

    def _network(self, wanted: DesiredNetwork) -> None:
        found = next((one for one in self.observed.networks if one.name == wanted.name), None)
        if found is None and wanted.external:
            self._refuse(
                "network",
                wanted.name,
                f"external network `{wanted.name}` does not exist",
                hint="make it with the stack that owns it, or drop `external: true`",
            )
            return
        if found is not None:
            self._keep_network(wanted, found)
            return
        members = sum(
            service.replicas
            for service in self.desired.services
            if any(place.network == wanted.name for place in service.networks)
        )
        try:
            pools = tuple(self._choose_pool(wanted.name, one, members) for one in wanted.ranges)
        except ExhaustedError as error:
            self._refuse("network", wanted.name, str(error), hint=error.hint)
            return
        self._create_network(wanted, pools, "is missing")

    def _keep_network(self, wanted: DesiredNetwork, found: ObservedNetwork) -> None:
        ranges = {one.version: one for one in wanted.ranges}
        pools = tuple(
            _Pool(
                subnet, gateway, ranges[subnet.version].within if subnet.version in ranges else None
            )
            for subnet, gateway in found.subnets
        )
        self.pools[wanted.name] = pools
        if wanted.external:
            return
        if found.stack != self.desired.name:
            self._refuse(
                "network",
                wanted.name,
                f"network `{wanted.name}` belongs to stack `{found.stack}`",
                hint="mark it `external: true` to share it",
            )
        elif moved := _moved(wanted, pools):
            self._refuse(
                "network", wanted.name, moved, hint="`pyorch down` first, then `pyorch up`"
            )
        elif not found.intact:
            self._create_network(wanted, pools, "its bridge is gone or down")
        elif found.revision != wanted.revision or found.internal != wanted.internal:
            self._create_network(wanted, pools, "its options have changed")

    def _choose_pool(self, name: NetworkName, wanted: AddressRange, members: int) -> "_Pool":
        subnet = wanted.subnet
        if subnet is None:
            taken = [
                *self.observed.routes,
                *(pool.subnet for pools in self.pools.values() for pool in pools),
            ]
            taken += [subnet for other in self.observed.networks for subnet, _ in other.subnets]
            prefix = prefix_for(members, self.desired.subnet_prefix)
            subnet = choose_subnet(
                name,
                [pool for pool in self.desired.pools if pool.version == wanted.version],
                prefix if wanted.version == 4 else IPV6_PREFIX,
                taken,
            )
        return _Pool(subnet, wanted.gateway or gateway_of(subnet), wanted.within)

    def _create_network(
        self, wanted: DesiredNetwork, pools: "tuple[_Pool, ...]", reason: str
    ) -> None:
        self.pools[wanted.name] = pools
        self.network_steps[wanted.name] = self.plan.add(
            CreateNetwork(
                network=wanted.name,
                subnets=tuple((pool.subnet, pool.gateway) for pool in pools),
                internal=wanted.internal,
            ),
            reason,
        )

    def _volumes(self) -> None:
        present = {volume.name: volume for volume in self.observed.volumes}
        idle = _idle(self.desired.services, lambda service: service.volumes)
        for volume in sorted(self.desired.volumes, key=lambda wanted: wanted.name):
            if found := present.get(volume.name):
                if not volume.external and found.options != volume.options:
                    self._refuse(
                        "volume",
                        volume.name,
                        f"volume `{volume.name}` exists with other options",
                        hint="give this one another `name`, or remove the present one",
                    )
                continue
            if volume.name in idle:
                continue
            if volume.external:
                self._refuse(
                    "volume",
                    volume.name,
                    f"external volume `{volume.name}` does not exist",
                    hint="make it with the stack that owns it, or drop `external: true`",
                )
            else:
                self.volume_steps[volume.name] = self.plan.add(
                    CreateVolume(volume.name), "is missing"
                )

    def _leftover_sandboxes(self, services: dict[ServiceName, DesiredService]) -> None:
        for replica in sorted(self.observed.sandboxes):
            service = services.get(replica.service)
            if service is None or replica.slot > service.replicas:
                self.plan.add(RemoveReplica(replica), "left behind by an interrupted pass")

    def _ground(self, service: DesiredService) -> Ground:
        after: list[int] = []
        shut = ""
        for place in service.networks:
            shut = shut or self.unusable.get(f"network {place.network}", "")
            if place.network in self.network_steps:
                after.append(self.network_steps[place.network])
        for volume in service.volumes:
            shut = shut or self.unusable.get(f"volume {volume}", "")
            if volume in self.volume_steps:
                after.append(self.volume_steps[volume])
        references = (service.image, *service.mounted_images, *service.hook_images)
        images = {one: self._image(service, one) for one in references}
        mounted = [images[one] for one in service.mounted_images]
        for reference, found in images.items():
            if found is not None:
                continue
            if service.pull == "never":
                shut = shut or f"image `{reference}` is not in the store"
            elif service.replicas > 0:
                after.append(self._pull(service, reference))
        if 0 < self.observed.cpus < service.cpus:
            shut = shut or f"may use {service.cpus:g} cpus: the machine has {self.observed.cpus:g}"
            self.plan.hold(
                service.name,
                f"may use {service.cpus:g} cpus: the machine has {self.observed.cpus:g}",
                hint="lower `cpus`, or leave it out for all of them",
                stuck=True,
            )
        donors, missing = self._donors(service)
        shut = shut or missing
        leases, refused = lease_ports(self.desired.name, service, self.observed, self.promised)
        for taken in refused:
            shut = shut or str(taken)
            hint = "stop it, or publish another port" if taken.holder else "leave it out"
            self.plan.hold(service.name, str(taken), hint=hint, stuck=True)
        if not shut:
            for lease in leases:
                after.append(self.plan.add(lease, "is published"))
                self.promised.append(
                    PortLease(
                        stack=self.desired.name,
                        service=service.name,
                        host_ip=lease.host_ip,
                        host_port=lease.host_port,
                        protocol=lease.protocol,
                        target=lease.target,
                    )
                )
        return Ground(
            image=images[service.image],
            mounted_images=None if None in mounted else tuple(sorted(filter(None, mounted))),
            after=tuple(sorted(set(after))),
            shut=shut,
            addresses=partial(self._addresses, service),
            donors=donors,
            refused=self.refused,
            pre_start=self.observed.pre_start.get(service.name, HookProgress()),
            first=self.first,
        )

    def _donors(self, service: DesiredService) -> tuple[tuple[Donor, ...], str]:
        """Return whom a service shares something with, and why it cannot, if it cannot."""
        found: list[Donor] = []
        mine = {
            container_name(self.desired.name, replica.id): replica
            for replica in self.observed.replicas
        }
        services = {one.name: one for one in self.desired.services}
        for share in service.shares:
            stack, replica = _parsed(share.container)
            if stack == self.desired.name and replica and replica.service in services:
                owner = services[replica.service]
                if owner.replicas < replica.slot:
                    reason = f"there is to be no {replica}, whose {share.kind} it shares"
                    hint = f"scale `{replica.service}` to {replica.slot} at least"
                    self.plan.hold(service.name, reason, hint=hint, stuck=True)
                    return (), reason
                there = mine.get(share.container)
                if there is None and not owner.intent.makes_containers:
                    reason = f"{owner.name}, whose {share.kind} it shares, is not to run"
                    hint = f"`pyorch up {owner.name}` has it run"
                    self.plan.hold(service.name, reason, hint=hint, stuck=True)
                    return (), reason
                made = there.made if there else ""
                found.append(
                    Donor(kind=share.kind, container=share.container, made=made, replica=replica)
                )
                continue
            neighbour = self.observed.neighbours.get(share.container)
            if neighbour is None:
                reason = f"there is no container `{share.container}`, whose {share.kind} it shares"
                hint = "start the stack that owns it, or put both services into one file"
                self.plan.hold(service.name, reason, hint=hint, stuck=True)
                return (), reason
            found.append(Donor(kind=share.kind, container=neighbour.id, made=neighbour.made))
        return tuple(found), ""

    def _image(self, service: DesiredService, reference: str) -> str | None:
        pinned = self.desired.images.get(reference)
        if pinned is not None:
            return pinned
        if service.pull == "always":
            return None
        found = self.observed.images.get(reference)
        if found is None and service.pull == "never":
            cause, hint = (
                ("has not been built", f"`pyorch up --build`, or `pyorch build {service.name}`")
                if service.built and reference == service.image
                else (
                    "is not in the store and may not be pulled",
                    f"`pyorch image pull {reference}`, or `pyorch image load ARCHIVE`",
                )
            )
            self.plan.hold(service.name, f"image `{reference}` {cause}", hint=hint, stuck=True)
        return found

    def _pull(self, service: DesiredService, reference: str) -> int:
        if reference not in self.pulls:
            why = "pull policy is `always`" if service.pull == "always" else "is missing"
            self.pulls[reference] = self.plan.add(PullImage(reference), why)
        return self.pulls[reference]

    def _addresses(self, service: DesiredService, replica: ReplicaId) -> Addresses:
        chosen: list[tuple[NetworkName, Address]] = []
        for place in service.networks:
            used = self.taken.setdefault(place.network, set())
            held = self.held_addresses.get((replica, place.network), set())
            for pool in self.pools.get(place.network, ()):
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

    def _unwanted_networks(self) -> None:
        wanted = {network.name for network in self.desired.networks}
        for network in sorted(self.observed.networks, key=lambda found: found.name):
            mine = network.stack == self.desired.name
            if mine and network.name not in wanted and network.members == 0:
                self.plan.add(RemoveNetwork(network.name), "not in the stack file")

    def _refuse(self, kind: str, name: str, reason: str, *, hint: str | None) -> None:
        self.unusable[f"{kind} {name}"] = reason
        self.plan.hold(f"{kind} {name}", reason, hint=hint, stuck=True)


def _parsed(name: str) -> tuple[StackName | None, ReplicaId | None]:
    """Return whose container an id is; nothing for a name that is no id."""
    try:
        return parse_container_name(name)
    except ValueError:
        return None, None


Name = TypeVar("Name", NetworkName, VolumeName)


def _idle(
    services: Iterable[DesiredService], named: Callable[[DesiredService], Iterable[Name]]
) -> set[Name]:
    """Return what only services name that get no containers."""
    found: set[Name] = set()
    needed: set[Name] = set()
    for service in services:
        found.update(named(service))
        if service.intent.makes_containers:
            needed.update(named(service))
    return found - needed
