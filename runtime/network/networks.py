"""The network driver: bridges, sandboxes, the table and the resolvers put together.

The record of a thing is written before it is made: whatever is found without one is nobody's.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from pathlib import Path

from typing_extensions import override

from runtime.drivers import NetworkDriver
from runtime.errors import ConflictError, NotFoundError, UnavailableError
from runtime.files import in_thread
from runtime.network import links
from runtime.network.dns import Resolvers, candidate_nets
from runtime.network.drift import lost_bridges
from runtime.network.ends import bridge_of, host_addresses, mac_of
from runtime.network.firewall import Firewall
from runtime.network.host import (
    read_listeners,
    read_memory,
    read_protocols,
    upstream_servers,
)
from runtime.network.links import Links
from runtime.network.names import resolver_link
from runtime.network.passages import PASSAGES
from runtime.network.records import Records
from runtime.network.sandboxes import Sandboxes
from runtime.network.table import render_table
from runtime.network.virtual import VirtualAddresses
from runtime.network.watch import Lost, Watch
from runtime.types import (
    ContainerId,
    Exposure,
    HostFacts,
    Instance,
    NetworkConfig,
    NetworkFacts,
    NetworkId,
    NetworkKind,
    PublishedPort,
    Rates,
    SandboxConfig,
    SandboxFacts,
    Zone,
    overlap,
)


class Networks(NetworkDriver):
    """The networks of one instance. Open it before use, close it after."""

    def __init__(self, instance: Instance) -> None:
        """Keep records below the instance's run directory; nothing is touched yet."""
        self._instance = instance
        self._records = Records(instance.run / "network")
        self._networks = self._records.networks
        self._firewall = Firewall(instance)
        self._resolvers = Resolvers(instance, lambda: self._suspect(Lost.LINKS))
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._exposure: Exposure | None = None
        self._flows: Mapping[tuple[str, int], PublishedPort] | None = None
        """UDP ports as they were when stale flows to them were last dropped."""
        self._parents: set[str] = set()
        """Links of the host's that members of networks are on themselves."""
        self._lost: set[Lost] = set(Lost)
        self._drifted: Callable[[], None] = _nobody
        self._opened = instance.run / "network" / "opened"
        """Exists while this host is not as it was before any network of ours."""
        self._stack = AsyncExitStack()
        self._net = Links()
        self._sandboxes = Sandboxes(instance, self._records, self._net, self._resolvers)
        self._virtual = VirtualAddresses(instance, self._net)
        self._names = self._sandboxes.names
        """Links that should be there now."""

    async def open(self) -> None:
        """Read the records; those of an earlier boot are void."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._records.open(boot)
        self._sandboxes.open()
        self._names.update(self._bridge(one.id) for one in self._bridged())
        self._names.add(resolver_link(self._instance))
        self._note_parents()
        self._resolvers.open()
        self._stack.push_async_callback(self._resolvers.close)
        watch = Watch(
            links=self._names,
            parents=self._parents,
            marks=(self._instance.table, *PASSAGES),
            hint=self._suspect,
        )
        self._stack.callback(watch.close)
        watch.open()

    # ── networks ─────────────────────────────────────────────────────────────────────────

    @override
    async def list(self) -> tuple[NetworkFacts, ...]:
        return tuple(
            NetworkFacts(config=config, intact=links.is_up(_link_of(self._instance, config)))
            for _, config in sorted(self._networks.items())
        )

    @override
    async def create(self, config: NetworkConfig) -> None:
        async with self._locks["networks"]:
            found = self._networks.get(config.id)
            await self._refuse_contradictions(config, found)
            self._records.put_network(config)
            self._note_parents()
            self._opened.touch()
            if config.kind is NetworkKind.BRIDGE:
                await asyncio.gather(
                    self._open_host(), self._add_bridge(config), self._add_resolver_link()
                )
            if found is not None:
                await self._sandboxes.attach_to(config.id)

    async def _refuse_contradictions(
        self, config: NetworkConfig, found: NetworkConfig | None
    ) -> None:
        if found is not None and _place(found) != _place(config):
            nets = ", ".join(str(one.net) for one in found.subnets)
            raise ConflictError(
                "create network",
                config.id,
                f"it exists as a {found.kind.value} with subnet {nets}",
                hint="`pyorch down` first, then `pyorch up`",
            )
        for other in self._networks.values():
            for mine, theirs in product(config.subnets, other.subnets):
                if other.id != config.id and overlap(mine.net, theirs.net):
                    raise ConflictError(
                        "create network",
                        config.id,
                        f"{mine.net} overlaps network `{other.id}` ({theirs.net})",
                        hint="set `ipam.config` to a free subnet, or leave it out",
                    )
        known = found is not None or config.id in self._records.unread
        if not known and config.bridge and links.exists(config.bridge):
            raise ConflictError(
                "create network", config.id, f"this host has a link `{config.bridge}` already"
            )
        if config.parent and not links.exists(config.parent):
            raise NotFoundError("create network", config.id, f"there is no link `{config.parent}`")

    @override
    async def remove(self, network: NetworkId) -> None:
        async with self._locks["networks"]:
            if members := self._sandboxes.members(network):
                raise ConflictError(
                    "remove network", network, f"`{members[0].id}` is still attached to it"
                )
            found = self._networks.get(network)
            if found is not None and found.kind is NetworkKind.BRIDGE:
                bridge = self._bridge(network)
                self._names.discard(bridge)
                await asyncio.gather(
                    self._sandboxes.wait_for_leaving(network), self._net.remove(bridge)
                )
            self._records.drop_network(network)
            self._note_parents()
            if not self._networks:
                await self._close_host()

    async def _add_bridge(self, config: NetworkConfig) -> None:
        name = self._bridge(config.id)
        self._names.add(name)
        alias = f"{self._instance.alias}{config.id}"
        addresses = host_addresses(config)
        await self._net.add_bridge(name, alias, addresses, mac_of(addresses[0].ip), mtu=config.mtu)

    async def _open_host(self) -> None:
        await self._firewall.open(
            ipv6=any(one.of_version(6) for one in self._bridged()),
            bridges=[one.bridge for one in self._bridged() if one.bridge],
        )

    async def _add_resolver_link(self) -> None:
        """Make what holds the resolvers' addresses, and have it hold a net nobody else has."""
        link = resolver_link(self._instance)
        async with self._locks["resolvers"]:
            if links.exists(link) and self._resolvers.settled:
                return
            await self._net.add_holder(link, f"{self._instance.alias}resolvers")
            if self._resolvers.settled and await self._net.claim(link, self._resolvers.net):
                return
            if self._resolvers.settled and self._records.sandboxes:
                # Containers have the addresses of before: others would be none to them.
                raise UnavailableError(
                    "serve names on", str(self._resolvers.net), "another route leads there by now"
                )
            for net in candidate_nets(self._instance.name):
                if await self._net.claim(link, net):
                    self._resolvers.settle(net)
                    return
            raise UnavailableError(
                "find addresses for", "resolvers", "every link-local net is taken"
            )

    async def _close_host(self) -> None:
        async with self._locks["publish"]:
            await self._publish(Exposure())
            await asyncio.gather(
                self._net.remove(resolver_link(self._instance)), self._firewall.close()
            )
            self._resolvers.settle(None)
        self._opened.unlink(missing_ok=True)

    # ── sandboxes ────────────────────────────────────────────────────────────────────────

    @override
    async def list_sandboxes(self) -> tuple[SandboxFacts, ...]:
        return self._sandboxes.list()

    @override
    async def create_sandbox(self, config: SandboxConfig) -> Path:
        return await self._sandboxes.create(config)

    @override
    async def limit_sandbox(self, container: ContainerId, rates: Rates) -> None:
        await self._sandboxes.limit(container, rates)

    @override
    async def remove_sandbox(self, container: ContainerId) -> None:
        await self._sandboxes.remove(container)

    # ── ports and names ──────────────────────────────────────────────────────────────────

    @override
    async def publish(self, exposure: Exposure) -> None:
        async with self._locks["publish"]:
            await self._publish(exposure)

    @override
    def nameservers(self, zone: Zone) -> Sequence[str]:
        version = self._asked_by(zone)
        if version is None:
            # What listens on the host's own loopback is out of their reach.
            others = [one for one in upstream_servers() if not ip_address(one).is_loopback]
            return zone.servers or others
        return [str(self._resolvers.address(zone, version))]

    def _asked_by(self, zone: Zone) -> int | None:
        """Return the family by which a zone's members reach their resolver; None if they do not."""
        members = [self._networks[name] for name in zone.networks]
        bridged = [one for one in members if one.kind is NetworkKind.BRIDGE]
        return next((v for v in (4, 6) if any(one.of_version(v) for one in bridged)), None)

    @override
    def gateway(self, network: NetworkId) -> str:
        if network not in self._networks:
            raise NotFoundError("find the gateway of network", network, "it does not exist")
        return str(self._networks[network].subnets[0].gateway)

    async def _publish(self, exposure: Exposure) -> tuple[str, ...]:
        """Publish, and name what of it had been lost since it was last published."""
        self._exposure = exposure
        zones = {
            zone: version
            for zone in exposure.zones
            if all(name in self._networks for name in zone.networks)
            and (version := self._asked_by(zone)) is not None
        }
        if zones:
            await self._add_resolver_link()
        resolvers = {
            zone: self._resolvers.address(zone, version) for zone, version in zones.items()
        }
        for address in resolvers.values():
            await self._net.add_address(resolver_link(self._instance), address)
        isolated = frozenset(name for name, one in self._networks.items() if one.internal)
        lost = await self._resolvers.serve(zones, exposure.names, isolated=isolated)
        await self._virtual.settle(
            {
                (self._bridge(one.network), one.address)
                for one in exposure.virtual
                if one.network in self._networks
                and self._networks[one.network].kind is NetworkKind.BRIDGE
            }
        )
        await self._firewall.apply(
            render_table(
                self._instance,
                self._networks.values(),
                exposure,
                resolvers=resolvers,
                resolver_nets=self._resolvers.nets.values(),
                close_forwarding=self._firewall.opened_forwarding,
            )
        )
        await self._forget_flows(exposure)
        return lost

    async def _forget_flows(self, exposure: Exposure) -> None:
        ports = {
            (one.host_ip, one.host_port): one for one in exposure.ports if one.protocol == "udp"
        }
        gone = {key: replace(one, targets=()) for key, one in (self._flows or {}).items()}
        changed = [
            port
            for key, port in {**gone, **ports}.items()
            if self._flows is None or self._flows.get(key) != port
        ]
        if changed:
            nets = [one.net for network in self._bridged() for one in network.subnets]
            # Its library takes as much memory as two containers do, and most hosts have no flows.
            from runtime.network.conntrack import forget_stale

            await forget_stale(changed, nets)
        self._flows = ports

    # ── the machine ──────────────────────────────────────────────────────────────────────

    @override
    async def host(self) -> HostFacts:
        ours = frozenset(
            link.index
            for link in await self._net.list()
            if link.alias.startswith(self._instance.alias)
        )
        listeners, routes = await asyncio.gather(in_thread(read_listeners), self._net.routes(ours))
        return HostFacts(
            cpus=os.cpu_count() or 1,
            memory=read_memory(),
            routes=routes,
            listeners=listeners,
            protocols=read_protocols(),
        )

    @override
    async def sweep(self) -> Sequence[str]:
        found = []
        wanted = {self._bridge(one.id) for one in self._bridged()} | self._sandboxes.links()
        if self._networks or self._records.unread:
            wanted.add(resolver_link(self._instance))
        for link in await self._net.list():
            owner = link.alias.removeprefix(self._instance.alias)
            if owner in (link.alias, *self._records.unread):
                continue
            if link.name not in wanted:
                await self._net.remove(link.name)
                found.append(f"link {link.name} ({link.alias})")
        found += await self._sandboxes.sweep()
        if self._opened.exists() and not self._networks and not self._records.unread:
            async with self._locks["networks"]:
                if not self._networks:
                    await self._close_host()
        return found

    # ── drift ────────────────────────────────────────────────────────────────────────────

    @override
    def on_drift(self, callback: Callable[[], None]) -> None:
        self._drifted = callback

    @override
    def changes(self) -> Sequence[str]:
        return self._firewall.changes

    @override
    async def mend(self, *, everything: bool) -> Sequence[str]:
        lost, self._lost = self._lost, set()
        if everything:
            lost = set(Lost)
        found: list[str] = []
        if not self._networks:
            return found
        if Lost.RULES in lost:
            async with self._locks["publish"]:
                found += await self._firewall.check()
        if Lost.LINKS in lost:
            async with self._locks["networks"]:
                found += await self._mend_bridges()
            found += await self._sandboxes.mend()
            if self._exposure is not None:
                async with self._locks["publish"]:
                    found += await self._publish(self._exposure)
        return found

    async def _mend_bridges(self) -> Sequence[str]:
        present, addresses = await self._net.list(), await self._net.addresses()
        wanted = {
            one.id: (self._bridge(one.id), tuple(place.gateway for place in one.subnets))
            for one in self._bridged()
        }
        lost = lost_bridges(wanted, present, addresses)
        for name in lost:
            await self._add_bridge(self._networks[name])
        return [f"bridge of network {name}" for name in lost]

    def _suspect(self, lost: Lost) -> None:
        self._lost.add(lost)
        self._drifted()

    @override
    async def close(self) -> None:
        await self._stack.aclose()

    def _bridge(self, network: NetworkId) -> str:
        return bridge_of(self._instance, self._networks[network])

    def _note_parents(self) -> None:
        self._parents.clear()
        self._parents.update(one.parent for one in self._networks.values() if one.parent)

    def _bridged(self) -> Sequence[NetworkConfig]:
        """Return the networks that have a bridge."""
        return [one for one in self._networks.values() if one.kind is NetworkKind.BRIDGE]


def _nobody() -> None:
    """Tell nobody: what was lost is found by the next sweep."""


def _link_of(instance: Instance, network: NetworkConfig) -> str:
    return bridge_of(instance, network) if network.kind is NetworkKind.BRIDGE else network.parent


def _place(network: NetworkConfig) -> object:
    """Return what of a network can only change with all its members gone."""
    addresses = {(one.net, one.gateway) for one in network.subnets}
    return network.kind, network.parent, network.bridge, addresses
