"""Sandboxes: namespaces and the links that lead into them; made, found lacking, taken away."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from runtime.errors import NotFoundError
from runtime.files import in_thread
from runtime.network import inside, links, netns
from runtime.network.dns import Resolvers
from runtime.network.drift import Places, lost_sandboxes
from runtime.network.ends import End, bridge_of, ends_of
from runtime.network.links import Links
from runtime.network.names import veth_name
from runtime.network.records import Records
from runtime.types import (
    ContainerId,
    Instance,
    NetworkId,
    NetworkKind,
    Rates,
    SandboxConfig,
    SandboxFacts,
)

PATIENCE = 2.0
"""Seconds to wait for the links of ended namespaces."""


class Sandboxes:
    """The sandboxes of one instance. Different ones overlap."""

    def __init__(
        self, instance: Instance, records: Records, net: Links, resolvers: Resolvers
    ) -> None:
        """Have those of ``records`` reach ``resolvers``; nothing is touched yet."""
        self._instance = instance
        self._records = records
        self._net = net
        self._resolvers = resolvers
        self._folder = instance.run / "netns"
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # The kernel makes them one after the other; the first may start while others wait.
        self._few = asyncio.Semaphore(4)
        self._leaving: dict[str, NetworkId] = {}
        self.names: set[str] = set()
        """Links on the host that should be there now."""

    def open(self) -> None:
        """Learn what should be there of those that are recorded."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for config in self._records.sandboxes.values():
            self.names.update(self._veths(config))

    def list(self) -> tuple[SandboxFacts, ...]:
        """Return every sandbox."""
        return tuple(
            SandboxFacts(config=config, netns=self._netns(name), intact=self._intact(config))
            for name, config in sorted(self._records.sandboxes.items())
        )

    async def create(self, config: SandboxConfig) -> Path:
        """Make a sandbox as ``config`` says, or make it so; return its namespace."""
        async with self._lock(config.id):
            for place in config.attachments:
                if place.network not in self._records.networks:
                    raise NotFoundError("attach to network", place.network, "it does not exist")
            found = self._records.sandboxes.get(config.id)
            if found is not None and replace(found, rates=config.rates) != config:
                await self._take_down(config.id)
            self._records.put_sandbox(config)
            path = self._netns(config.id)
            async with self._few:
                await in_thread(netns.create, path)
                await self._attach(config)
                if found is not None and found.rates != config.rates:
                    await self._net.limit(path, self._ends(config))
            return path

    async def limit(self, container: ContainerId, rates: Rates) -> None:
        """Hold a sandbox's links to other rates, if there is one."""
        async with self._lock(container):
            found = self._records.sandboxes.get(container)
            if found is None or found.rates == rates:
                return
            self._records.put_sandbox(replace(found, rates=rates))
            await self._net.limit(
                self._netns(container), self._ends(self._records.sandboxes[container])
            )

    async def remove(self, container: ContainerId) -> None:
        """Take a sandbox down, if there is one."""
        async with self._lock(container):
            await self._take_down(container)

    def members(self, network: NetworkId) -> Sequence[SandboxConfig]:
        """Return the sandboxes with a place in a network."""
        return [
            sandbox
            for sandbox in self._records.sandboxes.values()
            if any(place.network == network for place in sandbox.attachments)
        ]

    async def attach_to(self, network: NetworkId) -> None:
        """Put members back on their network: a bridge that was lost took that along."""
        for sandbox in self.members(network):
            await self._attach(sandbox)

    async def wait_for_leaving(self, network: NetworkId) -> None:
        """Return once no link of removed sandboxes is left in a network."""
        names = [name for name, place in self._leaving.items() if place == network]
        for name in await self._net.wait_until_gone(names, PATIENCE):
            # Somebody else is still inside its namespace.
            await self._net.remove(name)
        for name in names:
            self._leaving.pop(name, None)

    def links(self) -> set[str]:
        """Return the links on the host that are somebody's, those on their way out included."""
        found = set(self._leaving)
        for config in self._records.sandboxes.values():
            found |= self._veths(config).keys()
        return found

    async def sweep(self) -> Sequence[str]:
        """Remove namespaces that are of no sandbox; return a name for each."""
        found = []
        for path in tuple(self._folder.iterdir()):
            known = path.name in self._records.sandboxes or path.name in self._records.unread
            lock = self._locks.get(path.name)
            if not known and (lock is None or not lock.locked()):
                await in_thread(netns.delete, path)
                found.append(f"namespace {path.name}")
        return found

    async def mend(self) -> Sequence[str]:
        """Put back what was lost of any; return a name for each thing."""
        return [*await self._mend_links(), *await self._mend_inside()]

    async def _mend_links(self) -> Sequence[str]:
        found = []
        whole = [name for name, config in self._records.sandboxes.items() if self._is_known(config)]
        for name in lost_sandboxes(self._places(whole), await self._net.list()):
            async with self._lock(name):
                # Meanwhile it may have been finished, or taken away, by whoever held the lock.
                places = self._places(one for one in (name,) if one in self._records.sandboxes)
                if lost_sandboxes(places, await self._net.list()):
                    await in_thread(netns.create, self._netns(name))
                    await self._attach(self._records.sandboxes[name])
                    found.append(f"links of {name}")
        return found

    async def _mend_inside(self) -> Sequence[str]:
        found: list[str] = []
        everybody = {
            name: (self._netns(name), self._ends(config))
            for name, config in self._records.sandboxes.items()
            if self._is_known(config)
        }
        for name in await in_thread(inside.find_lacking, everybody):
            async with self._lock(name):
                if name in self._records.sandboxes:
                    found += await self._put_back_inside(self._records.sandboxes[name])
        return found

    async def _put_back_inside(self, config: SandboxConfig) -> Sequence[str]:
        namespace, ends = self._netns(config.id), self._ends(config)
        found = []
        gone = await in_thread(inside.find_gone, namespace, ends)
        if gone:
            await self._net.attach(namespace, gone)
            found += [f"link {end.inside} of {config.id}" for end in gone]
        if await in_thread(inside.lead_to_resolvers, namespace, ends):
            found.append(f"way to the resolvers of {config.id}")
        return found

    async def _attach(self, config: SandboxConfig) -> None:
        ends = self._ends(config)
        for end in ends:
            if end.name in self._leaving:
                await self._net.remove(end.name)
                self._leaving.pop(end.name, None)
        self.names.update(self._veths(config))
        await self._net.attach(self._netns(config.id), ends)

    async def _take_down(self, container: ContainerId) -> None:
        config = self._records.sandboxes.get(container)
        veths = self._veths(config) if config else {}
        self.names.difference_update(veths)
        await in_thread(netns.delete, self._netns(container))
        # The links go with the namespace, all that end together in one go of the kernel's;
        # removing them one by one takes it twenty milliseconds each.
        self._leaving |= veths
        self._records.drop_sandbox(container)

    def _ends(self, config: SandboxConfig) -> tuple[End, ...]:
        return ends_of(self._instance, config, self._records.networks, self._resolvers.nets)

    def _intact(self, config: SandboxConfig) -> bool:
        return netns.is_pinned(self._netns(config.id)) and all(
            links.exists(link) for link in self._veths(config)
        )

    def _veths(self, config: SandboxConfig) -> dict[str, NetworkId]:
        """Return the host's ends of a sandbox's links, and the network each leads into."""
        return {
            veth_name(self._instance, config.id, place.network): place.network
            for place in config.attachments
            if self._has_bridge(place.network)
        }

    def _has_bridge(self, network: NetworkId) -> bool:
        found = self._records.networks.get(network)
        return found is None or found.kind is NetworkKind.BRIDGE

    def _places(self, names: Iterable[ContainerId]) -> Mapping[ContainerId, Places]:
        return {
            name: tuple(
                (link, bridge_of(self._instance, self._records.networks[network]))
                for link, network in self._veths(self._records.sandboxes[name]).items()
            )
            for name in names
        }

    def _is_known(self, config: SandboxConfig) -> bool:
        return all(place.network in self._records.networks for place in config.attachments)

    def _netns(self, container: ContainerId) -> Path:
        return self._folder / container

    def _lock(self, container: ContainerId) -> asyncio.Lock:
        return self._locks.setdefault(container, asyncio.Lock())
