"""A slot of a desired service, with its addresses → the runtime's container configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.settings import Settings
from orchestrator.spec import models
from orchestrator.translate import labels
from orchestrator.translate.exposure import zone_of
from runtime.types import (
    ContainerConfig,
    ContainerId,
    Digest,
    ImageFacts,
    Limits,
    Mount,
    MountKind,
    NetworkId,
)
from scheduler.actions import CreateReplica
from scheduler.desired import DesiredService, DesiredStack
from scheduler.ids import ReplicaId, container_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFactory:
    """Builds configurations for one pass over one stack."""

    settings: Settings
    model: models.StackFile
    desired: DesiredStack
    images: Mapping[str, ImageFacts]
    nameserver: Callable[[Sequence[NetworkId]], str]

    def own_sandbox(self, replica: ReplicaId) -> bool:
        """Whether a replica has a network namespace of its own."""
        mode = self.model.services[replica.service].network_mode
        return mode in (None, "bridge", "none")

    def build(self, action: CreateReplica, netns: Path | None) -> ContainerConfig:
        """Return the configuration of what fills ``action``'s slot."""
        replica = action.replica
        service = self.model.services[replica.service]
        wanted = next(one for one in self.desired.services if one.name == replica.service)
        image = self.desired.images.get(service.image)
        if image is None and service.image in self.images:
            image = self.images[service.image].id
        name = container_name(self.desired.name, replica)
        addresses = tuple(str(address) for _, address in action.addresses)
        own = self.own_sandbox(replica)
        return ContainerConfig(
            id=ContainerId(name),
            image=Digest(image or service.image),
            cgroup=f"{self.desired.name}/{replica}",
            log=self.settings.data
            / "logs"
            / self.desired.name
            / replica.service
            / str(replica.slot),
            hostname=service.hostname or f"{replica.service}-{replica.slot}"[:63],
            command=service.command,
            entrypoint=service.entrypoint,
            environment=dict(service.environment),
            user=service.user,
            group_add=service.group_add,
            working_dir=service.working_dir,
            stop_signal=service.stop_signal,
            tty=service.tty,
            stdin_open=service.stdin_open,
            init=service.init,
            read_only=service.read_only,
            privileged=service.privileged,
            no_new_privileges=_no_new_privileges(service),
            seccomp=_seccomp(service),
            cap_add=service.cap_add,
            cap_drop=service.cap_drop,
            mounts=self._mounts(service),
            devices=service.devices,
            limits=_limits(service),
            ulimits=dict(service.ulimits),
            sysctls=dict(service.sysctls),
            oom_score_adj=service.oom_score_adj,
            shm_size=service.shm_size or 64 * 1024 * 1024,
            extra_hosts=_extra_hosts(service, action),
            nameservers=self._nameservers(wanted),
            dns_search=service.dns_search,
            dns_options=service.dns_opt,
            addresses=addresses,
            netns=netns,
            runtime=service.runtime,
            labels=self._labels(service, wanted, replica, own=own),
        )

    def _nameservers(self, wanted: DesiredService) -> tuple[str, ...]:
        return (self.nameserver(zone_of(wanted)),) if wanted.networks else ()

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
            labels.CPUS: str(wanted.cpu_reservation),
            labels.MEMORY: str(wanted.memory_reservation),
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
            found.append(_carried(given, target, self.model.configs[given.source].content))
        for given in service.secrets:
            target = given.target or given.source
            target = target if target.startswith("/") else f"/run/secrets/{target}"
            found.append(_carried(given, target, self.model.secrets[given.source].content))
        return tuple(found)

    def _mount(self, given: models.Mount) -> Mount:
        match given.type:
            case "bind":
                return Mount(
                    kind=MountKind.BIND,
                    target=given.target,
                    source=given.source or "",
                    read_only=given.read_only,
                    create_host_path=given.bind.create_host_path,
                    options=(given.bind.propagation,) if given.bind.propagation else (),
                )
            case "tmpfs":
                return Mount(
                    kind=MountKind.TMPFS,
                    target=given.target,
                    size=given.tmpfs.size,
                    mode=given.tmpfs.mode,
                )
            case "volume":
                return Mount(
                    kind=MountKind.VOLUME,
                    target=given.target,
                    source=self.model.volumes[given.source or ""].name,
                    read_only=given.read_only,
                    nocopy=given.volume.nocopy,
                )


def _carried(given: models.FileMount, target: str, content: str) -> Mount:
    return Mount(
        kind=MountKind.FILE,
        target=target,
        read_only=True,
        mode=given.mode,
        uid=int(given.uid) if given.uid else None,
        gid=int(given.gid) if given.gid else None,
        content=content.encode(),
    )


def _limits(service: models.Service) -> Limits:
    limits = service.deploy.resources.limits if service.deploy else models.Resource()
    pids = service.pids_limit if service.pids_limit is not None else limits.pids
    return Limits(
        cpus=service.cpus or limits.cpus,
        cpu_shares=service.cpu_shares,
        cpuset=service.cpuset,
        memory=service.mem_limit or limits.memory,
        memory_reservation=service.mem_reservation,
        memory_swap=service.memswap_limit,
        pids=4096 if pids is None else pids if pids > 0 else None,
    )


def _extra_hosts(service: models.Service, action: CreateReplica) -> tuple[tuple[str, str], ...]:
    del action
    found = []
    for entry in service.extra_hosts:
        mark = "=" if "=" in entry else ":"
        name, _, address = entry.partition(mark)
        found.append((name, address.strip("[]")))
    return tuple(found)


def _no_new_privileges(service: models.Service) -> bool:
    return any(
        option in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
        for option in service.security_opt
    )


def _seccomp(service: models.Service) -> str | None:
    for option in service.security_opt:
        for mark in ("seccomp=", "seccomp:"):
            if option.startswith(mark) and option != f"{mark}builtin":
                return option.removeprefix(mark)
    return None
