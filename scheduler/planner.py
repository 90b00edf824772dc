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
    CreateVolume,
    LimitReplica,
    LimitStack,
    PullImage,
    RemoveReplica,
)
from scheduler.capacity import refuse_starts
from scheduler.desired import DesiredService, DesiredStack, Intent, ServiceIntent
from scheduler.discarding import discard
from scheduler.gates import Gatekeeper
from scheduler.graph import start_order
from scheduler.ids import (
    NetworkName,
    ReplicaId,
    ServiceName,
    StackName,
    VolumeName,
    container_name,
    parse_container_name,
)
from scheduler.leftovers import LEFT_BEHIND, find_leftovers
from scheduler.networks import NetworkPlanner
from scheduler.observed import HookProgress, ObservedReplica, ObservedStack, PortLease
from scheduler.placement import Refusal
from scheduler.plan import Plan, PlanBuilder
from scheduler.ports import lease_ports
from scheduler.replicas import plan_replicas
from scheduler.shutdown import plan_shutdown
from scheduler.slots import Donor, Ground, changed_limits
from scheduler.standstill import plan_standstill


def plan_stack(desired: DesiredStack, observed: ObservedStack, *, now: float) -> Plan:
    """Return everything that can be done for ``desired`` right now, and what must wait.

    Raises CyclicDependencyError when its services depend on each other in a circle.
    """
    if desired.intent is not Intent.RUN:
        return plan_shutdown(desired, observed, now=now)
    return _Planner(desired=desired, observed=observed, now=now).run()


@dataclass(slots=True, kw_only=True)
class _Planner:
    desired: DesiredStack
    observed: ObservedStack
    now: float
    plan: PlanBuilder = field(default_factory=PlanBuilder)
    networks: NetworkPlanner = field(init=False)
    volume_steps: dict[VolumeName, int] = field(default_factory=dict)
    pulls: dict[str, int] = field(default_factory=dict)
    unusable: dict[VolumeName, str] = field(default_factory=dict)
    """Volumes nobody can use now, and why."""
    promised: list[PortLease] = field(default_factory=list)
    refused: Mapping[ReplicaId, Refusal] = field(default_factory=dict)
    first: tuple[int, ...] = ()
    """Steps no replica is started before."""

    def __post_init__(self) -> None:
        self.networks = NetworkPlanner(desired=self.desired, observed=self.observed, plan=self.plan)

    def run(self) -> Plan:
        services = {service.name: service for service in self.desired.services}
        order = start_order(self.desired)
        self.refused = refuse_starts(self.desired, self.observed, now=self.now)
        self.networks.make(
            idle=_idle(
                self.desired.services, lambda service: [place.network for place in service.networks]
            )
        )
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
        for leftover in find_leftovers(self.desired, self.observed):
            self.plan.add(RemoveReplica(leftover), LEFT_BEHIND)
        gates = Gatekeeper(services=services, replicas=found, now=self.now)
        for name in order:
            service = services[name]
            if service.intent is ServiceIntent.IDLE:
                # When its time comes, what it runs from is there; and now is when that is told.
                self._ground(service)
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
        self.networks.remove_unwanted()
        return self.plan.build()

    def _volumes(self) -> None:
        present = {volume.name: volume for volume in self.observed.volumes}
        idle = _idle(self.desired.services, lambda service: service.volumes)
        for volume in sorted(self.desired.volumes, key=lambda wanted: wanted.name):
            if found := present.get(volume.name):
                if not volume.external and found.options != volume.options:
                    self._refuse(
                        volume.name,
                        f"volume `{volume.name}` exists with other options",
                        hint="give this one another `name`, or remove the present one",
                    )
                continue
            if volume.name in idle:
                continue
            if volume.external:
                self._refuse(
                    volume.name,
                    f"external volume `{volume.name}` does not exist",
                    hint="make it with the stack that owns it, or drop `external: true`",
                )
            else:
                self.volume_steps[volume.name] = self.plan.add(
                    CreateVolume(volume.name), "is missing"
                )

    def _ground(self, service: DesiredService) -> Ground:
        after: list[int] = []
        shut = ""
        for place in service.networks:
            shut = shut or self.networks.unusable.get(place.network, "")
            if place.network in self.networks.steps:
                after.append(self.networks.steps[place.network])
        for volume in service.volumes:
            shut = shut or self.unusable.get(volume, "")
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
        if not shut and service.virtual:
            self.networks.lease_virtual(service)
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
            addresses=partial(self.networks.addresses, service),
            donors=donors,
            refused=self.refused,
            update=self.observed.updates.get(service.name),
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

    def _refuse(self, volume: VolumeName, reason: str, *, hint: str) -> None:
        self.unusable[volume] = reason
        self.plan.hold(f"volume {volume}", reason, hint=hint, stuck=True)


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
