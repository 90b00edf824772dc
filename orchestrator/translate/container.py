"""A slot of a desired service, with its addresses → the runtime's container configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator import __version__
from orchestrator.settings import Settings
from orchestrator.spec import models
from orchestrator.spec.values.confinement import security
from orchestrator.store import OneOff
from orchestrator.translate import labels
from orchestrator.translate.devices import cdi_names, devices_of
from orchestrator.translate.exposure import zone_of
from orchestrator.translate.limits import ceiling_of, limits_of, rates_of
from orchestrator.translate.logging import log_config
from orchestrator.translate.mounts import CONTAINER, MountFactory, mounted_images
from orchestrator.translate.references import reference_of
from orchestrator.translate.shares import network_of
from runtime.types import (
    ContainerConfig,
    ContainerFacts,
    ContainerId,
    Digest,
    ImageFacts,
    Limits,
    NetworkId,
    Rates,
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
    nameservers: Callable[[Zone], Sequence[str]]
    gateway: Callable[[NetworkId], str]
    leased: Callable[[ReplicaId], Mapping[str, str]] = lambda replica: {}
    """Which volumes without a name a slot holds, by where they are mounted."""
    others: tuple[ContainerFacts, ...] = ()
    """Containers `volumes_from` may name."""
    one_offs: Mapping[str, OneOff] = field(default_factory=dict)
    """Those of the stack, by what they have in place of a service's name."""

    @property
    def mounting(self) -> MountFactory:
        """What says which files containers see."""
        return MountFactory(
            model=self.model, image_of=self._image_of, leased=self.leased, others=self.others
        )

    def references(self, replica: ReplicaId) -> tuple[str, ...]:
        """Return the images a replica needs, as they are pinned, or by name where they are not."""
        names = list(mounted_images(self.model, self.model.services[replica.service]))
        names += [reference_of(self.model, one.service) for one in self.mounting.holders(replica)]
        return tuple(self.desired.images.get(name, name) for name in names)

    def needs_others(self, replica: ReplicaId) -> bool:
        """Whether a replica takes something over from containers that are no slots of the stack."""
        donors = self.model.services[replica.service].volumes_from
        return any(one.startswith(CONTAINER) for one in donors)

    def _image_of(self, reference: str) -> ImageFacts | None:
        return self.images.get(self.desired.images.get(reference, reference))

    def own_sandbox(self, replica: ReplicaId) -> bool:
        """Whether a replica has a network namespace of its own."""
        return network_of(self.model, self.model.services[replica.service]) == "own"

    def ceiling(self) -> Limits:
        """Return what all replicas keep to together."""
        return ceiling_of(self.model)

    @property
    def log_cap(self) -> int | None:
        """How much the logs of all replicas may take together."""
        return self.model.x_pyorch.logs or None

    def limits(self, replica: ReplicaId) -> Limits:
        """Return what a replica keeps to."""
        return limits_of(self.model.services[replica.service])

    def rates(self, replica: ReplicaId) -> Rates:
        """Return what goes over the links of a replica's sandbox at most."""
        return rates_of(self.model.services[replica.service])

    def build(
        self, action: Filling, netns: Path | None, made: Mapping[str, str]
    ) -> ContainerConfig:
        """Return the configuration of what fills ``action``'s slot.

        ``made`` tells of the containers it shares something with which very ones they are.
        """
        replica = action.replica
        service = self.model.services[replica.service]
        wanted = next(one for one in self.desired.services if one.name == replica.service)
        reference = reference_of(self.model, replica.service)
        found = self._image_of(reference)
        image = found.id if found else self.desired.images.get(reference, reference)
        name = container_name(self.desired.name, replica)
        addresses = tuple(str(address) for _, address in action.addresses)
        shares = dict(action.shares)
        confined = security(service.security_opt)
        told = self._labels(service, wanted, replica, image=str(image), made=made)
        return ContainerConfig(
            id=ContainerId(name),
            image=Digest(image),
            cgroup=f"{self.desired.name}/{replica}",
            log=self.settings.logs_of(self.desired.name) / replica.service / str(replica.slot),
            logging=log_config(
                service, container=name, reference=reference, image=found, labels=told
            ),
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
            stdin_once=replica.service in self.one_offs and self.one_offs[replica.service].attached,
            init=bool(service.init),
            read_only=service.read_only,
            privileged=service.privileged,
            no_new_privileges=confined.no_new_privileges,
            seccomp=service.seccomp if confined.seccomp != "unconfined" else "unconfined",
            apparmor=confined.apparmor or None,
            unmasked=confined.unmasked,
            network=shares.get("network", "") if netns else "",
            pid=shares.get("pid") or _alone(service.pid),
            ipc=shares.get("ipc") or _alone(service.ipc),
            uts_host=service.uts == "host",
            cgroup_host=service.cgroup == "host",
            annotations=dict(service.annotations),
            cap_add=service.cap_add,
            cap_drop=service.cap_drop,
            mounts=self.mounting.build(replica),
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
            labels=told,
            remarks=self._remarks(service),
        )

    def _hostname(self, service: models.Service, replica: ReplicaId) -> str:
        own = network_of(self.model, service) == "own"
        if service.hostname or service.uts == "host" or not own:
            return service.hostname  # none: that of whose network it is
        return f"{replica.service}-{replica.slot}"[:63]

    def _nameservers(self, wanted: DesiredService) -> tuple[str, ...]:
        if not wanted.networks:
            return wanted.dns_servers
        return tuple(self.nameservers(zone_of(self.desired.name, wanted)))

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
        self,
        service: models.Service,
        wanted: DesiredService,
        replica: ReplicaId,
        *,
        image: str,
        made: Mapping[str, str],
    ) -> dict[str, str]:
        one_off = self.one_offs.get(replica.service)
        return {
            **service.labels,
            **(_once(one_off) if one_off else {}),
            labels.STACK: self.desired.name,
            labels.SERVICE: replica.service,
            labels.SLOT: str(replica.slot),
            labels.REVISION: wanted.revision,
            labels.SANDBOX: network_of(self.model, service),
            labels.NAME: service.container_name,
            labels.SHARES: ",".join(f"{name}={when}" for name, when in sorted(made.items())),
            labels.COMPOSE_PROJECT: self.desired.name,
            labels.COMPOSE_SERVICE: one_off.service if one_off else replica.service,
            labels.COMPOSE_NUMBER: str(replica.slot),
            labels.COMPOSE_ONEOFF: str(one_off is not None),
            labels.COMPOSE_HASH: wanted.revision,
            labels.COMPOSE_IMAGE: image,
        }

    def _remarks(self, service: models.Service) -> dict[str, str]:
        after = (
            f"{name}:{entry.condition}:{str(entry.restart).lower()}"
            for name, entry in sorted(service.depends_on.items())
        )
        origin = self.model.origin
        found = {
            labels.COMPOSE_VERSION: __version__,
            labels.COMPOSE_DEPENDS: ",".join(after),
            labels.COMPOSE_DIRECTORY: origin.directory,
            labels.COMPOSE_FILES: ",".join(origin.files),
            labels.COMPOSE_ENV_FILES: ",".join(origin.env_files),
        }
        return {name: text for name, text in found.items() if text or name in labels.ALWAYS}


def _once(one: OneOff) -> dict[str, str]:
    return {labels.ONE_OFF: one.service, labels.COMPOSE_SLUG: one.name.rpartition("-")[2]}


def _alone(value: str) -> str:
    """Return whose namespace a container has that shares none with another container."""
    return "" if value == "private" else value
