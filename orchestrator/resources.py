"""Volumes and networks as things of their own: whose they are, who uses them, taking them away.

A stack makes what its file names and takes its networks away again. Volumes stay, and these are
what is left for people to look after.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.errors import PyorchError
from orchestrator.observer import Drivers
from orchestrator.reconciler import Reconciler
from orchestrator.store import Store
from orchestrator.translate import labels
from runtime.types import NetworkId, VolumeConfig, VolumeFacts, VolumeId
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
