"""Volumes and networks as things of their own: whose they are, who uses them, taking them away.

A stack makes what its file names and takes its networks away again. Volumes stay, and these are
what is left for people to look after.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from orchestrator.errors import PyorchError
from orchestrator.observer import Drivers
from orchestrator.reconciler import Reconciler
from orchestrator.store import Store
from orchestrator.translate import labels
from runtime.errors import DriverError
from runtime.files import in_thread
from runtime.image.layers import unpack_copy
from runtime.oci.packing import pack_tree
from runtime.types import MountKind, NetworkId, VolumeConfig, VolumeFacts, VolumeId
from scheduler.desired import Intent
from scheduler.ids import parse_container_name


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeView:
    """One volume, for people. ``users`` are the stacks that name it."""

    name: str
    stack: str
    path: str
    labels: Mapping[str, str]
    created_wall: float
    users: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """One network, for people. ``containers`` are the addresses in it, by container."""

    name: str
    stack: str
    subnet: str
    gateway: str
    internal: bool
    labels: Mapping[str, str]
    users: tuple[str, ...]
    containers: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What stacks stand on, seen from outside any of them."""

    drivers: Drivers
    store: Store
    reconciler: Reconciler

    async def volumes(self) -> tuple[VolumeView, ...]:
        """Describe every volume."""
        users = await self._users("volumes")
        return tuple(_volume(facts, users) for facts in await self.drivers.volumes.list())

    async def volume(self, name: str) -> VolumeView:
        """Describe one volume. Raises PyorchError for one that is not there."""
        for view in await self.volumes():
            if view.name == name:
                return view
        raise _missing("volume", name)

    async def create_volume(self, name: str, labelled: Mapping[str, str]) -> VolumeView:
        """Make an empty volume that is no stack's. Raises PyorchError for one that is there."""
        if any(facts.id == name for facts in await self.drivers.volumes.list()):
            raise PyorchError(f"there is a volume `{name}` already", code="already_exists")
        await self.drivers.volumes.create(VolumeConfig(id=VolumeId(name), labels=dict(labelled)))
        return await self.volume(name)

    async def remove_volume(self, name: str) -> None:
        """Delete a volume with what is in it. Raises PyorchError while a stack names it."""
        _refuse_used("volume", name, (await self.volume(name)).users)
        await self.drivers.volumes.remove(VolumeId(name))

    async def prune_volumes(self, *, named: bool) -> tuple[str, ...]:
        """Delete every volume nobody has a use for; with ``named`` those with a name, too."""
        held = await self._held()
        gone = []
        for view in await self.volumes():
            nameless = labels.ANONYMOUS in view.labels
            if not view.users and view.name not in held and (named or nameless):
                await self.drivers.volumes.remove(VolumeId(view.name))
                gone.append(view.name)
        return tuple(gone)

    @asynccontextmanager
    async def packed(self, name: str) -> AsyncIterator[IO[bytes]]:
        """Yield a tarball of what is in a volume. Raises PyorchError for one kept elsewhere."""
        path = await self._content(name)
        with tempfile.TemporaryFile(dir=self.store.data) as file:
            await in_thread(pack_tree, path, file, changes=False)
            await in_thread(file.seek, 0)
            yield file

    async def fill(self, name: str, source: IO[bytes]) -> None:
        """Unpack a tarball into a volume, which is made, or is there and empty.

        Owners and modes are those of the tarball. Raises PyorchError where anything is in it.
        """
        new = all(facts.id != name for facts in await self.drivers.volumes.list())
        if new:
            await self.drivers.volumes.create(VolumeConfig(id=VolumeId(name), labels={}))
        path = await self._content(name)
        if not new and await in_thread(_holds_anything, path):
            raise PyorchError(
                f"volume `{name}` is not empty",
                hint="import into a new one; `pyorch volume rename` has it take that one's place",
                code="conflict",
            )
        try:
            await in_thread(unpack_copy, source, path, owner=None, top=True)
        except DriverError as error:
            if new:
                await self.drivers.volumes.remove(VolumeId(name))
            raise PyorchError(
                f"cannot unpack it into volume `{name}`: {error.cause}", code="invalid"
            ) from error

    async def clone(self, name: str, new: str) -> None:
        """Make a volume that has in it what another one has now. Raises PyorchError if it is there.

        What writes to the one meanwhile may be in the other in part.
        """
        if any(facts.id == new for facts in await self.drivers.volumes.list()):
            raise PyorchError(f"there is a volume `{new}` already", code="already_exists")
        async with self.packed(name) as file:
            await self.fill(new, file)

    async def rename(self, name: str, new: str) -> None:
        """Give a volume another name. Raises PyorchError while anybody uses it."""
        _refuse_used("volume", name, (await self.volume(name)).users)
        if name in await self._held():
            raise PyorchError(
                f"volume `{name}` is mounted in a container",
                hint="take its stack down first: `pyorch -p NAME down`",
                code="conflict",
            )
        await self.clone(name, new)
        await self.drivers.volumes.remove(VolumeId(name))

    async def _content(self, name: str) -> Path:
        for facts in await self.drivers.volumes.list():
            if facts.id == name and facts.options:
                raise PyorchError(
                    f"volume `{name}` is kept elsewhere: it has options of its own",
                    hint="copy what is in it where it is, or in a container that mounts it",
                    code="conflict",
                )
            if facts.id == name:
                return facts.path
        raise _missing("volume", name)

    async def _held(self) -> frozenset[str]:
        """Return the volumes containers have, or are to have again."""
        mounted = {
            one.source
            for facts in await self.drivers.containers.list()
            for one in facts.mounts
            if one.kind is MountKind.VOLUME
        }
        return self.store.leases.held_volumes() | mounted

    async def networks(self) -> tuple[NetworkView, ...]:
        """Describe every network."""
        users = await self._users("networks")
        members: dict[NetworkId, dict[str, str]] = {}
        for sandbox in await self.drivers.networks.list_sandboxes():
            for place in sandbox.config.attachments:
                stack, replica = parse_container_name(sandbox.config.id)
                name = f"{stack}-{replica.service}-{replica.slot}"
                members.setdefault(place.network, {})[name] = _in_words(place.addresses)
        return tuple(
            NetworkView(
                name=facts.config.id,
                stack=facts.config.labels.get(labels.STACK, ""),
                subnet=_in_words(one.net for one in facts.config.subnets),
                gateway=_in_words(one.gateway for one in facts.config.subnets),
                internal=facts.config.internal,
                labels=facts.config.labels,
                users=users.get(facts.config.id, ()),
                containers=members.get(facts.config.id, {}),
            )
            for facts in await self.drivers.networks.list()
        )

    async def network(self, name: str) -> NetworkView:
        """Describe one network. Raises PyorchError for one that is not there."""
        for view in await self.networks():
            if view.name == name:
                return view
        raise _missing("network", name)

    async def remove_network(self, name: str) -> None:
        """Take a network away. Raises PyorchError while a stack names it or anything is in it."""
        view = await self.network(name)
        _refuse_used("network", name, view.users or tuple(view.containers))
        await self.drivers.networks.remove(NetworkId(name))

    async def prune_networks(self) -> tuple[str, ...]:
        """Take away every network that no stack names and nothing is in; return their names."""
        unused = [one.name for one in await self.networks() if not one.users and not one.containers]
        for name in unused:
            await self.drivers.networks.remove(NetworkId(name))
        return tuple(unused)

    async def _users(self, kind: str) -> dict[str, tuple[str, ...]]:
        """Return the stacks that name each volume or network; those that are going, too.

        What a stack that is being removed still runs on is taken away by itself, or kept.
        """
        present = {parse_container_name(one.id)[0] for one in await self.drivers.containers.list()}
        found: dict[str, tuple[str, ...]] = {}
        for stored in self.store.stacks.all():
            if stored.intent is Intent.REMOVE and stored.name not in present:
                continue
            for resource in getattr(self.reconciler.model(stored), kind).values():
                found[resource.name] = (*found.get(resource.name, ()), stored.name)
        return found


def _holds_anything(folder: Path) -> bool:
    """Whether anything is in a folder."""
    with os.scandir(folder) as found:
        return next(found, None) is not None


def _in_words(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _volume(facts: VolumeFacts, users: Mapping[str, tuple[str, ...]]) -> VolumeView:
    return VolumeView(
        name=facts.id,
        stack=facts.labels.get(labels.STACK, ""),
        path=str(facts.path),
        labels=facts.labels,
        created_wall=facts.created_wall,
        users=users.get(facts.id, ()),
    )


def _missing(what: str, name: str) -> PyorchError:
    hint = f"`pyorch {what} ls` lists what there is"
    return PyorchError(f"there is no {what} `{name}`", hint=hint, code="not_found")


def _refuse_used(what: str, name: str, users: Iterable[str]) -> None:
    known = ", ".join(f"`{one}`" for one in users)
    if known:
        raise PyorchError(
            f"{what} `{name}` is used by {known}",
            hint="take that down first: `pyorch -p NAME down`",
            code="conflict",
        )
