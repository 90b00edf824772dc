"""The runtime's own nouns: what a driver is given, and what it reports.

Plain frozen values. Times are seconds on ``CLOCK_BOOTTIME`` unless a name says ``wall``
(seconds since the epoch, for display only); sizes are bytes; addresses are the standard
library's :mod:`ipaddress` objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path
from typing import NewType

ContainerId = NewType("ContainerId", str)
"""Names a container and its sandbox on this host, e.g. ``shop.web.2``. Safe as a file name."""

NetworkId = NewType("NetworkId", str)
"""Names a network on this host, e.g. ``shop_front``."""

VolumeId = NewType("VolumeId", str)
"""Names a volume on this host, e.g. ``shop_data``."""

Address = IPv4Address | IPv6Address
Net = IPv4Network | IPv6Network


def overlap(one: Net, other: Net) -> bool:
    """Whether two nets, of whatever families, have addresses in common."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


Digest = NewType("Digest", str)
"""``sha256:<64 hex digits>``, checked before it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Where one pyorch lives on the host, so that several never touch each other.

    ``name`` is 1 to 8 characters of ``[a-z0-9]`` and is part of every name the host sees:
    cgroups below ``/<cgroup>``, links ``<link_prefix>…``, the nft table ``<table>``, and
    the alias ``pyorch:<name>:…`` on every link.
    """

    name: str = "main"
    data: Path = Path("/var/lib/pyorch")
    run: Path = Path("/run/pyorch")
    patience: float = 30.0
    """Seconds an OCI runtime may take for one thing."""

    cdi: tuple[Path, ...] = (Path("/etc/cdi"), Path("/var/run/cdi"))
    """Where makers of devices describe them; later ones override earlier ones."""

    @property
    def cgroup(self) -> str:
        """The one directory below which every cgroup of this instance lives, no slashes."""
        return "pyorch" if self.name == "main" else f"pyorch-{self.name}"

    @property
    def table(self) -> str:
        """The one nftables table (family ``inet``) of this instance."""
        return "pyorch" if self.name == "main" else f"pyorch_{self.name}"

    @property
    def alias(self) -> str:
        """What the interface alias of every link of this instance starts with."""
        return f"pyorch:{self.name}:"


# ── containers ───────────────────────────────────────────────────────────────────────────


class MountKind(StrEnum):
    """Where the content of a mount comes from."""

    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"
    IMAGE = "image"
    """The root filesystem of another image; what is written there goes with the container."""
    FILE = "file"
    """Content carried in the configuration itself: a config or a secret, on tmpfs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One thing mounted into a container.

    ``source`` is a host path for a bind, a :data:`VolumeId` for a volume, the id of an image,
    and empty otherwise. ``content`` is only for :attr:`MountKind.FILE` and never printed.
    """

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False
    create_host_path: bool = True
    nocopy: bool = False
    """Leave an empty volume empty instead of filling it from the image."""
    subpath: str = ""
    """What of a volume or an image is mounted; empty for all of it. It must be there."""
    recursive: str = ""
    """What becomes of mounts below a bind: ``disabled`` leaves them out, ``writable`` keeps a
    read-only bind from being one for them, too."""
    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    options: tuple[str, ...] = ()
    content: bytes = field(default=b"", repr=False)


class IoKind(StrEnum):
    """What of the traffic with a block device is counted."""

    READ_BYTES = "read_bps"
    WRITE_BYTES = "write_bps"
    READS = "read_iops"
    WRITES = "write_iops"


@dataclass(frozen=True, slots=True, kw_only=True)
class IoRate:
    """How much of it there may be in a second, for the block device at a path of the host."""

    kind: IoKind
    device: str
    rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Device nodes of the host. ``source`` may be a directory or a pattern of several.

    ``target`` is where they are in the container; empty is where they are on the host.
    """

    source: str
    target: str = ""
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the cgroup enforces; ``None`` means unlimited.

    ``cpus`` excludes ``cpu_period`` and ``cpu_quota``, which are in µs. ``memory_swap`` is
    memory and swap together, -1 for no limit of it. What is set aside (``reserved_…``) is
    only reported back: whoever admits containers counts it.
    """

    cpus: float | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_shares: int | None = None
    cpuset: str | None = None
    memory: int | None = None
    memory_reservation: int | None = None
    memory_swap: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    pids: int | None = 4096
    io_weight: int | None = None
    io_weights: tuple[tuple[str, int], ...] = ()
    """By block device: its path on the host, and the weight."""
    io_rates: tuple[IoRate, ...] = ()
    reserved_cpus: float = 0.0
    reserved_memory: int = 0


class LogDriver(StrEnum):
    """Where a container's output goes besides its own log; ``NONE`` has not even that."""

    FILE = "file"
    NONE = "none"
    JOURNALD = "journald"
    SYSLOG = "syslog"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What becomes of a container's output.

    Of a replica's log ``max_files`` files of ``max_size`` bytes are kept, all if ``max_size``
    is None. ``tag`` and ``attributes`` go along with what is forwarded; ``options`` are the
    driver's own.
    """

    driver: LogDriver = LogDriver.FILE
    max_size: int | None = 20_000_000
    max_files: int = 5
    compress: bool = True
    tag: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """Everything needed to make one container; two equal configs make equal containers.

    ``None`` in ``command``, ``entrypoint``, ``user``, ``working_dir`` and ``stop_signal``
    means the image decides. An entrypoint discards the image's command as well, unless it is
    empty; an empty command is none. A ``None`` value in ``environment`` removes the image's value.
    ``labels`` are kept in the container's record and reported back in
    :class:`ContainerFacts`; they never become OCI annotations.
    """

    id: ContainerId
    image: Digest
    """The image's id: the digest of its manifest in the store."""
    cgroup: str
    """Path of the container's cgroup below the instance's, e.g. ``shop/web.2``."""
    log: Path
    """Directory of the log files of every run; of containers before this one, too."""
    hostname: str
    """Empty: it is called as its host is."""
    domainname: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    user: str | None = None
    group_add: tuple[str, ...] = ()
    working_dir: str | None = None
    stop_signal: str | None = None
    tty: bool = False
    stdin_open: bool = False
    init: bool = False
    read_only: bool = False
    privileged: bool = False
    no_new_privileges: bool = False
    seccomp: str | None = None
    """``None``: the distribution's profile. ``unconfined``: none. Else a profile, as JSON."""
    apparmor: str | None = None
    """Name of a profile the kernel has loaded."""
    unmasked: bool = False
    """Nothing of ``/proc`` and ``/sys`` is hidden or kept from being written."""
    network: str = ""
    """The container whose sandbox ``netns`` is, and whose names it has; empty where it is its own.

    Without a ``hostname`` it is called as that one is.
    """
    pid: str = ""
    """Whose processes it sees: its own, those of ``host``, or those of another container."""
    ipc: str = ""
    """Whose shared memory and queues it has: its own, those of ``host``, or another container's.

    ``shareable``: its own, which outlive its runs and which others may have. ``none``: its
    own, without ``/dev/shm``.
    """
    uts_host: bool = False
    """Its names are the host's own: they change with those."""
    cgroup_host: bool = False
    """It sees its cgroup by the path the host knows it by."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Told to the runtime and whoever asks it; nobody checks here that none steers it."""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    device_rules: tuple[str, ...] = ()
    """What else it may use, by number: ``c 1:3 rwm``, a ``*`` standing for any number."""
    cdi: tuple[str, ...] = ()
    """Devices by the names their makers describe them under: ``vendor.com/class=name``."""
    limits: Limits = field(default_factory=Limits)
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    oom_score_adj: int | None = None
    shm_size: int = 64 * 1024 * 1024
    extra_hosts: tuple[tuple[str, str], ...] = ()
    """``(name, address)`` lines for ``/etc/hosts``, besides its own."""
    nameservers: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    """The container's own addresses, for its own line in ``/etc/hosts``."""
    netns: Path | None = None
    """The sandbox to join; ``None`` is the host's network namespace."""
    runtime: str | None = None
    """Name or path of the OCI runtime; None is the usual one here."""
    logging: LogConfig = field(default_factory=LogConfig)
    labels: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Labels that are only told: other ones do not make another container."""


@dataclass(frozen=True, slots=True)
class Created:
    """The container has a bundle and a root filesystem; no process was started yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The process is alive. ``stop_by`` is the moment it will be killed, once told to stop."""

    pid: int
    run: int
    started: float
    stop_by: float | None = None
    monitored: bool = True
    """Its output is kept. Not so once its monitor died; it runs on, and may break over that."""


MONITOR_DIED = "monitor died"
"""Why of an end that its monitor did not live to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """The process of run number ``run`` ended at ``at``; 255 where nobody saw the code.

    ``lived`` is how long it ran, in seconds.
    """

    code: int
    run: int
    at: float
    lived: float
    oom: bool = False
    stopped: bool = False
    """It had been told to stop before it ended, or ended with the machine."""
    why: str = ""
    """What else is known: ``host reboot``, ``monitor died``, ``out of memory, limit 24 MiB``."""


ContainerPhase = Created | Running | Exited


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """A container found on the host."""

    id: ContainerId
    image: Digest
    labels: Mapping[str, str]
    phase: ContainerPhase
    created_wall: float
    log: Path
    logged: bool = True
    """Its output is kept, so that it can be read again."""
    limits: Limits = field(default_factory=Limits)
    """Those it is to keep to, as they were asked for."""
    unmet: tuple[str, ...] = ()
    """What of its configuration this host cannot do, or does not give as much of: key and why."""
    prepared: bool = True
    """It runs, or can be started: the small files mounted into it have not gone with a reboot."""
    mounts: tuple[Mount, ...] = ()
    """What is mounted in it, without the content of files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecConfig:
    """A process to run beside the main one, inside the container."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_dir: str | None = None
    tty: bool = False
    privileged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOutput:
    """What a command inside a container answered; ``code`` -1 means it ran out of time."""

    code: int
    output: bytes
    """At most 4096 bytes of what it printed."""


# ── images ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHealthcheck:
    """``HEALTHCHECK`` of an image; durations in seconds, ``None`` where it does not say."""

    test: tuple[str, ...]
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image says about running it (image-spec, config.md)."""

    environment: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    healthcheck: ImageHealthcheck | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An image in the store. ``layers`` are directories, lowest first, shared by images."""

    id: Digest
    references: tuple[str, ...]
    config: ImageConfig
    layers: tuple[Path, ...]
    size: int
    created_wall: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """What a collection took away: images, and bytes of the disk."""

    images: tuple[Digest, ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDamage:
    """Something of an image that is missing or damaged, and what was done about it."""

    image: Digest
    references: tuple[str, ...]
    subject: str
    cause: str
    repaired: bool = False
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull is: one layer, ``done`` of ``total`` bytes."""

    subject: str
    done: int
    total: int


# ── builds ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """How to make one image from a Dockerfile and the contexts that come with it."""

    names: tuple[str, ...]
    """References the image gets; the first one is what it is called."""
    dockerfile: str
    """The text itself."""
    contexts: tuple[str, ...] = ("",)
    """Names of the contexts that are sent, in the order of their folders; the main one has none."""
    image_contexts: Mapping[str, str] = field(default_factory=dict)
    """Further contexts that are images: name and reference."""
    platforms: tuple[str, ...] = ()
    """``os/architecture[/variant]`` it may be built for; anything where none is named."""
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Private keys for ``RUN --mount=type=ssh``, by id."""
    no_cache: bool = False
    pull: bool = False
    """Ask the registries for the base images although they are here."""
    hosts: tuple[str, ...] = ()
    """Further names steps can look up: ``name:address``."""
    shm_size: int | None = None
    memory: int | None = None
    ulimits: tuple[str, ...] = ()
    """``name=soft[:hard]``."""
    netns: str = ""
    """Path of the network namespace of its steps; nothing for the host's own."""
    offline: bool = False
    """Its steps reach nobody; ``netns`` counts for nothing then."""
    nameservers: tuple[str, ...] = ()
    """Whom its steps ask for names; none for the host's own servers."""


# ── networks ─────────────────────────────────────────────────────────────────────────────


class NetworkKind(StrEnum):
    """What joins the members of a network."""

    BRIDGE = "bridge"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


class GatewayMode(StrEnum):
    """How addresses of a network get on with the world outside."""

    NAT = "nat"
    """Under the host's address; reached by published ports alone."""
    UNPROTECTED = "nat-unprotected"
    """As before, and every port of every member is reached by its own address."""
    ROUTED = "routed"
    """Under their own addresses; published ports are reached there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A network's addresses of one family, which of them the host has, and how they get out."""

    net: Net
    gateway: Address
    mode: GatewayMode = GatewayMode.NAT
    masquerade: bool = True
    source: Address | None = None
    """The host's address under which members are seen; whichever fits where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """One network. ``labels`` are kept in its record and reported back.

    A bridge has one subnet of each family at most. Members of the other kinds are on
    ``parent``, a link of the host's, themselves, and the host is none of them.
    """

    id: NetworkId
    subnets: tuple[Subnet, ...]
    internal: bool = False
    kind: NetworkKind = NetworkKind.BRIDGE
    parent: str = ""
    submode: str = ""
    """``private``, ``vepa``, ``bridge``, ``passthru``; ``l2``, ``l3``, ``l3s``."""
    bridge: str = ""
    """Name of its link on the host; derived where there is none."""
    mtu: int = 1500
    between: bool = True
    """Whether members reach each other."""
    trusted: tuple[str, ...] = ()
    """Links of the host's from which members are reached by their own addresses."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def of_version(self, version: int) -> Subnet | None:
        """Return the subnet of a family: 4 or 6."""
        return next((one for one in self.subnets if one.net.version == version), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """A network found on the host. ``intact`` is false when its bridge is gone or down."""

    config: NetworkConfig
    intact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A sandbox's place in one network.

    Of those that lead outside the one with the highest ``gateway_priority`` carries the
    default route of each family it has, the first by the network's name where several have it.
    """

    network: NetworkId
    addresses: tuple[Address, ...]
    interface: str
    """Name inside the sandbox, e.g. ``eth0``."""
    mac: str | None = None
    gateway_priority: int = 0
    further: tuple[IPv4Interface | IPv6Interface, ...] = ()
    """Addresses besides, that lead no further than the link."""
    sysctls: tuple[tuple[str, str], ...] = ()
    """Of the interface: a path below ``/proc/sys`` and the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """A network namespace of its own, named after the container it is for."""

    id: ContainerId
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFacts:
    """A sandbox found on the host. ``intact`` is false when a link of it is missing."""

    config: SandboxConfig
    netns: Path
    intact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of the host that leads to one of several targets, chosen per connection."""

    host_ip: str
    """``0.0.0.0`` or ``::`` for all addresses of a family, else one address of the host."""
    host_port: int
    protocol: str
    """``tcp``, ``udp`` or ``sctp``."""
    targets: tuple[tuple[Address, int], ...]
    """In order; empty means: refuse until somebody is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAddresses:
    """What one name answers in one network."""

    network: NetworkId
    name: str
    addresses: tuple[Address, ...]
    owner: str = ""
    """Who gave it; the same name may be given by several."""
    primary: bool = False
    """It is what its addresses are called when they are asked for their name."""


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Alias:
    """A further name, and the one it stands for: anybody's, or that of one owner."""

    name: str
    of: str
    owner: str | None = None


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Zone:
    """Whom one resolver answers, and what: members of exactly these networks, their names.

    ``servers`` are asked, in order, for what nobody here is called; where there are none,
    those of the host are.
    """

    networks: tuple[NetworkId, ...]
    servers: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Everything that is reachable under a port or a name, in all stacks, at one moment.

    The network driver turns it into one nftables table and the resolvers' files, each
    replaced as a whole. Each of ``zones`` gets a resolver of its own.
    """

    ports: tuple[PublishedPort, ...] = ()
    names: tuple[NamedAddresses, ...] = ()
    zones: tuple[Zone, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A socket on the host that listens, and who holds it (pid 0 where unknown)."""

    protocol: str
    address: str
    port: int
    pid: int
    command: str


# ── volumes ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeConfig:
    """A named volume. ``labels`` are kept in its record and reported back.

    ``options`` are those of Docker's local driver: ``type``, ``device`` and ``o`` say what is
    mounted as its content; without any it is a directory of this machine.
    """

    id: VolumeId
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFacts:
    """A named volume found on the host. ``path`` is its content."""

    id: VolumeId
    path: Path
    labels: Mapping[str, str]
    created_wall: float
    options: Mapping[str, str] = field(default_factory=dict)


# ── the host ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the planner needs to know about the machine."""

    cpus: int
    memory: int
    routes: tuple[Net, ...]
    """Every destination the host routes, ours excepted."""
    listeners: tuple[Listener, ...]
    protocols: frozenset[str] = frozenset({"tcp", "udp"})
    """What ports can be published of."""


class Verdict(StrEnum):
    """What ``doctor`` says about one ability of this machine."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of ``doctor``: what was looked at, what was found, what to do about it."""

    subject: str
    verdict: Verdict
    detail: str
    remedy: str | None = None
