"""What was found on the host, at one instant, before any decision was taken.

A replica is in exactly one phase, and each phase carries only the facts that exist in it:
there is no exit code to misread on a running replica. Moments are seconds on the boot clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

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


class Health(StrEnum):
    """What the probes of a running replica add up to."""

    NONE = "none"
    """The service has no checks."""
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNREADY = "unready"
    """It is well, and says that it wants no visitors now."""


class Hooks(StrEnum):
    """How far the hooks of one kind are."""

    NONE = "none"
    WAITING = "waiting"
    """One has not run yet."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HookProgress:
    """How far hooks are, and in words what failed."""

    state: Hooks = Hooks.NONE
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Illness:
    """Since when a replica is unhealthy, and how many seconds it was healthy before."""

    since: float
    well_for: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A new replica of an update has yet to show that it works, since when; or has failed to."""

    since: float
    failed: bool = False


class UpdateState(StrEnum):
    """How far an update of a service is."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRecord:
    """The last update of a service: to what, how far, and whether there is a way back."""

    target: str
    """Revision and image of the new replicas."""
    state: UpdateState
    reason: str = ""
    reversible: bool = False

    def is_open(self, target: str) -> bool:
        """Whether it is the update to ``target``, and is not over."""
        going = self.state in (UpdateState.RUNNING, UpdateState.PAUSED)
        return going and self.target == target


@dataclass(frozen=True, slots=True)
class Created:
    """The container exists and no process was started in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The process is alive."""

    since: float
    health: Health = Health.NONE
    illness: Illness | None = None
    ready_since: float | None = None
    """Since when its checks say that it is ready; for one without checks, that it runs."""
    monitored: bool = True
    """Somebody keeps its output, and will see how it ends."""
    paused: bool = False
    """Somebody has it stand still: it is to be left so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The process was told to stop and may be killed at ``until``."""

    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """The process ended at ``at`` after ``lived`` seconds."""

    code: int
    at: float
    lived: float = 0.0
    stopped: bool = False
    """It was told to stop, or the machine went down: it did not end by itself."""
    before_boot: bool = False
    """The machine has started since."""
    why: str = ""
    """What else is known of it, e.g. that memory had run out."""
    lost: bool = False
    """Its monitor had died: whatever it ended of, that counts against nobody."""
    began: bool = True
    """Its program ran; one that was not found, or is none, does not begin to by itself."""
    overdue: bool = False
    """It was ended for having run too long: a failure, whatever it made of that."""

    @property
    def succeeded(self) -> bool:
        """Whether a job has done what it is for."""
        return self.code == 0 and not self.overdue

    def __str__(self) -> str:
        ended = f"exited with {self.code}" + (f", {self.why}" if self.why else "")
        return f"ran too long and {ended}" if self.overdue else ended


Phase = Created | Running | Stopping | Exited


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedReplica:
    """A container found in one slot of a service."""

    id: ReplicaId
    revision: Revision
    image: str
    """Id of the image it was made from."""
    phase: Phase
    mounted_images: tuple[str, ...] = ()
    """Ids of the images mounted in it, sorted."""
    post_start: HookProgress = HookProgress()
    """Of this run, while it lasts."""
    pre_stop: HookProgress = HookProgress()
    attempts: int = 0
    """Restarts in a row; a run of ``settled_after`` seconds starts the row anew."""
    counted: tuple[float, ...] = ()
    """When the restarts were made of which its policy allows so many."""
    asked: bool = False
    """It has ended, and somebody has asked for it since."""
    trial: Trial | None = None
    admitted: float | None = None
    """When it passed its trial."""
    leaving: float | None = None
    """Since when it gets no new connections, because another one takes its place."""
    healing: bool = False
    """It was told to stop because it was unhealthy: it is to run again."""
    follows: str = ""
    """What its service followed when this run began; empty where nobody knows."""
    networks: tuple[NetworkName, ...] = ()
    sandbox_intact: bool = True
    """Its network namespace and links are there as they were made, and what it is started with."""
    made: str = ""
    """Tells this very container from others that had its name."""
    shares: Mapping[str, str] = field(default_factory=dict)
    """Ids of containers it shares something with, and which very ones those were."""
    cpu_reservation: float = 0.0
    """What its service reserved for it when it was made."""
    memory_reservation: int = 0
    units: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    """Where files are that can be changed, and a hash of what they hold."""
    refreshing: bool = False
    """It is being told that they hold something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedNetwork:
    """A network of this pyorch found on the host; ``stack`` is who made it."""

    name: NetworkName
    stack: StackName
    subnets: tuple[tuple[Net, Address], ...]
    """Each with the address of its gateway."""
    revision: str = ""
    internal: bool = False
    intact: bool = True
    members: int = 0
    """Sandboxes attached to it, of any stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVolume:
    """A volume of this pyorch found on the host; ``stack`` is who made it."""

    name: VolumeName
    stack: StackName
    others: tuple[StackName, ...] = ()
    """Other stacks whose files name it."""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLease:
    """A port of the host that a service holds, in any stack."""

    stack: StackName
    service: str
    host_ip: str
    host_port: int
    protocol: str
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressLease:
    """An address in a network that a replica holds, in any stack, alive or not."""

    stack: StackName
    replica: ReplicaId
    network: NetworkName
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class HostListener:
    """A foreign socket on the host that already listens."""

    protocol: str
    address: str
    port: int
    holder: str
    """For people, e.g. ``nginx (pid 812)``."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A container of another stack that this one names: its id, and which very one it is."""

    id: str
    made: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the machine is: name and platform as it says them itself, labels as it was given."""

    name: str = ""
    os: str = "linux"
    architecture: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, int] = field(default_factory=dict)
    """What else it has that replicas may have to themselves, and how many of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a replica of another stack waits for."""

    priority: int
    cpus: float = 0.0
    memory: int = 0
    units: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedStack:
    """One observation: the stack's own things, and what of the host concerns it.

    ``networks`` and ``volumes`` hold those of every stack; ``sandboxes`` are those of this
    stack without a container, left behind by an interrupted pass.
    """

    name: StackName
    replicas: tuple[ObservedReplica, ...] = ()
    sandboxes: tuple[ReplicaId, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()
    neighbours: Mapping[str, Neighbour] = field(default_factory=dict)
    """Name → container, of those other stacks have and services share something with."""
    updates: Mapping[ServiceName, UpdateRecord] = field(default_factory=dict)
    """The last update of each service that has had one."""
    pre_start: Mapping[ServiceName, HookProgress] = field(default_factory=dict)
    """Of every service that has such hooks."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Reference → id of the image it stands for in the store now."""
    ports: tuple[PortLease, ...] = ()
    addresses: tuple[AddressLease, ...] = ()
    routes: tuple[Net, ...] = ()
    listeners: tuple[HostListener, ...] = ()
    protocols: frozenset[str] = frozenset({"tcp", "udp", "sctp"})
    """What this machine has ports of."""
    machine: Machine = field(default_factory=Machine)
    ceiling: Mapping[str, str] = field(default_factory=dict)
    """What all replicas of the stack together keep to, in words."""
    ceiling_cpus: float = 0.0
    cpus: float = 0.0
    memory: int = 0
    reserved_cpus: float = 0.0
    """Held by other stacks."""
    reserved_memory: int = 0
    reserved_units: Mapping[str, int] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    """What other stacks wait for."""
