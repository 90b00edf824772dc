"""A slot of a desired service, with its addresses → the runtime's container configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import PyorchError
from orchestrator.settings import Settings
from orchestrator.spec import models
from orchestrator.spec.values.confinement import security
from orchestrator.translate import labels
from orchestrator.translate.devices import cdi_names, devices_of
from orchestrator.translate.exposure import zone_of
from orchestrator.translate.limits import limits_of
from runtime.types import (
    ContainerConfig,
    ContainerId,
    Digest,
    ImageFacts,
    Limits,
    Mount,
    MountKind,
    NetworkId,
    Zone,
)
from scheduler.actions import Filling
from scheduler.desired import DesiredService, DesiredStack
from scheduler.ids import ReplicaId, container_name

HOST_GATEWAY = "host-gateway"
"""What `extra_hosts` calls the address under which a container reaches its host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFactory:
    """Builds configurations for one pass over one stack."""

    settings: Settings
    model: models.StackFile
    desired: DesiredStack
    images: Mapping[str, ImageFacts]
    nameserver: Callable[[Zone], str]
    gateway: Callable[[NetworkId], str]

    def own_sandbox(self, replica: ReplicaId) -> bool:
        """Whether a replica has a network namespace of its own."""
        mode = self.model.services[replica.service].network_mode
        return mode in ("", "bridge", "none")

    def limits(self, replica: ReplicaId) -> Limits:
        """Return what a replica keeps to."""
        return limits_of(self.model.services[replica.service])

    def build(self, action: Filling, netns: Path | None) -> ContainerConfig:
        """Return the configuration of what fills ``action``'s slot."""
        replica = action.replica
        service = self.model.services[replica.service]
        wanted = next(one for one in self.desired.services if one.name == replica.service)
        reference = self.model.image_of(replica.service)
        image = self.desired.images.get(reference)
        if image is None and reference in self.images:
            image = self.images[reference].id
        name = container_name(self.desired.name, replica)
        addresses = tuple(str(address) for _, address in action.addresses)
        own = self.own_sandbox(replica)
        confined = security(service.security_opt)
        return ContainerConfig(
            id=ContainerId(name),
            image=Digest(image or reference),
            cgroup=f"{self.desired.name}/{replica}",
            log=self.settings.data
            / "logs"
            / self.desired.name
            / replica.service
            / str(replica.slot),
            hostname=self._hostname(service, replica),
            domainname=service.domainname,
            command=service.command,
            entrypoint=service.entrypoint,
            environment=dict(service.environment),
            user=service.user or None,
            group_add=service.group_add,
            working_dir=service.working_dir or None,
            stop_signal=service.stop_signal or None,
            tty=service.tty,
            stdin_open=service.stdin_open,
            init=bool(service.init),
            read_only=service.read_only,
            privileged=service.privileged,
            no_new_privileges=confined.no_new_privileges,
            seccomp=service.seccomp if confined.seccomp != "unconfined" else "unconfined",
            apparmor=confined.apparmor or None,
            unmasked=confined.unmasked,
            pid=_shared(service.pid),
            ipc=_shared(service.ipc),
            uts_host=service.uts == "host",
            cgroup_host=service.cgroup == "host",
            annotations=dict(service.annotations),
            cap_add=service.cap_add,
            cap_drop=service.cap_drop,
            mounts=self._mounts(service),
            devices=devices_of(service),
            device_rules=service.device_cgroup_rules,
            cdi=cdi_names(service),
            limits=limits_of(service),
            ulimits={
                name: (limit, limit) if isinstance(limit, int) else (limit.soft, limit.hard)
                for name, limit in service.ulimits.items()
            },
            sysctls=dict(service.sysctls),
            oom_score_adj=service.oom_score_adj or None,
            shm_size=service.shm_size or 64 * 1024 * 1024,
            extra_hosts=self._extra_hosts(service, action),
            nameservers=self._nameservers(wanted),
            dns_search=service.dns_search,
            dns_options=service.dns_opt,
            addresses=addresses,
            netns=netns,
            runtime=service.runtime or None,
            labels=self._labels(service, wanted, replica, own=own),
        )

    def _hostname(self, service: models.Service, replica: ReplicaId) -> str:
        if service.hostname or service.uts == "host" or service.network_mode == "host":
            return service.hostname  # none: the host's own
        return f"{replica.service}-{replica.slot}"[:63]

    def _nameservers(self, wanted: DesiredService) -> tuple[str, ...]:
        return (
            (self.nameserver(zone_of(self.desired.name, wanted)),)
            if wanted.networks
            else wanted.dns_servers
        )

    def _extra_hosts(self, service: models.Service, action: Filling) -> tuple[tuple[str, str], ...]:
        found = []
        for entry in service.extra_hosts:
            mark = "=" if "=" in entry else ":"
            name, _, address = entry.partition(mark)
            address = address.strip("[]")
            if address == HOST_GATEWAY:
                networks = [NetworkId(network) for network, _ in action.addresses]
                if not networks and self.own_sandbox(action.replica):
                    continue  # cut off from everything, the host included
                address = self.gateway(networks[0]) if networks else "127.0.0.1"
            found.append((name, address))
        return tuple(found)

    def _labels(
        self, service: models.Service, wanted: DesiredService, replica: ReplicaId, *, own: bool
    ) -> dict[str, str]:
        return {
            **service.labels,
            labels.STACK: self.desired.name,
            labels.SERVICE: replica.service,
            labels.SLOT: str(replica.slot),
            labels.REVISION: wanted.revision,
            labels.SANDBOX: "own" if own else "host",
            labels.COMPOSE_PROJECT: self.desired.name,
            labels.COMPOSE_SERVICE: replica.service,
            labels.COMPOSE_NUMBER: str(replica.slot),
            labels.COMPOSE_ONEOFF: "False",
            labels.COMPOSE_HASH: wanted.revision,
        }

    def _mounts(self, service: models.Service) -> tuple[Mount, ...]:
        # An anonymous volume lives and dies with its container, as the container's own layer does.
        found = [
            self._mount(given)
            for given in service.volumes
            if given.source or given.type != "volume"
        ]
        for text in service.tmpfs:
            target, _, options = text.partition(":")
            found.append(
                Mount(
                    kind=MountKind.TMPFS,
                    target=target,
                    options=tuple(one for one in options.split(",") if one),
                )
            )
        for given in service.configs:
            target = given.target or f"/{given.source}"
            target = target if target.startswith("/") else f"/{target}"
            found.append(_carried(given, target, self.model.configs[given.source].payload))
        for given in service.secrets:
            target = given.target or given.source
            target = target if target.startswith("/") else f"/run/secrets/{target}"
            found.append(_carried(given, target, self.model.secrets[given.source].payload))
        return tuple(found)

    def _mount(self, given: models.Mount) -> Mount:
        match given.type:
            case "bind":
                return Mount(
                    kind=MountKind.BIND,
                    target=given.target,
                    source=given.source,
                    read_only=given.read_only,
                    create_host_path=given.bind.create_host_path,
                    recursive=given.bind.recursive,
                    options=(given.bind.propagation,) if given.bind.propagation else (),
                )
            case "tmpfs":
                return Mount(
                    kind=MountKind.TMPFS,
                    target=given.target,
                    read_only=given.read_only,
                    size=given.tmpfs.size or None,
                    mode=given.tmpfs.mode or None,
                )
            case "image" | "npipe" | "cluster":
                raise PyorchError(
                    f"{given.target}: mounts of type `{given.type}` are not carried out yet",
                    hint="use `bind`, `volume` or `tmpfs`",
                    code="unsupported",
                )
            case "volume":
                return Mount(
                    kind=MountKind.VOLUME,
                    target=given.target,
                    source=self.model.volumes[given.source].name,
                    read_only=given.read_only,
                    nocopy=given.volume.nocopy,
                    subpath=given.volume.subpath,
                )


def _carried(given: models.FileMount, target: str, content: bytes | None) -> Mount:
    return Mount(
        kind=MountKind.FILE,
        target=target,
        read_only=True,
        mode=given.mode,
        uid=int(given.uid) if given.uid else None,
        gid=int(given.gid) if given.gid else None,
        content=content or b"",
    )


def _shared(value: str) -> str:
    """Return whose namespace a container has, as its configuration says it."""
    return "" if value == "private" else value
