"""``services.*``: what a container is made of and how it is run."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from orchestrator.spec.models.base import (
    Duration,
    Hosts,
    Labels,
    Pairs,
    ResourceName,
    Size,
    SpecModel,
    Text,
    Texts,
    Truth,
    Whole,
    Words,
)
from orchestrator.spec.models.build import Build, Develop, Hook, InitHook
from orchestrator.spec.models.deploy import Deploy
from orchestrator.spec.models.extensions import ServiceExtension
from orchestrator.spec.models.mounts import Device, DeviceRequest, FileMount, Mount, Ulimits


class Dependency(SpecModel):
    """``services.*.depends_on.*``."""

    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = (
        Field(description="What is waited for.")
    )
    restart: Truth = Field(default=False, description="Restart with it.")
    required: Truth = Field(description="Do not go without it.")


class Port(SpecModel):
    """``services.*.ports[]``, long form. ``published`` may be a range."""

    name: str = Field(default="", description="A name for people.")
    mode: str = Field(description="`ingress` or `host`.")
    host_ip: str = Field(default="", description="The host's address; all where none is given.")
    target: Whole = Field(default=0, ge=0, le=65535, description="Port of the container.")
    published: Text = Field(default="", description="Port of the host, or a range to choose from.")
    protocol: str = Field(description="`tcp`, `udp` or `sctp`.")
    app_protocol: str = Field(default="", description="What is spoken there.")

    def host_ports(self) -> tuple[int, ...]:
        """Return the candidates of the host's port, in order."""
        if not self.published:
            return ()
        first, _, last = self.published.partition("-")
        return tuple(range(int(first), int(last or first) + 1))


class ServiceNetwork(SpecModel):
    """``services.*.networks.*``."""

    aliases: Texts = Field(default=(), description="Further names on this network.")
    interface_name: str = Field(default="", description="Name of the interface in the container.")
    ipv4_address: str = Field(default="", description="Its address.")
    ipv6_address: str = Field(default="", description="Its IPv6 address.")
    link_local_ips: Texts = Field(default=(), description="Link-local addresses.")
    mac_address: str = Field(default="", description="Its hardware address.")
    driver_opts: Labels = Field(default={}, description="Options of the network's driver.")
    priority: Whole = Field(default=0, description="Networks of higher priority are joined first.")
    gw_priority: Whole = Field(default=0, description="The highest has the default route.")


class ServiceModel(SpecModel):
    """``services.*.models.*``."""

    endpoint_var: str = Field(default="", description="Variable that gets the model's URL.")
    model_var: str = Field(default="", description="Variable that gets the model's name.")


def _test(value: Any) -> Any:
    return ("CMD-SHELL", value) if isinstance(value, str) else value


class Healthcheck(SpecModel):
    """``services.*.healthcheck``; what is not given the image decides."""

    test: Annotated[tuple[str, ...], BeforeValidator(_test)] = Field(
        default=(), description="What is run: `NONE`, `CMD` and words, or `CMD-SHELL` and a line."
    )
    timeout: Duration | None = Field(default=None, description="How long one check may take.")
    interval: Duration | None = Field(default=None, description="Time between checks.")
    retries: Whole | None = Field(default=None, ge=0, lt=2**31, description="Failures in a row.")
    start_period: Duration | None = Field(
        default=None, description="When failures do not count yet."
    )
    start_interval: Duration | None = Field(
        default=None, description="Time between checks till then."
    )
    disable: Truth = Field(default=False, description="No check, not even the image's.")


class Logging(SpecModel):
    """``services.*.logging``."""

    driver: str = Field(default="", description="Where output goes.")
    options: Labels = Field(default={}, description="Options of the driver.")


class WeightDevice(SpecModel):
    """``blkio_config.weight_device[]``."""

    path: str = Field(default="", description="The device.")
    weight: Whole = Field(default=0, description="Its weight.")


class ThrottleDevice(SpecModel):
    """``blkio_config.device_*[]``."""

    path: str = Field(default="", description="The device.")
    rate: Size = Field(default=0, description="Bytes or operations in a second.")


class BlkioConfig(SpecModel):
    """``services.*.blkio_config``."""

    weight: Whole = Field(default=0, description="Share of input and output, 10 to 1000.")
    weight_device: tuple[WeightDevice, ...] = Field(default=(), description="Share by device.")
    device_read_bps: tuple[ThrottleDevice, ...] = Field(default=(), description="Bytes read.")
    device_read_iops: tuple[ThrottleDevice, ...] = Field(default=(), description="Reads.")
    device_write_bps: tuple[ThrottleDevice, ...] = Field(default=(), description="Bytes written.")
    device_write_iops: tuple[ThrottleDevice, ...] = Field(default=(), description="Writes.")


class CredentialSpec(SpecModel):
    """``services.*.credential_spec``."""

    config: str = Field(default="", description="Name under top-level `configs`.")
    file: str = Field(default="", description="A file.")
    registry: str = Field(default="", description="A key of the Windows registry.")


def _options(value: Any) -> Any:
    if isinstance(value, dict):
        from orchestrator.spec.values.scalars import go_text

        return {
            key: [go_text(one) for one in entry] if isinstance(entry, list) else [go_text(entry)]
            for key, entry in value.items()
        }
    return value


class Provider(SpecModel):
    """``services.*.provider``: a program that stands for the service."""

    type: str = Field(description="Name of the program.")
    options: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_options)] = Field(
        default={}, description="What it is told."
    )


class EnvFile(SpecModel):
    """``services.*.env_file[]``, long form."""

    path: str = Field(default="", description="The file.")
    required: Truth = Field(default=True, description="Whether it must be there.")
    format: str = Field(default="", description="`raw`: nothing in it is special.")


def _by_name(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: {} if entry is None else entry for name, entry in value.items()}
    return value


class Service(SpecModel):
    """``services.*``."""

    profiles: Texts = Field(default=(), description="Profiles it belongs to; none means always on.")
    annotations: Labels = Field(default={}, description="Annotations of the container.")
    attach: Truth | None = Field(
        default=None, description="Whether an attached `up` shows its output."
    )
    build: Build | None = Field(default=None, description="How to make its image.")
    develop: Develop | None = Field(default=None, description="Help while the image is worked on.")
    blkio_config: BlkioConfig | None = Field(
        default=None, description="Limits of input and output."
    )
    cap_add: Texts = Field(default=(), description="Capabilities added.")
    cap_drop: Texts = Field(default=(), description="Capabilities taken away.")
    cgroup: Literal["", "host", "private"] = Field(default="", description="Its cgroup namespace.")
    cgroup_parent: str = Field(default="", description="The cgroup its own is made in.")
    cpu_count: Whole = Field(default=0, description="Number of CPUs (Windows).")
    cpu_percent: float = Field(default=0, description="Percentage of the CPUs (Windows).")
    cpu_period: Whole = Field(default=0, description="Period of the CPU quota, in µs.")
    cpu_quota: Whole = Field(default=0, description="CPU time in a period, in µs.")
    cpu_rt_period: Whole = Field(default=0, description="Period of real-time scheduling, in µs.")
    cpu_rt_runtime: Whole = Field(default=0, description="Real-time CPU time in a period, in µs.")
    cpus: float = Field(default=0, allow_inf_nan=False, description="Cores it may use.")
    cpuset: Text = Field(default="", description="Which cores, as `0-3` or `0,1`.")
    cpu_shares: Whole = Field(default=0, description="Weight against other containers.")
    command: Words | None = Field(default=None, description="What runs, instead of the image's.")
    configs: tuple[FileMount, ...] = Field(default=(), description="Configs it sees as files.")
    container_name: str = Field(default="", description="A further name; forbids several replicas.")
    credential_spec: CredentialSpec | None = Field(
        default=None, description="Credentials (Windows)."
    )
    depends_on: Annotated[dict[str, Dependency], BeforeValidator(_by_name)] = Field(
        default={}, description="Services that go before it."
    )
    deploy: Deploy | None = Field(default=None, description="Replicas, and how they are replaced.")
    device_cgroup_rules: Texts = Field(default=(), description="Devices it may use, by number.")
    devices: tuple[Device, ...] = Field(default=(), description="Devices it sees.")
    dns: Texts = Field(default=(), description="Servers that are asked for other names.")
    dns_opt: Texts = Field(default=(), description="Options of the resolver.")
    dns_search: Texts = Field(default=(), description="Domains to search.")
    domainname: str = Field(default="", description="Its domain.")
    entrypoint: Words | None = Field(
        default=None, description="What runs it, instead of the image's."
    )
    provider: Provider | None = Field(default=None, description="A program that stands for it.")
    environment: Pairs = Field(default={}, description="Its variables; without a value: unset.")
    env_file: tuple[EnvFile, ...] = Field(
        default=(), description="Files of variables, once read gone."
    )
    expose: Texts = Field(default=(), description="Ports it has; for people.")
    external_links: Texts = Field(default=(), description="Containers of others.")
    extra_hosts: Hosts = Field(default=(), description="Host names it can look up.")
    group_add: Texts = Field(default=(), description="Further groups of its user.")
    gpus: tuple[DeviceRequest, ...] = Field(default=(), description="GPUs.")
    hostname: str = Field(default="", description="Its host name.")
    healthcheck: Healthcheck | None = Field(default=None, description="How it is seen to be well.")
    image: str = Field(default="", description="What it runs from.")
    init: Truth | None = Field(
        default=None, description="A first process that reaps and passes on."
    )
    ipc: str = Field(default="", description="Whom it shares memory and queues with.")
    isolation: str = Field(default="", description="How it is isolated (Windows).")
    labels: Labels = Field(default={}, description="Labels of its containers.")
    label_file: Texts = Field(
        default=(), description="Files of labels; part of `labels` once read."
    )
    links: Texts = Field(default=(), description="Services by another name, as `SERVICE:ALIAS`.")
    logging: Logging | None = Field(default=None, description="Where its output goes.")
    mem_limit: Size = Field(default=0, description="Memory it may not exceed.")
    mem_reservation: Size = Field(default=0, description="Memory it is left when memory is short.")
    memswap_limit: Size = Field(default=0, description="Memory and swap together; -1: no limit.")
    mem_swappiness: Size = Field(default=0, description="How eagerly it is swapped out, 0 to 100.")
    mac_address: str = Field(default="", description="Hardware address of its first interface.")
    models: Annotated[dict[str, ServiceModel], BeforeValidator(_by_name)] = Field(
        default={}, description="AI models it uses."
    )
    network_mode: str = Field(default="", description="`host`, `none`, or whose network it shares.")
    networks: Annotated[dict[ResourceName, ServiceNetwork], BeforeValidator(_by_name)] = Field(
        default={}, description="Networks it is on."
    )
    oom_kill_disable: Truth = Field(default=False, description="Never killed for memory.")
    oom_score_adj: Whole = Field(default=0, ge=-1000, le=1000, description="How soon it is killed.")
    pid: str = Field(default="", description="Whom it shares processes with.")
    pids_limit: Whole = Field(default=0, description="Processes it may have; -1: no limit.")
    platform: str = Field(default="", description="The image's platform, as `linux/arm64`.")
    ports: tuple[Port, ...] = Field(default=(), description="Ports reachable from outside.")
    privileged: Truth = Field(default=False, description="All privileges.")
    pull_policy: str = Field(default="", description="When its image is pulled.")
    read_only: Truth = Field(default=False, description="Its own files cannot be written.")
    restart: Text = Field(default="", description="When it is started again.")
    runtime: str = Field(default="", description="The OCI runtime, as `crun`.")
    scale: Whole | None = Field(default=None, description="How many replicas.")
    secrets: tuple[FileMount, ...] = Field(default=(), description="Secrets it sees as files.")
    security_opt: Texts = Field(default=(), description="seccomp, AppArmor, new privileges.")
    seccomp: str | None = Field(
        default=None, description="The seccomp profile, carried along; never in a file."
    )
    shm_size: Size = Field(default=0, description="Size of /dev/shm.")
    stdin_open: Truth = Field(default=False, description="Standard input stays open.")
    stop_grace_period: Duration | None = Field(default=None, description="Time to stop in.")
    stop_signal: Text = Field(default="", description="The signal that asks it to stop.")
    storage_opt: Labels = Field(default={}, description="Options of its own files.")
    sysctls: Labels = Field(default={}, description="Kernel parameters of its own.")
    tmpfs: Texts = Field(default=(), description="Directories in memory.")
    tty: Truth = Field(default=False, description="It has a terminal.")
    ulimits: Ulimits = Field(default={}, description="Limits of its processes.")
    use_api_socket: Truth = Field(default=False, description="It sees the engine's socket.")
    user: Text = Field(default="", description="Who runs it.")
    userns_mode: str = Field(default="", description="Its user namespace.")
    uts: str = Field(default="", description="Whom it shares its host name with.")
    volumes: tuple[Mount, ...] = Field(default=(), description="What is mounted in it.")
    volumes_from: Texts = Field(default=(), description="Services whose mounts it has too.")
    working_dir: str = Field(default="", description="Where it starts.")
    pre_start: tuple[InitHook, ...] = Field(default=(), description="Run to their end before it.")
    post_start: tuple[Hook, ...] = Field(default=(), description="Run in it once it runs.")
    pre_stop: tuple[Hook, ...] = Field(default=(), description="Run in it before it is stopped.")
    x_pyorch: ServiceExtension = Field(
        default=ServiceExtension(), alias="x-pyorch", description="What only pyorch understands."
    )

    def device_requests(self) -> Iterator[tuple[tuple[str, ...], DeviceRequest]]:
        """Yield everything that asks for devices by what they are, and where it stands."""
        for number, request in enumerate(self.gpus):
            yield ("gpus", str(number)), request
        reserved = self.deploy.resources.reservations if self.deploy else None
        for number, request in enumerate(reserved.devices if reserved else ()):
            yield ("deploy", "resources", "reservations", "devices", str(number)), request

    @property
    def replicas(self) -> int:
        """How many replicas are wanted."""
        if self.scale is not None:
            return self.scale
        if self.deploy and self.deploy.everywhere:
            return 1
        if self.deploy and self.deploy.replicas is not None:
            return self.deploy.replicas
        return 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.replicas < 0:
            raise ValueError("there cannot be fewer than no replicas")
        return self
