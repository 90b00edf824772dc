"""Containers, their processes, and what bounds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from runtime.types.names import ContainerId, Digest


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
    digest: str = ""
    """What tells the content of a file from others where it may be changed in the container that
    is there; empty where another content makes another container."""


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
    only reported back: whoever admits containers counts it; and so is how much goes over the
    network (``net_…``, bytes a second), which a sandbox is held to.
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
    net_receive: int | None = None
    net_send: int | None = None
    reserved_cpus: float = 0.0
    reserved_memory: int = 0
    reserved_units: tuple[tuple[str, int], ...] = ()


class LogDriver(StrEnum):
    """Where a container's output goes besides its own log; ``NONE`` has not even that."""

    FILE = "file"
    NONE = "none"
    JOURNALD = "journald"
    SYSLOG = "syslog"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogConfig:
    """Where a log goes to syslog, and how it is written there.

    ``network`` is ``udp``, ``tcp``, ``tcp+tls``, ``unix`` or ``unixgram``, or empty for the host's
    own socket, wherever that is. The files of TLS are the host's.
    """

    network: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    facility: int = 3
    format: str = ""
    """``rfc3164``, ``rfc5424``, ``rfc5424micro``, or empty for what local sockets take."""
    ca_cert: str = ""
    cert: str = ""
    key: str = ""
    skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What becomes of a container's output.

    Of a replica's log ``max_files`` files of ``max_size`` bytes are kept, all if ``max_size``
    is None. What follows is told with lines that are forwarded: ``name`` is what people call the
    container, ``image`` what they call its image, ``attributes`` are labels and variables.
    """

    driver: LogDriver = LogDriver.FILE
    max_size: int | None = 20_000_000
    max_files: int = 5
    compress: bool = True
    tag: str = ""
    container: str = ""
    name: str = ""
    image: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    syslog: SyslogConfig = field(default_factory=SyslogConfig)

    @property
    def forwards(self) -> bool:
        """Whether lines go somewhere else, too."""
        return self.driver in (LogDriver.JOURNALD, LogDriver.SYSLOG)


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
    stdin_once: bool = False
    """An open standard input ends when the first who is attached has no more for it, or leaves."""
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
    paused: bool = False
    """Its processes stand still until somebody has them go on, or stop."""


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
    before_boot: bool = False
    """The machine has started since."""
    why: str = ""
    """What else is known: ``host reboot``, ``monitor died``, ``out of memory, limit 24 MiB``."""
    began: bool = True
    """Its program ran; else ``code`` is 126 or 127, as shells tell it, and ``why`` says more."""


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
    tty: bool = False
    """Its streams are one, a terminal."""
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
class Usage:
    """What a container uses now, and has used in this run; None for what nobody counts here."""

    cpu: float | None = None
    """In seconds of a processor."""
    memory: int | None = None
    cache: int | None = None
    """The part of ``memory`` that is given back before anything runs out."""
    pids: int | None = None
    read: int | None = None
    """Bytes from block devices."""
    written: int | None = None
    received: int | None = None
    """Bytes over its own network interfaces; None for those of its host."""
    sent: int | None = None
    oom_kills: int = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """A container's root directory, open. ``hidden`` are the places whose content is elsewhere.

    Those are what is mounted in it, while it does not run.
    """

    root: int
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """A process of a container, as its host sees it."""

    pid: int
    parent: int
    uid: int
    cpu: float
    """In seconds of a processor."""
    started: float
    terminal: bool
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecConfig:
    """A process to run beside the main one, inside the container."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_dir: str | None = None
    tty: bool = False
    privileged: bool = False
