"""Driver facts and stored history → :class:`scheduler.observed.ObservedStack`."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.store import ReplicaHistory, Update
from orchestrator.translate import labels
from orchestrator.translate.hooks import HookBook
from orchestrator.translate.limits import NO_CEILING, limits_in_words
from runtime import types as host
from scheduler import Reservation
from scheduler.desired import HookKind
from scheduler.ids import (
    NetworkName,
    ReplicaId,
    Revision,
    ServiceName,
    StackName,
    VolumeName,
    parse_container_name,
)
from scheduler.observed import (
    AddressLease,
    Claim,
    Created,
    Exited,
    Health,
    HookProgress,
    HostListener,
    Illness,
    Machine,
    Neighbour,
    ObservedNetwork,
    ObservedReplica,
    ObservedStack,
    ObservedVolume,
    Phase,
    PortLease,
    Running,
    Stopping,
    UpdateRecord,
)

GUESTS = StackName("-builds")
"""Whom sandboxes of builds belong to: no stack can have this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """What every driver reported, at one moment."""

    containers: tuple[host.ContainerFacts, ...] = ()
    sandboxes: tuple[host.SandboxFacts, ...] = ()
    networks: tuple[host.NetworkFacts, ...] = ()
    volumes: tuple[host.VolumeFacts, ...] = ()
    machine: host.HostFacts | None = None
    ceiling: host.Limits = NO_CEILING
    """What the containers of the stack that is looked at keep to together."""


def build_observed(
    stack: StackName,
    view: HostView,
    *,
    references: Mapping[str, str],
    checked: Collection[str],
    health: Mapping[host.ContainerId, Health],
    illnesses: Mapping[host.ContainerId, Illness],
    ready: Mapping[host.ContainerId, float],
    histories: Mapping[ReplicaId, ReplicaHistory],
    updates: Mapping[ServiceName, Update],
    addresses: tuple[AddressLease, ...],
    ports: tuple[PortLease, ...],
    size: host.HostFacts | None,
    machine: Machine,
    reserved: Reservation,
    claims: tuple[Claim, ...],
    volumes_of_others: Mapping[str, tuple[StackName, ...]],
    named: Collection[str] = (),
    hooks: HookBook,
    refreshing: Collection[host.ContainerId] = (),
) -> ObservedStack:
    """Say what of ``view`` concerns ``stack``, in the planner's words.

    ``references`` maps the image references the stack uses to the ids found for them.
    ``checked`` are its services with a healthcheck: their replicas are starting until a
    probe has said something else; ``illnesses`` tells of those that are unhealthy, ``ready``
    since when others are not.
    ``machine`` is what it is called, ``size`` how large it is, as far as that is known,
    ``reserved`` what other stacks hold of it, and ``claims`` what they wait for.
    ``volumes_of_others`` says which volumes the files of other stacks name. ``named`` are
    containers the stack's services share something with, by whatever name. ``hooks`` is what
    is known of the stack's hooks. ``refreshing`` are containers that are being told of other
    contents of their files.
    """
    sandboxes = {facts.config.id: facts for facts in view.sandboxes}
    replicas = []
    filled = set()
    for facts in view.containers:
        owner, replica = parse_container_name(facts.id)
        if owner != stack:
            continue
        filled.add(facts.id)
        if labels.HOOK in facts.labels and hooks.is_kept(facts):
            continue
        runs = isinstance(facts.phase, host.Running)
        sandbox = sandboxes.get(facts.id)
        own = facts.labels.get(labels.SANDBOX) == "own"
        unknown = Health.STARTING if replica.service in checked else Health.NONE
        reservation = _reservation(facts)
        history = histories.get(replica, ReplicaHistory())
        replicas.append(
            ObservedReplica(
                id=replica,
                revision=Revision(facts.labels.get(labels.REVISION, "")),
                image=facts.image,
                mounted_images=tuple(
                    sorted({o.source for o in facts.mounts if o.kind is host.MountKind.IMAGE})
                ),
                post_start=hooks.of_replica(facts, replica, HookKind.POST_START)
                if runs
                else HookProgress(),
                pre_stop=hooks.of_replica(facts, replica, HookKind.PRE_STOP)
                if runs
                else HookProgress(),
                phase=phase_of(
                    facts,
                    health.get(facts.id, unknown),
                    illness=illnesses.get(facts.id),
                    overdue=history.overdue,
                    ready_since=ready.get(facts.id),
                ),
                attempts=history.attempts,
                counted=history.counted,
                asked=history.asked,
                healing=history.healing,
                trial=history.trial,
                admitted=history.admitted,
                leaving=history.leaving,
                follows=history.follows,
                networks=tuple(NetworkName(place.network) for place in sandbox.config.attachments)
                if sandbox
                else (),
                sandbox_intact=facts.prepared
                and (not own or (sandbox is not None and sandbox.intact)),
                made=made_of(facts),
                shares=_shares(facts),
                cpu_reservation=reservation.cpus,
                memory_reservation=reservation.memory,
                units=reservation.units,
                limits=limits_in_words(facts.limits),
                contents={one.target: one.digest for one in facts.mounts if one.digest},
                refreshing=facts.id in refreshing,
            )
        )
    members: dict[host.NetworkId, int] = {}
    for facts_ in view.sandboxes:
        for place in facts_.config.attachments:
            members[place.network] = members.get(place.network, 0) + 1
    seen = view.machine
    return ObservedStack(
        name=stack,
        replicas=tuple(sorted(replicas, key=lambda found: found.id)),
        sandboxes=tuple(
            sorted(
                parse_container_name(name)[1]
                for name in sandboxes
                if name not in filled and parse_container_name(name)[0] == stack
            )
        ),
        networks=tuple(
            ObservedNetwork(
                name=NetworkName(found.config.id),
                stack=StackName(found.config.labels.get(labels.STACK, "")),
                subnets=tuple((one.net, one.gateway) for one in found.config.subnets),
                revision=found.config.labels.get(labels.REVISION, ""),
                internal=found.config.internal,
                intact=found.intact,
                members=members.get(found.config.id, 0),
            )
            for found in view.networks
        ),
        volumes=tuple(
            ObservedVolume(
                name=VolumeName(found.id),
                stack=StackName(found.labels.get(labels.STACK, "")),
                others=volumes_of_others.get(found.id, ()),
                options=found.options,
            )
            for found in view.volumes
        ),
        neighbours=dict(_neighbours(view.containers, named)),
        updates={
            name: UpdateRecord(
                target=one.target,
                state=one.state,
                reason=one.reason,
                reversible=one.before is not None,
            )
            for name, one in updates.items()
        },
        pre_start=hooks.before_start(),
        images=dict(references),
        ports=ports,
        addresses=(*addresses, *_unleased(view, addresses)),
        routes=seen.routes if seen else (),
        **({"protocols": seen.protocols} if seen else {}),
        listeners=tuple(
            HostListener(
                protocol=found.protocol,
                address=found.address,
                port=found.port,
                holder=f"{found.command} (pid {found.pid})" if found.pid else "another process",
            )
            for found in (seen.listeners if seen else ())
        ),
        machine=machine,
        ceiling=limits_in_words(view.ceiling),
        ceiling_cpus=view.ceiling.cpus or 0.0,
        cpus=float(size.cpus) if size else 0.0,
        memory=size.memory if size else 0,
        reserved_cpus=reserved.cpus,
        reserved_memory=reserved.memory,
        reserved_units=reserved.units,
        claims=claims,
    )


def _unleased(view: HostView, leased: Iterable[AddressLease]) -> Iterator[AddressLease]:
    """Yield what sandboxes hold and the store knows nothing of: guests, and what it has lost."""
    known = {(one.network, one.address) for one in leased}
    for facts in view.sandboxes:
        owner, replica = parse_container_name(facts.config.id)
        for place in facts.config.attachments:
            for address in place.addresses:
                network = NetworkName(place.network)
                if (network, address) not in known:
                    yield AddressLease(
                        stack=owner, replica=replica, network=network, address=address
                    )


def reserved_by_running(containers: Iterable[host.ContainerFacts]) -> dict[str, Reservation]:
    """Return what each stack's running containers were promised when they were made."""
    found: dict[str, Reservation] = {}
    for facts in containers:
        if isinstance(facts.phase, host.Running):
            stack, _ = parse_container_name(facts.id)
            found[stack] = found.get(stack, Reservation()) + _reservation(facts)
    return found


def made_of(facts: host.ContainerFacts) -> str:
    """Return what tells this very container from others that had its name."""
    return f"{facts.created_wall:.6f}"


def name_of(facts: host.ContainerFacts) -> str:
    """Return what people call a container: the name its file gives it, or the usual one."""
    stack, replica = parse_container_name(facts.id)
    return facts.labels.get(labels.NAME) or f"{stack}-{replica.service}-{replica.slot}"


def _shares(facts: host.ContainerFacts) -> dict[str, str]:
    written = facts.labels.get(labels.SHARES, "")
    return dict(entry.split("=", 1) for entry in written.split(",") if "=" in entry)


def _neighbours(
    containers: Iterable[host.ContainerFacts], named: Collection[str]
) -> Iterator[tuple[str, Neighbour]]:
    """Yield the containers that are named, by that name: an id, the usual one, or its own."""
    for facts in containers if named else ():
        stack, replica = parse_container_name(facts.id)
        usual = f"{stack}-{replica.service}-{replica.slot}"
        for name in {str(facts.id), usual, facts.labels.get(labels.NAME, "")} & set(named):
            yield name, Neighbour(facts.id, made_of(facts))


def _reservation(facts: host.ContainerFacts) -> Reservation:
    limits = facts.limits
    return Reservation(
        cpus=limits.reserved_cpus,
        memory=limits.reserved_memory,
        units=dict(limits.reserved_units),
    )


def phase_of(
    facts: host.ContainerFacts,
    health: Health,
    *,
    illness: Illness | None = None,
    overdue: bool = False,
    ready_since: float | None = None,
) -> Phase:
    """Return a container's phase in the planner's words.

    ``overdue``: its last run was ended for taking too long, which is nobody's wish to stop it.
    """
    match facts.phase:
        case host.Created():
            return Created()
        case host.Running(stop_by=None) as running:
            return Running(
                since=running.started,
                health=health,
                illness=illness,
                ready_since=running.started if health is Health.NONE else ready_since,
                monitored=running.monitored,
                paused=running.paused,
            )
        case host.Running() as stopping:
            return Stopping(until=stopping.stop_by or 0.0)
        case host.Exited() as exited:
            return Exited(
                code=exited.code,
                at=exited.at,
                lived=exited.lived,
                stopped=exited.stopped and not overdue,
                overdue=overdue,
                before_boot=exited.before_boot,
                why=exited.why,
                lost=exited.why == host.MONITOR_DIED,
                began=exited.began,
            )
