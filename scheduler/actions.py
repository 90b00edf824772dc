"""The closed union of everything a plan can ask for.

One small class each. Whoever adds one is led by the type checker to :func:`describe` and
to the one place that carries actions out.
"""

from dataclasses import dataclass
from typing import assert_never

from scheduler.desired import HookKind
from scheduler.ids import (
    Address,
    Net,
    NetworkName,
    ReplicaId,
    Revision,
    ServiceName,
    StackName,
    VolumeName,
)

Addresses = tuple[tuple[NetworkName, Address], ...]
"""The addresses of a replica, one of each family in a network at most."""


@dataclass(frozen=True, slots=True)
class PullImage:
    """Get an image into the store."""

    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork:
    """Make a network, or mend the one that is there."""

    network: NetworkName
    subnets: tuple[tuple[Net, Address], ...]
    """Each with the host's own address in it."""
    internal: bool = False


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    """Remove a network without members."""

    network: NetworkName


@dataclass(frozen=True, slots=True)
class CreateVolume:
    """Make an empty volume."""

    volume: VolumeName


@dataclass(frozen=True, slots=True)
class RemoveVolume:
    """Delete a volume and its content: only ever because a person asked for it."""

    volume: VolumeName


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasePort:
    """Note which port of the host serves a service's published port."""

    service: ServiceName
    target: int
    protocol: str
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAddresses:
    """Note which addresses a service has of its own, besides those of its replicas."""

    service: ServiceName
    addresses: Addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateReplica:
    """Fill a slot: sandbox with these addresses, then the container; nothing runs yet."""

    replica: ReplicaId
    revision: Revision
    addresses: Addresses = ()
    shares: tuple[tuple[str, str], ...] = ()
    """What it has of which other container, by its id."""
    trial: bool = False
    """It takes part only once it has shown that it works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MendSandbox:
    """Give a running replica its lost links back, with the same addresses."""

    replica: ReplicaId
    addresses: Addresses = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareReplica:
    """Make anew what a reboot took from a replica that does not run, so that it can be started.

    The container itself stays, with everything that was written into it.
    """

    replica: ReplicaId
    addresses: Addresses = ()
    shares: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LimitReplica:
    """Have a replica keep to other limits, whether it runs or not; the container stays."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshReplica:
    """Have files of a replica hold what they should; the container stays.

    One that runs is told as ``react`` says, for each of these files.
    """

    replica: ReplicaId
    react: tuple[str, ...] = ()
    """Where the files are whose change it is told of."""


@dataclass(frozen=True, slots=True)
class LimitStack:
    """Have all replicas together keep to another ceiling."""

    stack: StackName


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReplica:
    """Begin a run.

    ``attempt`` counts restarts in a row, 0 for one that is not a restart; ``counted`` are the
    moments of those that the restart policy allows so many of; ``follows`` is what it is restarted
    after.
    """

    replica: ReplicaId
    attempt: int = 0
    counted: tuple[float, ...] = ()
    follows: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHooks:
    """Begin to run the hooks of one kind, those that have not run yet; does not wait."""

    replica: ReplicaId
    kind: HookKind


@dataclass(frozen=True, slots=True, kw_only=True)
class HealReplica:
    """Note that a replica is stopped only to run anew, as which restart, before it is."""

    replica: ReplicaId
    attempt: int
    counted: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class FailReplica:
    """Note that a replica is ended because it has run too long, before it is."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReplica:
    """Send the stop signal and note when the replica may be killed; does not wait."""

    replica: ReplicaId
    grace: float


@dataclass(frozen=True, slots=True)
class KillReplica:
    """End a replica whose time to stop by itself is over."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class RemoveReplica:
    """Empty a slot: container, then sandbox. ``keep_address`` where it will be filled again."""

    replica: ReplicaId
    keep_address: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginUpdate:
    """Note that a service is updated to ``target``, and from what: there lies the way back."""

    service: ServiceName
    target: str
    revision: Revision
    image: str


@dataclass(frozen=True, slots=True)
class AdmitReplica:
    """Have a replica take part: it gets new connections from now on."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class FailTrial:
    """Note that a new replica has failed."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class WithdrawReplica:
    """Have a replica get no new connections; those it has go on."""

    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class PauseUpdate:
    """Leave an update as it is until somebody says how to go on."""

    service: ServiceName


@dataclass(frozen=True, slots=True)
class CompleteUpdate:
    """Note that an update is done."""

    service: ServiceName


@dataclass(frozen=True, slots=True)
class RollBack:
    """Want the stack as it was before the update of a service."""

    service: ServiceName


Action = (
    PullImage
    | CreateNetwork
    | RemoveNetwork
    | CreateVolume
    | RemoveVolume
    | LeasePort
    | LeaseAddresses
    | CreateReplica
    | MendSandbox
    | PrepareReplica
    | LimitReplica
    | RefreshReplica
    | LimitStack
    | StartReplica
    | RunHooks
    | HealReplica
    | FailReplica
    | StopReplica
    | KillReplica
    | RemoveReplica
    | BeginUpdate
    | AdmitReplica
    | FailTrial
    | WithdrawReplica
    | PauseUpdate
    | CompleteUpdate
    | RollBack
)


Filling = CreateReplica | PrepareReplica
"""Both leave a container that can be started."""


def describe(action: Action) -> str:
    """Return the few words a human reads in a plan: what, and to whom."""
    match action:
        case PullImage(reference):
            return f"pull image {reference}"
        case CreateNetwork(network=network, subnets=subnets):
            return f"create network {network} {' '.join(str(net) for net, _ in subnets)}"
        case RemoveNetwork(network):
            return f"remove network {network}"
        case CreateVolume(volume):
            return f"create volume {volume}"
        case RemoveVolume(volume):
            return f"remove volume {volume}"
        case LeasePort():
            return (
                f"publish {bound(action.host_ip)}:{action.host_port}/{action.protocol}"
                f" to {action.service}:{action.target}"
            )
        case LeaseAddresses():
            found = " ".join(str(address) for _, address in action.addresses)
            return f"give {action.service} the address {found}"
        case CreateReplica(replica=replica):
            return f"create {replica}"
        case MendSandbox(replica=replica):
            return f"mend {replica}"
        case PrepareReplica(replica=replica):
            return f"prepare {replica}"
        case LimitStack():
            return "update limits of the stack"
        case LimitReplica(replica):
            return f"update limits of {replica}"
        case RefreshReplica(replica=replica):
            return f"refresh files of {replica}"
        case StartReplica(replica=replica):
            return f"start {replica}"
        case RunHooks(replica=replica, kind=kind):
            return f"run {kind} of {replica}"
        case HealReplica(replica=replica):
            return f"heal {replica}"
        case FailReplica(replica):
            return f"give {replica} no more time"
        case StopReplica(replica=replica):
            return f"stop {replica}"
        case KillReplica(replica):
            return f"kill {replica}"
        case RemoveReplica(replica):
            return f"remove {replica}"
        case BeginUpdate(service=service):
            return f"begin update of {service}"
        case AdmitReplica(replica):
            return f"admit {replica}"
        case FailTrial(replica):
            return f"note failure of {replica}"
        case WithdrawReplica(replica):
            return f"withdraw {replica}"
        case PauseUpdate(service):
            return f"pause update of {service}"
        case CompleteUpdate(service):
            return f"complete update of {service}"
        case RollBack(service):
            return f"roll back update of {service}"
        case unknown:
            assert_never(unknown)


def bound(host_ip: str) -> str:
    """Return the address a port is bound to as people write it before a colon."""
    return f"[{host_ip}]" if ":" in host_ip else host_ip or "0.0.0.0"
