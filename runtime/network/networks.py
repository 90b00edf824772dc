"""The network driver: bridges, sandboxes, the table and the resolvers put together.

Records live in the run directory and go with a reboot, like everything they describe. The
record is written before the thing is made: whatever is found without one is nobody's.
"""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from typing_extensions import override

from runtime.drivers import NetworkDriver
from runtime.errors import ConflictError, NotFoundError
from runtime.files import drop_staging, in_thread, read_json, write_atomic
from runtime.network import links, netns
from runtime.network.dns import Resolvers
from runtime.network.firewall import Firewall
from runtime.network.host import read_listeners, read_memory
from runtime.network.links import Inside, Links
from runtime.network.names import bridge_name, resolver_link, veth_name
from runtime.network.ruleset import Zone, render_ruleset
from runtime.types import (
    Attachment,
    ContainerId,
    Exposure,
    HostFacts,
    Instance,
    NetworkConfig,
    NetworkFacts,
    NetworkId,
    SandboxConfig,
    SandboxFacts,
)


class Networks(NetworkDriver):
    """The networks of one instance. Open it before use, close it after."""

    def __init__(self, instance: Instance) -> None:
        """Keep records below the instance's run directory; nothing is touched yet."""
        self._instance = instance
        self._records = instance.run / "network"
        self._namespaces = instance.run / "netns"
        self._networks: dict[NetworkId, NetworkConfig] = {}
        self._sandboxes: dict[ContainerId, SandboxConfig] = {}
        self._firewall = Firewall(instance)
        self._resolvers = Resolvers(instance)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._exposure: Exposure | None = None
        self._stack = AsyncExitStack()
        self._links: Links | None = None

    async def open(self) -> None:
        """Read the records; those of an earlier boot are void."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for name in ("networks", "sandboxes"):
            (self._records / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            drop_staging(self._records / name)
        self._namespaces.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark = self._records / "boot"
        if mark.exists() and mark.read_text() != boot:
            for folder in (self._records / "networks", self._records / "sandboxes"):
                for path in folder.iterdir():
                    path.unlink()
            (self._records / "forwarding.json").unlink(missing_ok=True)
        write_atomic(mark, boot.encode())
        for path in (self._records / "networks").glob("*.json"):
            if document := read_json(path):
                network = _read_network(document)
                self._networks[network.id] = network
        for path in (self._records / "sandboxes").glob("*.json"):
            if document := read_json(path):
                sandbox = _read_sandbox(document)
                self._sandboxes[sandbox.id] = sandbox
        self._resolvers.open()
        self._links = await self._stack.enter_async_context(Links.open())

    # ── networks ─────────────────────────────────────────────────────────────────────────

    @override
    async def list(self) -> tuple[NetworkFacts, ...]:
        return tuple(
            NetworkFacts(config=config, intact=links.is_up(self._bridge(config.id)))
            for _, config in sorted(self._networks.items())
        )

    @override
    async def create(self, config: NetworkConfig) -> None:
        async with self._locks["networks"]:
            found = self._networks.get(config.id)
            if found is not None and found.subnet != config.subnet:
                raise ConflictError(
                    "create network", config.id, f"it exists with subnet {found.subnet}"
                )
            for other in self._networks.values():
                if other.id != config.id and other.subnet.overlaps(config.subnet):
                    raise ConflictError(
                        "create network",
                        config.id,
                        f"{config.subnet} overlaps network `{other.id}` ({other.subnet})",
                        hint="set `ipam.config` to a free subnet, or leave it out",
                    )
            self._put("networks", config.id, _write_network(config))
            self._networks[config.id] = config
            await self._firewall.open()
            name = self._bridge(config.id)
            await self._net.add_bridge(
                name,
                f"{self._instance.alias}{config.id}",
                config.gateway,
                config.subnet,
                mtu=config.mtu,
            )
            for sandbox in tuple(self._sandboxes.values()):
                # A bridge that was lost took its ports' membership along.
                if found is not None and any(p.network == config.id for p in sandbox.attachments):
                    await self._attach(sandbox)

    @override
    async def remove(self, network: NetworkId) -> None:
        async with self._locks["networks"]:
            members = [
                sandbox.id
                for sandbox in self._sandboxes.values()
                if any(place.network == network for place in sandbox.attachments)
            ]
            if members:
                raise ConflictError(
                    "remove network", network, f"`{members[0]}` is still attached to it"
                )
            await self._net.remove(self._bridge(network))
            self._networks.pop(network, None)
            self._drop("networks", network)
            if not self._networks:
                await self._publish(Exposure())
                await self._net.remove(resolver_link(self._instance))
                await self._firewall.close()

    # ── sandboxes ────────────────────────────────────────────────────────────────────────

    @override
    async def list_sandboxes(self) -> tuple[SandboxFacts, ...]:
        return tuple(
            SandboxFacts(config=config, netns=self._netns(name), intact=self._intact(config))
            for name, config in sorted(self._sandboxes.items())
        )

    @override
    async def create_sandbox(self, config: SandboxConfig) -> Path:
        async with self._locks[config.id]:
            for place in config.attachments:
                if place.network not in self._networks:
                    raise NotFoundError("attach to network", place.network, "it does not exist")
            found = self._sandboxes.get(config.id)
            if found is not None and found != config:
                await self._take_down(config.id)
            self._put("sandboxes", config.id, _write_sandbox(config))
            self._sandboxes[config.id] = config
            path = self._netns(config.id)
            await in_thread(netns.create, path)
            await self._attach(config)
            return path

    @override
    async def remove_sandbox(self, container: ContainerId) -> None:
        async with self._locks[container]:
            await self._take_down(container)
        self._locks.pop(container, None)

    async def _attach(self, config: SandboxConfig) -> None:
        path = self._netns(config.id)
        for place in config.attachments:
            name = veth_name(self._instance, config.id, place.network)
            network = self._networks[place.network]
            await self._net.add_veth(
                name,
                f"{self._instance.alias}{config.id}",
                self._bridge(place.network),
                place.interface,
                path,
                place.mac or _mac(place.address),
                mtu=network.mtu,
            )
        await in_thread(links.configure_inside, path, self._inside(config))

    def _inside(self, config: SandboxConfig) -> tuple[Inside, ...]:
        ways = [p for p in config.attachments if not self._networks[p.network].internal]
        first = ways[0] if ways else None
        found = []
        for number, place in enumerate(config.attachments):
            network = self._networks[place.network]
            found.append(
                Inside(
                    name=place.interface,
                    address=place.address,
                    prefix=network.subnet.prefixlen,
                    gateway=network.gateway if place is first else None,
                    resolvers=(self._resolver_net, network.gateway) if number == 0 else None,
                )
            )
        return tuple(found)

    async def _take_down(self, container: ContainerId) -> None:
        config = self._sandboxes.get(container)
        await in_thread(netns.delete, self._netns(container))
        # The links go with the namespace, a moment later; their names must be free now.
        for place in config.attachments if config else ():
            await self._net.remove(veth_name(self._instance, container, place.network))
        self._sandboxes.pop(container, None)
        self._drop("sandboxes", container)

    def _intact(self, config: SandboxConfig) -> bool:
        return netns.is_pinned(self._netns(config.id)) and all(
            links.exists(veth_name(self._instance, config.id, place.network))
            for place in config.attachments
        )

    # ── ports and names ──────────────────────────────────────────────────────────────────

    @override
    async def publish(self, exposure: Exposure) -> None:
        async with self._locks["publish"]:
            await self._publish(exposure)

    @override
    def nameserver(self, networks: Sequence[NetworkId]) -> str:
        return str(self._resolvers.address(networks))

    async def _publish(self, exposure: Exposure) -> None:
        self._exposure = exposure
        zones = [zone for zone in exposure.zones if all(name in self._networks for name in zone)]
        if zones:
            link = resolver_link(self._instance)
            if not links.exists(link):
                await self._net.add_holder(link, f"{self._instance.alias}resolvers")
            for zone in zones:
                await self._net.add_address(link, self._resolvers.address(zone))
        isolated = frozenset(name for name, one in self._networks.items() if one.internal)
        await self._resolvers.serve(zones, exposure.names, isolated=isolated)
        await self._firewall.apply(
            render_ruleset(
                self._instance.table,
                tuple(self._networks.values()),
                {name: self._bridge(name) for name in self._networks},
                exposure.ports,
                [
                    Zone(
                        address=str(self._resolvers.address(zone)),
                        bridges=tuple(self._bridge(name) for name in zone),
                    )
                    for zone in zones
                ],
                resolvers=self._resolver_net,
                close_forwarding=self._firewall.opened_forwarding,
            )
        )

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
            cpus=os.cpu_count() or 1, memory=read_memory(), routes=routes, listeners=listeners
        )

    @override
    async def sweep(self) -> Sequence[str]:
        found = []
        wanted = {self._bridge(name) for name in self._networks} | {
            veth_name(self._instance, config.id, place.network)
            for config in self._sandboxes.values()
            for place in config.attachments
        }
        if self._networks:
            wanted.add(resolver_link(self._instance))
        for link in await self._net.list():
            if link.alias.startswith(self._instance.alias) and link.name not in wanted:
                await self._net.remove(link.name)
                found.append(f"link {link.name} ({link.alias})")
        for path in tuple(self._namespaces.iterdir()):
            if path.name not in self._sandboxes and not self._locks[path.name].locked():
                await in_thread(netns.delete, path)
                found.append(f"namespace {path.name}")
        await self._firewall.check()
        if self._exposure is not None:
            async with self._locks["publish"]:
                await self._publish(self._exposure)
        return found

    @override
    async def close(self) -> None:
        await self._stack.aclose()

    @property
    def _net(self) -> Links:
        if self._links is None:
            raise RuntimeError("the network driver is not open")
        return self._links

    @property
    def _resolver_net(self) -> IPv4Network:
        return IPv4Network((int(self._instance.dns_base), 24))

    def _bridge(self, network: NetworkId) -> str:
        return bridge_name(self._instance, network)

    def _netns(self, container: ContainerId) -> Path:
        return self._namespaces / container

    def _put(self, kind: str, name: str, document: dict[str, Any]) -> None:
        write_atomic(self._records / kind / f"{name}.json", json.dumps(document).encode())

    def _drop(self, kind: str, name: str) -> None:
        (self._records / kind / f"{name}.json").unlink(missing_ok=True)


def _mac(address: IPv4Address) -> str:
    """Derive a locally administered address, so that neighbours' tables stay true."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in address.packed)


def _write_network(config: NetworkConfig) -> dict[str, Any]:
    return {
        "id": config.id,
        "subnet": str(config.subnet),
        "gateway": str(config.gateway),
        "internal": config.internal,
        "mtu": config.mtu,
        "labels": dict(config.labels),
    }


def _read_network(document: dict[str, Any]) -> NetworkConfig:
    return NetworkConfig(
        id=NetworkId(document["id"]),
        subnet=IPv4Network(document["subnet"]),
        gateway=IPv4Address(document["gateway"]),
        internal=document["internal"],
        mtu=document["mtu"],
        labels=document["labels"],
    )


def _write_sandbox(config: SandboxConfig) -> dict[str, Any]:
    return {
        "id": config.id,
        "attachments": [
            {
                "network": place.network,
                "address": str(place.address),
                "interface": place.interface,
                "mac": place.mac,
            }
            for place in config.attachments
        ],
        "sysctls": dict(config.sysctls),
    }


def _read_sandbox(document: dict[str, Any]) -> SandboxConfig:
    return SandboxConfig(
        id=ContainerId(document["id"]),
        attachments=tuple(
            Attachment(
                network=NetworkId(place["network"]),
                address=IPv4Address(place["address"]),
                interface=place["interface"],
                mac=place["mac"],
            )
            for place in document["attachments"]
        ),
        sysctls=document["sysctls"],
    )
