"""Networks, sandboxes and what is published, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from typing_extensions import override

from runtime.drivers import NetworkDriver, OnDrift
from runtime.errors import ConflictError, NotFoundError
from runtime.testing.faults import Faults
from runtime.types import (
    ContainerId,
    Exposure,
    HostFacts,
    Listener,
    Net,
    NetworkConfig,
    NetworkFacts,
    NetworkId,
    Rates,
    SandboxConfig,
    SandboxFacts,
    Zone,
    overlap,
)


@dataclass(slots=True, kw_only=True)
class FakeNetworks(Faults, NetworkDriver):
    """Keeps the promises of :class:`NetworkDriver`. The machine is what the test says it is."""

    cpus: int = 2
    memory: int = 2**33
    routes: tuple[Net, ...] = ()
    listeners: tuple[Listener, ...] = ()
    protocols: frozenset[str] = frozenset({"tcp", "udp"})
    exposure: Exposure | None = None
    """What was published last."""
    leftovers: list[str] = field(default_factory=list)
    """What the next sweep finds and removes."""
    host_changes: tuple[str, ...] = ()
    """What :meth:`changes` says."""
    _drifted: OnDrift | None = None
    _hinted: bool = False
    _networks: dict[NetworkId, NetworkFacts] = field(default_factory=dict)
    _sandboxes: dict[ContainerId, SandboxFacts] = field(default_factory=dict)
    _zones: dict[Zone, int] = field(default_factory=dict)

    # ── the protocol ─────────────────────────────────────────────────────────────────────

    @override
    async def list(self) -> tuple[NetworkFacts, ...]:
        await self.look("list")
        return tuple(facts for _, facts in sorted(self._networks.items()))

    @override
    async def create(self, config: NetworkConfig) -> None:
        await self.change("create", config.id)
        found = self._networks.get(config.id)
        if found is not None and _nets(found.config) != _nets(config):
            raise ConflictError(
                "create network", config.id, f"it exists with subnet {_nets(found.config)}"
            )
        for other in self._networks.values():
            for mine, theirs in product(config.subnets, other.config.subnets):
                if other.config.id != config.id and overlap(mine.net, theirs.net):
                    raise ConflictError(
                        "create network",
                        config.id,
                        f"{mine.net} overlaps network `{other.config.id}`",
                    )
        self._networks[config.id] = NetworkFacts(config=config)

    @override
    async def remove(self, network: NetworkId) -> None:
        await self.change("remove", network)
        for sandbox in self._sandboxes.values():
            if any(place.network == network for place in sandbox.config.attachments):
                raise ConflictError(
                    "remove network", network, f"`{sandbox.config.id}` is still attached to it"
                )
        self._networks.pop(network, None)

    @override
    async def list_sandboxes(self) -> tuple[SandboxFacts, ...]:
        await self.look("list_sandboxes")
        return tuple(facts for _, facts in sorted(self._sandboxes.items()))

    @override
    async def create_sandbox(self, config: SandboxConfig) -> Path:
        await self.change("create_sandbox", config.id)
        for place in config.attachments:
            if place.network not in self._networks:
                raise NotFoundError("attach to network", place.network, "it does not exist")
        netns = Path("/nowhere/netns") / config.id
        self._sandboxes[config.id] = SandboxFacts(config=config, netns=netns)
        return netns

    @override
    async def limit_sandbox(self, container: ContainerId, rates: Rates) -> None:
        await self.change("limit_sandbox", container)
        found = self._sandboxes.get(container)
        if found is not None:
            config = replace(found.config, rates=rates)
            self._sandboxes[container] = replace(found, config=config)

    @override
    async def remove_sandbox(self, container: ContainerId) -> None:
        await self.change("remove_sandbox", container)
        self._sandboxes.pop(container, None)

    @override
    async def publish(self, exposure: Exposure) -> None:
        await self.change("publish")
        self.exposure = exposure

    @override
    def nameservers(self, zone: Zone) -> Sequence[str]:
        zone = replace(zone, networks=tuple(sorted(zone.networks)))
        number = self._zones.setdefault(zone, len(self._zones) + 1)
        return [f"169.254.42.{number}"]

    @override
    async def host(self) -> HostFacts:
        await self.look("host")
        return HostFacts(
            cpus=self.cpus,
            memory=self.memory,
            routes=self.routes,
            listeners=self.listeners,
            protocols=self.protocols,
        )

    @override
    async def sweep(self) -> Sequence[str]:
        await self.look("sweep")
        found, self.leftovers = self.leftovers, []
        return found

    @override
    def on_drift(self, callback: OnDrift) -> None:
        self._drifted = callback

    @override
    async def mend(self, *, everything: bool) -> Sequence[str]:
        await self.look("mend")
        if not (everything or self._hinted):
            return []
        self._hinted = False
        found = [f"bridge of {name}" for name, one in self._networks.items() if not one.intact]
        found += [f"links of {name}" for name, one in self._sandboxes.items() if not one.intact]
        for network, facts in self._networks.items():
            self._networks[network] = replace(facts, intact=True)
        for container, place in self._sandboxes.items():
            self._sandboxes[container] = replace(place, intact=True)
        return found

    @override
    def changes(self) -> Sequence[str]:
        return self.host_changes

    @override
    def gateway(self, network: NetworkId) -> str:
        return str(self._networks[network].config.subnets[0].gateway)

    @override
    async def close(self) -> None:
        await self.look("close")

    # ── what the world does to it ────────────────────────────────────────────────────────

    def lose_bridge(self, network: NetworkId) -> None:
        """Take a network's bridge away, as `ip link del` would."""
        config = self._networks[network].config
        self._networks[network] = NetworkFacts(config=config, intact=False)
        self._hint()

    def lose_link(self, container: ContainerId) -> None:
        """Take a sandbox's links away, as `ip link del` would."""
        facts = self._sandboxes[container]
        self._sandboxes[container] = SandboxFacts(
            config=facts.config, netns=facts.netns, intact=False
        )
        self._hint()

    def _hint(self) -> None:
        self._hinted = True
        if self._drifted is not None:
            self._drifted()

    def lose_everything(self) -> None:
        """Take networks and sandboxes away, as a reboot would."""
        self._networks.clear()
        self._sandboxes.clear()
        self.exposure = None


def _nets(config: NetworkConfig) -> str:
    return ", ".join(str(one.net) for one in config.subnets)
