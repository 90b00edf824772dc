"""What was asked for, settled: no short forms, no defaults left to guess.

Durations are seconds, sizes bytes. How a container is configured in detail is not the
planner's business: it travels as the revision, a hash of everything that needs a new
container when it changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.ids import (
    Address,
    Net,
    NetworkName,
    Revision,
    ServiceName,
    StackName,
    VolumeName,
)


class Intent(StrEnum):
    """What the operator wants of the stack as a whole."""

    RUN = "run"
    STOP = "stop"
    """Containers stopped and kept."""
    REMOVE = "remove"
    """Nothing left but volumes, and those neither if ``remove_volumes`` says so."""


class HookKind(StrEnum):
    """When hooks run: in a container of their own, or in the one that runs already."""

    PRE_START = "pre_start"
    """Before the first replica of a service starts; once for as long as they stay the same."""
    POST_START = "post_start"
    """In every run of a replica, before it counts as started."""
    PRE_STOP = "pre_stop"
    """Before a replica that runs is told to stop."""


class ServiceIntent(StrEnum):
    """What the operator wants of one service while its stack is to run."""

    RUN = "run"
    CREATED = "created"
    """Its containers are made and not started; those that run go on."""
    STOPPED = "stopped"
    """Its containers are kept, and stopped; none is made."""
    ABSENT = "absent"
    """It has no containers."""
    IDLE = "idle"
    """It runs by the clock, and its time has not come: its containers are kept, none runs."""

    @property
    def makes_containers(self) -> bool:
        """Whether empty slots are filled."""
        return self in (ServiceIntent.RUN, ServiceIntent.CREATED)

    @property
    def between_runs(self) -> "ServiceIntent":
        """Return what becomes of it where a service runs by the clock, and its time is not now."""
        return ServiceIntent.IDLE if self.makes_containers else self


class Overlap(StrEnum):
    """What happens when a run is due while the one before still goes on."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """Which runs are made up for that were due while nobody looked."""

    NONE = "none"
    ONCE = "once"
    """One for all of them."""
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a service runs: a cron expression, and whose clock it is about."""

    cron: str
    zone: str = "UTC"
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.ONCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a service by the clock: its number, and the moment it was due."""

    number: int
    due: float


class Condition(StrEnum):
    """What a dependency must have reached before the dependent is started."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


class RestartMode(StrEnum):
    """When an exited replica comes back."""

    NO = "no"
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    UNLESS_STOPPED = "unless-stopped"


class OnUnhealthy(StrEnum):
    """What becomes of a replica that is unhealthy, where its restart policy has any come back."""

    RESTART = "restart"
    RECREATE = "recreate"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When and how patiently an exited replica is restarted.

    The first restart in a row is immediate, the second waits ``first_delay``, and each one
    after that twice as long up to ``longest_delay``. A run of ``settled_after`` seconds
    starts the row anew. No pause is shorter than ``delay``.

    ``max_attempts`` restarts are made within ``window`` seconds, or at all where there is none;
    ``quarantine`` of them in a row. For being unhealthy no more than ``heal_limit`` in a row.
    """

    mode: RestartMode = RestartMode.NO
    max_attempts: int | None = None
    window: float | None = None
    delay: float = 0.0
    first_delay: float = 0.1
    longest_delay: float = 60.0
    settled_after: float = 10.0
    quarantine: int | None = None
    heal_limit: int | None = None


class UpdateOrder(StrEnum):
    """Which of two replicas of a service comes first, where one takes the place of the other."""

    STOP_FIRST = "stop-first"
    START_FIRST = "start-first"


class FailureAction(StrEnum):
    """What becomes of an update of which too many new replicas fail."""

    PAUSE = "pause"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """How replicas that run are replaced by others.

    A new one takes part once it has been ready for ``monitor`` seconds, and has failed where
    that takes longer than ``deadline``. An old one gets no new connections for ``drain`` seconds
    before it is told to stop.
    """

    parallelism: int = 1
    """How many at a time; 0 for all of them."""
    delay: float = 0.0
    """Seconds between one batch and the next."""
    monitor: float = 5.0
    max_failure_ratio: float = 0.0
    """Failures among all replicas that are put up with."""
    order: UpdateOrder = UpdateOrder.STOP_FIRST
    failure_action: FailureAction = FailureAction.PAUSE
    drain: float = 3.0
    deadline: float = 300.0


class CheckKind(StrEnum):
    """What a check of a running replica is about."""

    HEALTH = "health"
    """Whether it is well: the one of Compose."""
    STARTUP = "startup"
    """Whether it has started; the others wait for that."""
    READINESS = "readiness"
    """Whether anybody should talk to it; if not, that is no illness."""
    LIVENESS = "liveness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """How results of a probe become health; the probe itself is run elsewhere.

    Failures in ``start_period`` do not count. Until it has passed probes come every
    ``start_interval`` seconds; where that is None, quickly at first and ever more slowly.
    """

    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float | None = None


class OnChange(StrEnum):
    """What becomes of a replica whose files have other contents by now."""

    RESTART = "restart"
    SIGNAL = "signal"
    EXEC = "exec"
    NONE = "none"
    """They are changed under it, and it is told nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file holds that is changed while its container stays: whose it is, and a hash."""

    name: str
    digest: str
    on_change: OnChange
    told: str = ""
    """The signal, or the command, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of ``depends_on``. Without ``required`` it is only waited for while possible."""

    service: ServiceName
    condition: Condition = Condition.STARTED
    required: bool = True
    restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A service's place in a network: its names there, and the addresses it insists on."""

    network: NetworkName
    aliases: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    gateway_priority: int = 0
    """The highest of those that lead outside has the default route; the first by name of many."""
    nameless: bool = False
    """Nobody there knows it by a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port. ``host_ports`` are candidates in order; empty means any free one.

    ``host_ip`` is an address of the host, all of a family (``0.0.0.0``, ``::``), or empty for
    all there are. Every replica of a service serves the same published port; connections are
    spread.
    """

    target: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A further name for a service of the same stack, or for a container of anybody's."""

    alias: str
    name: str
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What replicas of a service have of another container: network, ipc or pid.

    ``container`` is the id of one of the stack's own, else any name of one elsewhere.
    """

    kind: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """What is asked of the machine: that it be called so under a key, or not be."""

    key: str
    value: str
    equal: bool = True

    def __str__(self) -> str:
        return f"`{self.key} {'==' if self.equal else '!='} {self.value}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredService:
    """One service as its file asks for it, replicas and all."""

    name: ServiceName
    revision: Revision
    image: str
    """The reference as written; ``DesiredStack.images`` may pin it."""
    pull: str = "missing"
    built: bool = False
    """Its image is made from a Dockerfile, by whoever asks for that."""
    """``missing``, ``always`` or ``never``."""
    replicas: int = 1
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    checks: Mapping[CheckKind, Healthcheck] = field(default_factory=dict)
    on_unhealthy: OnUnhealthy = OnUnhealthy.RESTART
    dependencies: tuple[Dependency, ...] = ()
    networks: tuple[Membership, ...] = ()
    """In order of priority, the highest first."""
    volumes: tuple[VolumeName, ...] = ()
    contents: Mapping[str, Content] = field(default_factory=dict)
    """Where files are whose contents are no part of the revision, and what they hold."""
    mounted_images: tuple[str, ...] = ()
    """References of the images mounted in it, besides the one it runs from."""
    hook_images: tuple[str, ...] = ()
    """References of the images its hooks run from, where these are others."""
    pre_start: bool = False
    post_start: bool = False
    ports: tuple[Port, ...] = ()
    virtual: bool = False
    """It has an address of its own in each of its networks, which stays whoever serves."""
    stop_grace: float = 10.0
    cpu_reservation: float = 0.0
    memory_reservation: int = 0
    units: Mapping[str, int] = field(default_factory=dict)
    """What else a replica has to itself, by its kind: so many of those the machine has."""
    priority: int = 0
    """Where not everybody's reservations fit, the higher one is let in first."""
    constraints: tuple[Constraint, ...] = ()
    """Where it may run: where all of them hold."""
    most_here: int = 0
    """How many of its replicas one machine may hold; 0 for all."""
    cpus: float = 0.0
    """How many processors a replica may use; 0 for all."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """What a replica keeps to, in words: it changes without a new container."""
    shares: tuple[Share, ...] = ()
    dns_all: bool = False
    """Names answer with replicas that are not ready, too."""
    dns_servers: tuple[str, ...] = ()
    """Who is asked for what nobody here is called; the host's own where there are none."""
    links: tuple[Link, ...] = ()
    """Names it alone knows."""
    one_off: bool = False
    """It was asked for once, by somebody who looks after it: it is never replaced, and however it
    is, the stack is as it was asked for."""
    intent: ServiceIntent = ServiceIntent.RUN
    alone: bool = False
    """It starts whatever its dependencies do."""
    follows: str | None = None
    """What it is restarted after, as one word that changes with it; None while not known."""
    restart_before: float | None = None
    """Runs that began before this moment of the boot clock are to end, and others to begin."""
    at_once: bool = False
    """Whoever asked gave no time: what ends is killed, and what would come first is left out."""
    schedule: Schedule | None = None
    """When it runs, where that is not always."""
    run: Run | None = None
    """The one that goes on, of a service that runs by the clock."""
    is_job: bool = False
    """It is what it should be once it has ended; others are while they run, too."""
    timeout: float = 0.0
    """How long a run may take before it is ended as a failure; 0 for as long as it likes."""
    most_at_once: int = 0
    """How many of its replicas run at one time; 0 for all."""
    update: UpdatePolicy | None = None
    """How replicas that run are replaced; without, one after the other, and come what may."""
    fixed_slots: bool = True
    """Its replicas are known to others by their numbers, which are 1 to ``replicas``."""
    since: Mapping[Revision, str] = field(default_factory=dict)
    """What has changed since older revisions, in the words of the stack file, where it is known."""

    @property
    def heals(self) -> bool:
        """Whether a replica that is unhealthy is to run anew, as far as its policy lets it."""
        return self.on_unhealthy is not OnUnhealthy.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRange:
    """What a network's addresses of one family are taken from; what is not said is chosen."""

    version: int = 4
    subnet: Net | None = None
    gateway: Address | None = None
    within: Net | None = None
    """The part of the subnet replicas get addresses from."""
    reserved: tuple[Address, ...] = ()
    """Addresses nobody gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredNetwork:
    """One network. ``external`` ones must exist and are never made or removed."""

    name: NetworkName
    ranges: tuple[AddressRange, ...] = (AddressRange(),)
    """One of each family at most."""
    internal: bool = False
    external: bool = False
    revision: str = ""
    """A hash of everything else it is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredVolume:
    """One named volume. ``external`` ones must exist and are never made or removed."""

    name: VolumeName
    external: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    """What is mounted as its content; none for a directory of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredStack:
    """Everything one stack file asks for, and what the operator said about it since."""

    name: StackName
    intent: Intent = Intent.RUN
    services: tuple[DesiredService, ...] = ()
    networks: tuple[DesiredNetwork, ...] = ()
    volumes: tuple[DesiredVolume, ...] = ()
    remove_volumes: bool = False
    pre_stop_binds: bool = True
    """A replica whose `pre_stop` fails is not stopped."""
    stop_grace: float | None = None
    """Overrides every service's own grace, as ``down -t`` does."""
    ceiling: Mapping[str, str] = field(default_factory=dict)
    """What all replicas together keep to, in words."""
    ceiling_cpus: float = 0.0
    """How many processors that is; 0 for all."""
    pools: tuple[Net, ...] = ()
    """Where subnets are chosen from, in both families."""
    subnet_prefix: int = 26
    images: Mapping[str, str] = field(default_factory=dict)
    """Reference → pinned image id, for the references this generation has resolved."""
