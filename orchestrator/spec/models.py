"""The settled stack file: one model per mapping of the Compose Specification, long forms only.

These models are what the client sends and what the daemon checks again. Durations are
seconds, sizes bytes; contents of files are carried in them. What a value *means* is decided
further down.
"""

import shlex
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from orchestrator.spec.units import parse_duration, parse_port, parse_size, parse_volume

ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._-]+$", max_length=128)]
StackName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=63)]
Size = Annotated[int, BeforeValidator(parse_size)]
Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]


def _strings(value: Any) -> Any:
    """Read a list of ``K=V``, or a mapping with numbers in it, as a mapping of strings."""
    if isinstance(value, list):
        pairs = (str(entry).partition("=") for entry in value)
        return {key: text if found else None for key, found, text in pairs}
    if isinstance(value, dict):
        return {key: _string(entry) for key, entry in value.items()}
    return value


def _string(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value


def _labels(value: Any) -> Any:
    found = _strings(value)
    if isinstance(found, dict):
        return {key: "" if text is None else text for key, text in found.items()}
    return found


def _words(value: Any) -> Any:
    """Split a command line as a shell would, without being one."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise ValueError(f"cannot split `{value[:80]}` into words: {error}") from None
    if isinstance(value, list):
        return tuple(_string(entry) for entry in value)
    return value


def _port_texts(given: object) -> object:
    # A port is text, since it may be a range or name a protocol, but most people write a number.
    if isinstance(given, list):
        return [str(one) if type(one) is int else one for one in given]
    return given


def _listed(value: Any) -> Any:
    if value is None:
        return ()
    return [_string(value)] if isinstance(value, str | int | float) else value


def _by_name(value: Any) -> Any:
    if isinstance(value, list):
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {name: {} if entry is None else entry for name, entry in value.items()}
    return value


def _ports(value: Any) -> Any:
    found: list[Any] = []
    for entry in value if isinstance(value, list) else [value]:
        found.extend(parse_port(entry) if isinstance(entry, str | int | float) else [entry])
    return found


def _volumes(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [parse_volume(entry) if isinstance(entry, str) else entry for entry in value]


def _sources(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [{"source": entry} if isinstance(entry, str) else entry for entry in value]


def _mode(value: Any) -> Any:
    return int(value, 8) if isinstance(value, str) else value


def _truth(value: Any) -> Any:
    if isinstance(value, str):
        text = value.lower()
        if text in ("true", "yes", "y", "on"):
            return True
        if text in ("false", "no", "n", "off"):
            return False
    return value


Truth = Annotated[bool, BeforeValidator(_truth)]
Strings = Annotated[dict[str, str | None], BeforeValidator(_strings)]
Labels = Annotated[dict[str, str], BeforeValidator(_labels)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Listed = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Ports = Annotated[tuple[str, ...], BeforeValidator(_port_texts)]


class SpecModel(BaseModel):
    """Closed and immutable: a key we do not know is an error, not a surprise later."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Dependency(SpecModel):
    """``services.*.depends_on.*``."""

    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = (
        "service_started"
    )
    required: Truth = True
    restart: Truth = False


class Port(SpecModel):
    """``services.*.ports[]``, long form. ``published`` may be a range."""

    target: int = Field(ge=1, le=65535)
    published: Annotated[str | None, BeforeValidator(_string)] = None
    host_ip: str = ""
    protocol: Literal["tcp", "udp"] = "tcp"
    name: str | None = None
    app_protocol: str | None = None
    mode: Literal["ingress", "host"] = "ingress"

    def host_ports(self) -> tuple[int, ...]:
        """Return the candidates of the host's port, in order."""
        if not self.published:
            return ()
        first, _, last = self.published.partition("-")
        return tuple(range(int(first), int(last or first) + 1))


class BindOptions(SpecModel):
    """``services.*.volumes[].bind``."""

    create_host_path: Truth = True
    propagation: str | None = None
    selinux: str | None = None


class VolumeOptions(SpecModel):
    """``services.*.volumes[].volume``."""

    nocopy: Truth = False


class TmpfsOptions(SpecModel):
    """``services.*.volumes[].tmpfs``."""

    size: Size | None = None
    mode: Annotated[int | None, BeforeValidator(_mode)] = None


class Mount(SpecModel):
    """``services.*.volumes[]``, long form."""

    type: Literal["bind", "volume", "tmpfs"]
    source: str | None = None
    target: Annotated[str, StringConstraints(pattern=r"^/")]
    read_only: Truth = False
    bind: BindOptions = BindOptions()
    volume: VolumeOptions = VolumeOptions()
    tmpfs: TmpfsOptions = TmpfsOptions()
    consistency: str | None = None


class ServiceNetwork(SpecModel):
    """``services.*.networks.*``."""

    aliases: tuple[str, ...] = ()
    ipv4_address: str | None = None
    priority: int = 0


class FileMount(SpecModel):
    """``services.*.configs[]`` and ``services.*.secrets[]``."""

    source: str
    target: str | None = None
    uid: Annotated[str | None, BeforeValidator(_string)] = None
    gid: Annotated[str | None, BeforeValidator(_string)] = None
    mode: Annotated[int | None, BeforeValidator(_mode)] = None


class Healthcheck(SpecModel):
    """``services.*.healthcheck``; what is None the image decides."""

    test: tuple[str, ...] | None = None
    interval: Duration | None = None
    timeout: Duration | None = None
    retries: int | None = Field(default=None, ge=0, lt=2**31)
    start_period: Duration | None = None
    start_interval: Duration | None = None
    disable: Truth = False

    @model_validator(mode="before")
    @classmethod
    def _settle(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("test"), str):
            return {**value, "test": ("CMD-SHELL", value["test"])}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.test is not None and (
            not self.test or self.test[0] not in ("CMD", "CMD-SHELL", "NONE")
        ):
            raise ValueError("`test` begins with CMD, CMD-SHELL or NONE")
        return self


class Resource(SpecModel):
    """``deploy.resources.limits`` and ``deploy.resources.reservations``."""

    cpus: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    memory: Size | None = None
    pids: int | None = None


class Resources(SpecModel):
    """``deploy.resources``."""

    limits: Resource = Resource()
    reservations: Resource = Resource()


class DeployRestart(SpecModel):
    """``deploy.restart_policy``."""

    condition: Literal["none", "on-failure", "any"] = "any"
    delay: Duration | None = None
    max_attempts: int | None = Field(default=None, ge=0)
    window: Duration | None = None


class Deploy(SpecModel):
    """``services.*.deploy``."""

    replicas: int | None = Field(default=None, ge=0, le=1000)
    resources: Resources = Resources()
    restart_policy: DeployRestart | None = None
    labels: Labels = {}


class Logging(SpecModel):
    """``services.*.logging``."""

    driver: str | None = None
    options: Strings = {}


class ServiceExtension(SpecModel):
    """``services.*.x-pyorch``."""

    dns: Literal["ready", "all"] = "ready"


def _ulimits(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = {}
    for name, entry in value.items():
        if isinstance(entry, dict):
            found[name] = (entry.get("soft"), entry.get("hard"))
        elif isinstance(entry, list | tuple):
            found[name] = tuple(entry)
        else:
            found[name] = (entry, entry)
    return found


class Service(SpecModel):
    """``services.*``."""

    image: str = Field(min_length=1, max_length=512)
    command: Words | None = None
    entrypoint: Words | None = None
    environment: Strings = {}
    labels: Labels = {}
    annotations: Labels = {}
    ports: Annotated[tuple[Port, ...], BeforeValidator(_ports)] = ()
    expose: Ports = ()
    volumes: Annotated[tuple[Mount, ...], BeforeValidator(_volumes)] = ()
    tmpfs: Listed = ()
    configs: Annotated[tuple[FileMount, ...], BeforeValidator(_sources)] = ()
    secrets: Annotated[tuple[FileMount, ...], BeforeValidator(_sources)] = ()
    networks: Annotated[dict[ResourceName, ServiceNetwork], BeforeValidator(_by_name)] = {}
    network_mode: str | None = None
    depends_on: Annotated[dict[ResourceName, Dependency], BeforeValidator(_by_name)] = {}
    healthcheck: Healthcheck | None = None
    deploy: Deploy | None = None
    scale: int | None = Field(default=None, ge=0, le=1000)
    restart: Annotated[
        str, StringConstraints(pattern=r"^(no|always|unless-stopped|on-failure(:[0-9]+)?)$")
    ] = "no"
    pull_policy: Literal["always", "never", "missing", "if_not_present"] = "missing"
    platform: str | None = None
    runtime: str | None = None
    container_name: (
        Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")] | None
    ) = None
    hostname: (
        Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$")] | None
    ) = None
    user: Annotated[str | None, BeforeValidator(_string)] = None
    group_add: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    working_dir: str | None = None
    cpus: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cpu_shares: int | None = None
    cpuset: Annotated[str | None, BeforeValidator(_string)] = None
    mem_limit: Size | None = None
    mem_reservation: Size | None = None
    memswap_limit: Size | None = None
    pids_limit: int | None = None
    shm_size: Size | None = None
    oom_score_adj: int | None = Field(default=None, ge=-1000, le=1000)
    ulimits: Annotated[dict[str, tuple[int, int]], BeforeValidator(_ulimits)] = {}
    sysctls: Labels = {}
    cap_add: Listed = ()
    cap_drop: Listed = ()
    devices: Listed = ()
    security_opt: Listed = ()
    privileged: Truth = False
    read_only: Truth = False
    init: Truth = False
    tty: Truth = False
    stdin_open: Truth = False
    attach: Truth = True
    stop_signal: Annotated[str | None, BeforeValidator(_string)] = None
    stop_grace_period: Duration | None = None
    extra_hosts: Listed = ()
    dns: Listed = ()
    dns_search: Listed = ()
    dns_opt: Listed = ()
    logging: Logging | None = None
    profiles: tuple[str, ...] = ()
    x_pyorch: ServiceExtension = Field(default=ServiceExtension(), alias="x-pyorch")

    @model_validator(mode="before")
    @classmethod
    def _hosts(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("extra_hosts"), dict):
            pairs = value["extra_hosts"].items()
            return {**value, "extra_hosts": [f"{name}={address}" for name, address in pairs]}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.network_mode and self.networks:
            raise ValueError("`network_mode` and `networks` exclude each other")
        for name in self.annotations:
            if name.startswith(("run.oci.", "org.systemd.", "io.podman.", "module.wasm.")):
                raise ValueError(f"annotation `{name}` steers the runtime and is refused")
        for entry in (*self.extra_hosts, *self.dns, *self.dns_search, *self.dns_opt):
            if any(mark.isspace() for mark in entry):
                raise ValueError(f"{entry!r} holds white space")
        replicas = self.deploy.replicas if self.deploy else None
        if self.scale is not None and replicas is not None and self.scale != replicas:
            raise ValueError("`scale` and `deploy.replicas` differ")
        if self.container_name and self.replicas > 1:
            raise ValueError("`container_name` forbids more than one replica")
        return self

    @property
    def replicas(self) -> int:
        """How many replicas are wanted."""
        if self.scale is not None:
            return self.scale
        if self.deploy and self.deploy.replicas is not None:
            return self.deploy.replicas
        return 1


class IpamConfig(SpecModel):
    """``networks.*.ipam.config[]``."""

    subnet: str | None = None
    gateway: str | None = None
    ip_range: str | None = None


class Ipam(SpecModel):
    """``networks.*.ipam``."""

    driver: str | None = None
    config: tuple[IpamConfig, ...] = ()


class Network(SpecModel):
    """``networks.*``; ``name`` is its name on the host."""

    name: ResourceName
    driver: Literal["bridge"] = "bridge"
    driver_opts: Strings = {}
    external: Truth = False
    internal: Truth = False
    attachable: Truth = False
    enable_ipv6: Truth = False
    ipam: Ipam = Ipam()
    labels: Labels = {}


class Volume(SpecModel):
    """``volumes.*``; ``name`` is its name on the host."""

    name: ResourceName
    driver: Literal["local"] = "local"
    external: Truth = False
    labels: Labels = {}


class Carried(SpecModel):
    """``configs.*`` and ``secrets.*``, with their content."""

    name: str
    content: str = Field(repr=False)
    labels: Labels = {}


class StackFile(SpecModel):
    """The whole stack, settled."""

    name: StackName
    services: Annotated[dict[ResourceName, Service], Field(min_length=1)]
    networks: dict[ResourceName, Network] = {}
    volumes: dict[ResourceName, Volume] = {}
    configs: dict[ResourceName, Carried] = {}
    secrets: dict[ResourceName, Carried] = {}
    recreate: int = 0
    """Part of every revision: another number means new containers (``--force-recreate``)."""
