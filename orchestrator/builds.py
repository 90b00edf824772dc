"""Builds somebody asked for: each on a network of builds, or where its file says.

What a step may reach is decided here: by default the outside, as containers do, and neither the
host's loopback nor any stack.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from orchestrator.building.request import BuildRequest
from orchestrator.errors import PyorchError
from orchestrator.observer import Drivers
from orchestrator.publisher import Publisher
from orchestrator.settings import Settings
from orchestrator.store import Store
from orchestrator.translate.building import Place, build_config
from orchestrator.translate.observed import GUESTS
from runtime.drivers import OnOutput
from runtime.errors import ConflictError
from runtime.types import (
    Attachment,
    ContainerId,
    ImageFacts,
    Net,
    NetworkConfig,
    NetworkId,
    SandboxConfig,
    Subnet,
    Zone,
)
from scheduler.addresses import choose_address, choose_subnet, gateway_of
from scheduler.ids import NetworkName, ReplicaId, ServiceName, container_name, parse_container_name

OWN = NetworkId("pyorch-builds")
"""The network of builds that name none; there as long as one of them runs."""
TRIES = 3


@dataclass(slots=True, kw_only=True)
class Builds:
    """Runs builds for the API."""

    settings: Settings
    drivers: Drivers
    store: Store
    publisher: Publisher
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _on_own: int = 0

    async def build(
        self, wanted: BuildRequest, context: AsyncIterator[bytes], output: OnOutput
    ) -> ImageFacts:
        """Make the image that was asked for; ``context`` is the tarball of its contexts."""
        async with self._place(wanted) as place:
            return await self.drivers.builds.build(build_config(wanted, place), context, output)

    async def prune(self) -> int:
        """Forget the steps of earlier builds; return how many bytes that freed."""
        return await self.drivers.builds.prune()

    async def clear(self) -> None:
        """Remove what builds under an earlier daemon stood on."""
        for facts in await self.drivers.networks.list_sandboxes():
            if parse_container_name(facts.config.id)[0] == GUESTS:
                await self.drivers.networks.remove_sandbox(facts.config.id)
        if any(one.config.id == OWN for one in await self.drivers.networks.list()):
            await self.drivers.networks.remove(OWN)

    # ── where steps are ──────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _place(self, wanted: BuildRequest) -> AsyncIterator[Place]:
        if wanted.network == "none":
            yield Place(offline=True, gateway="127.0.0.1")
        elif wanted.network == "host":
            yield Place(gateway="127.0.0.1")
        elif wanted.network:
            async with self._sandbox(NetworkId(wanted.network)) as place:
                yield place
        else:
            async with self._own_network(), self._sandbox(OWN) as place:
                yield place

    @asynccontextmanager
    async def _own_network(self) -> AsyncIterator[None]:
        async with self._lock:
            if self._on_own == 0:
                await self._create_own()
            self._on_own += 1
        try:
            yield
        finally:
            async with self._lock:
                self._on_own -= 1
                if self._on_own == 0:
                    await self.drivers.networks.remove(OWN)

    async def _create_own(self) -> None:
        for left in reversed(range(TRIES)):
            subnet = await self._free_subnet()
            config = NetworkConfig(
                id=OWN, subnets=(Subnet(net=subnet, gateway=gateway_of(subnet)),)
            )
            try:
                await self.drivers.networks.create(config)
            except ConflictError:
                # A stack's pass has taken the same subnet meanwhile.
                if not left:
                    raise
            else:
                return

    async def _free_subnet(self) -> Net:
        networks = self.drivers.networks
        facts, host = await asyncio.gather(networks.list(), networks.host())
        taken = [*(one.net for found in facts for one in found.config.subnets), *host.routes]
        return choose_subnet(
            NetworkName(OWN), self.settings.pools, self.settings.subnet_prefix, taken
        )

    @asynccontextmanager
    async def _sandbox(self, network: NetworkId) -> AsyncIterator[Place]:
        """Give a build a network namespace of its own on ``network`` while the context lasts."""
        networks = self.drivers.networks
        replica = ReplicaId(ServiceName("run"), next(self._numbers))
        name = ContainerId(container_name(GUESTS, replica))
        zone = Zone(networks=(network,))
        async with self._lock:
            place = await self._attachment(network, replica)
            netns = await networks.create_sandbox(SandboxConfig(id=name, attachments=(place,)))
        try:
            with self.publisher.guest(zone):
                await self.publisher.publish()
                yield Place(
                    netns=str(netns),
                    nameservers=tuple(networks.nameservers(zone)),
                    gateway=networks.gateway(network),
                )
        finally:
            await networks.remove_sandbox(name)
            await self.publisher.publish()

    async def _attachment(self, network: NetworkId, replica: ReplicaId) -> Attachment:
        found = next(
            (one.config for one in await self.drivers.networks.list() if one.config.id == network),
            None,
        )
        if found is None:
            raise PyorchError(
                f"build network: there is no network `{network}`",
                hint="leave `build.network` out, or bring the stack that has it up first",
                code="not_found",
            )
        taken = {
            address
            for facts in await self.drivers.networks.list_sandboxes()
            for place in facts.config.attachments
            if place.network == network
            for address in place.addresses
        }
        taken |= {
            one.address
            for one in self.store.leases.addresses()
            if one.network == NetworkName(network)
        }
        addresses = tuple(
            choose_address(GUESTS, replica, NetworkName(network), one.net, one.gateway, taken)
            for one in found.subnets
        )
        return Attachment(network=network, addresses=addresses, interface="eth0")
