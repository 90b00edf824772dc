"""What a stack's volumes are, and what its containers see of files, in the runtime's words."""

import platform
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from orchestrator.spec import models
from orchestrator.spec.values.templates import Placeholder, parse_template
from orchestrator.translate import labels
from orchestrator.translate.references import reference_of
from orchestrator.translate.refreshing import Reaction
from runtime.errors import NotFoundError
from runtime.types import (
    ContainerFacts,
    ExecProbe,
    ImageFacts,
    Mount,
    MountKind,
    VolumeConfig,
    VolumeId,
)
from scheduler.ids import ReplicaId, ServiceName, VolumeName

KERNELS_OWN = ("/", "/dev", "/proc", "/sys")
"""Where an image may ask for a volume as much as it likes."""
CONTAINER = "container:"
HANDED_ON = (MountKind.BIND, MountKind.VOLUME)
"""What `volumes_from` takes over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountFactory:
    """Builds the mounts of one stack's containers.

    ``image_of`` finds images by reference. ``leased`` tells which volumes without a name a slot
    holds, by where they are mounted. ``others`` are containers `volumes_from` may name.
    """

    model: models.StackFile
    image_of: Callable[[str], ImageFacts | None]
    leased: Callable[[ReplicaId], Mapping[str, str]]
    others: tuple[ContainerFacts, ...] = ()
    node: str = field(default_factory=platform.node)
    """What this machine is called."""

    def volume(self, name: VolumeName) -> VolumeConfig:
        """Return what a named volume of the stack is made from."""
        key, volume = next((k, v) for k, v in self.model.volumes.items() if v.name == name)
        return VolumeConfig(
            id=VolumeId(name),
            labels={
                **volume.labels,
                labels.STACK: self.model.name,
                labels.COMPOSE_PROJECT: self.model.name,
                labels.COMPOSE_VOLUME: key,
            },
            options=volume.driver_opts,
        )

    def anonymous(self, replica: ReplicaId) -> dict[str, dict[str, str]]:
        """Return the labels of the volumes without a name a slot needs, by where they are.

        They are those of the file, and those of the image where nothing else is mounted.
        """
        service = self.model.services[replica.service]
        own = {
            labels.STACK: self.model.name,
            labels.SERVICE: replica.service,
            labels.COMPOSE_PROJECT: self.model.name,
            labels.ANONYMOUS: "",
        }
        found = {
            given.target: {**given.volume.labels, **own}
            for given in service.volumes
            if given.type == "volume" and not given.source
        }
        taken = {one.target for one in self._named(service, replica)}
        image = self.image_of(reference_of(self.model, replica.service))
        for path in image.config.volumes if image else ():
            target = posixpath.normpath(f"/{path.lstrip('/')}")
            below = any(target == one or target.startswith(f"{one}/") for one in KERNELS_OWN[1:])
            if target not in taken and target != "/" and not below:
                found.setdefault(target, own)
        return found

    def reactions(self, replica: ReplicaId, targets: Collection[str]) -> Iterator[Reaction]:
        """Yield what is done in a slot when files at ``targets`` have changed."""
        for kind, target, given in carried_files(self.model.services[replica.service]):
            if target in targets:
                section = self.model.configs if kind == "configs" else self.model.secrets
                own = section[given.source].x_pyorch
                yield (
                    own.signal
                    if own.on_change == "signal"
                    else (
                        ExecProbe(own.exec),
                        own.timeout,
                    )
                )

    def holders(self, replica: ReplicaId) -> tuple[ReplicaId, ...]:
        """Return a slot and those whose mounts it takes over, and so on."""
        found = [replica]
        for holder in found:
            donors = self.model.services[holder.service].volumes_from
            names = [donor_of(one)[0] for one in donors if not one.startswith(CONTAINER)]
            slots = (ReplicaId(ServiceName(name), 1) for name in names)
            found += [one for one in slots if one not in found]
        return tuple(found)

    def build(self, replica: ReplicaId) -> tuple[Mount, ...]:
        """Return everything that is mounted in a slot's container."""
        service = self.model.services[replica.service]
        found = {one.target: one for one in self._taken_over(service)}
        anonymous = {one.target: one for one in service.volumes if one.type == "volume"}
        leased = self.leased(replica)
        if leased and self.image_of(reference_of(self.model, replica.service)):
            wanted = self.anonymous(replica)
            leased = {target: one for target, one in leased.items() if target in wanted}
        for target, volume in leased.items():
            given = anonymous.get(target)
            found[target] = Mount(
                kind=MountKind.VOLUME,
                target=target,
                source=volume,
                read_only=given.read_only if given else False,
                nocopy=given.volume.nocopy if given else False,
            )
        found |= {one.target: one for one in self._own(service, replica)}
        return tuple(found.values())

    def _named(self, service: models.Service, replica: ReplicaId) -> Iterator[Mount]:
        """Yield what is mounted whatever the image says."""
        yield from self._taken_over(service)
        yield from self._own(service, replica)

    def _content(self, kind: str, name: str, replica: ReplicaId) -> bytes:
        """Return what a config or a secret holds, its placeholders filled for one slot."""
        section = self.model.configs if kind == "configs" else self.model.secrets
        resource = section[name]
        content = resource.payload or b""
        if not resource.template_driver:
            return content
        parts = parse_template(content.decode())
        return b"".join(
            part.encode() if isinstance(part, str) else self._filled(part, replica)
            for part in parts
        )

    def _filled(self, wanted: Placeholder, replica: ReplicaId) -> bytes:
        service = self.model.services[replica.service]
        match wanted.what:
            case "config" | "secret":
                kind = f"{wanted.what}s"
                section = self.model.configs if kind == "configs" else self.model.secrets
                for given in getattr(service, kind):
                    if wanted.name in (given.source, given.target):
                        return section[given.source].payload or b""
                return b""
            case "env":
                return (service.environment.get(wanted.name) or "").encode()
            case ".Service.Name":
                return f"{self.model.name}_{replica.service}".encode()
            case ".Task.Slot":
                return str(replica.slot).encode()
            case ".Task.Name":
                return f"{self.model.name}_{replica}".encode()
            case _:
                return self.node.encode()

    def _own(self, service: models.Service, replica: ReplicaId) -> Iterator[Mount]:
        for volume in service.volumes:
            if volume.source or volume.type != "volume":
                yield self._mount(volume)
        for text in service.tmpfs:
            target, _, options = text.partition(":")
            yield Mount(
                kind=MountKind.TMPFS,
                target=target,
                options=tuple(one for one in options.split(",") if one),
            )
        for kind, target, given in carried_files(service):
            content = self._content(kind, given.source, replica)
            digest = digest_of(self.model, kind, given.source)
            yield Mount(
                kind=MountKind.FILE,
                target=target,
                read_only=True,
                mode=given.mode,
                uid=int(given.uid) if given.uid else None,
                gid=int(given.gid) if given.gid else None,
                content=content,
                digest=digest,
            )

    def _taken_over(self, service: models.Service) -> Iterator[Mount]:
        for entry in service.volumes_from:
            name, read_only = donor_of(entry)
            if entry.startswith(CONTAINER):
                given = _mounts_of(name, self.others)
            else:
                given = self.build(ReplicaId(ServiceName(name), 1))
            for one in given:
                if one.kind in HANDED_ON:
                    yield replace(one, read_only=one.read_only or read_only)

    def _mount(self, given: models.Mount) -> Mount:
        match given.type:
            case "bind" | "npipe" | "cluster":
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
            case "image":
                reference = mounted_image(self.model, given)
                image = self.image_of(reference)
                return Mount(
                    kind=MountKind.IMAGE,
                    target=given.target,
                    source=image.id if image else reference,
                    read_only=given.read_only,
                    subpath=given.image.subpath,
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


def carried_files(service: models.Service) -> Iterator[tuple[str, str, models.FileMount]]:
    """Yield every config and secret a service has: which of the two, where, and how."""
    for given in service.configs:
        target = given.target or f"/{given.source}"
        yield "configs", target if target.startswith("/") else f"/{target}", given
    for given in service.secrets:
        target = given.target or given.source
        yield "secrets", target if target.startswith("/") else f"/run/secrets/{target}", given


def digest_of(model: models.StackFile, kind: str, name: str) -> str:
    """Return what tells a content from others that is changed while containers stay.

    Empty where another content makes other containers.
    """
    resource = (model.configs if kind == "configs" else model.secrets)[name]
    if resource.x_pyorch.on_change == "recreate":
        return ""
    return sha256(resource.payload or b"").hexdigest()


def mounted_image(model: models.StackFile, given: models.Mount) -> str:
    """Return the reference of the image a mount is of: its own, or that of a service."""
    return reference_of(model, given.source) if given.source in model.services else given.source


def mounted_images(model: models.StackFile, service: models.Service) -> tuple[str, ...]:
    """Return the references of every image a service mounts, sorted."""
    return tuple(
        sorted({mounted_image(model, one) for one in service.volumes if one.type == "image"})
    )


def donor_of(entry: str) -> tuple[str, bool]:
    """Return whose mounts an entry of `volumes_from` takes over, and whether read-only."""
    name, _, mode = entry.removeprefix(CONTAINER).partition(":")
    return name, mode == "ro"


def _mounts_of(name: str, containers: tuple[ContainerFacts, ...]) -> tuple[Mount, ...]:
    for facts in containers:
        if name in (facts.id, facts.id.replace(".", "-")):
            return facts.mounts
    raise NotFoundError(
        "take over mounts of",
        name,
        "there is no such container",
        hint="`pyorch ps -a` lists what there is; a container is named STACK-SERVICE-NUMBER",
    )
