"""Keep ports and names in step with what runs: one change at a time, however many ask.

Whoever needs the present to be published waits for the round that begins after the asking;
everybody who asks during a round shares the next one. That makes fifty starts at once a
handful of firewall transactions.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.observer import Drivers
from orchestrator.store import Store
from orchestrator.translate.exposure import build_exposure
from orchestrator.translate.observed import HostView
from runtime.errors import DriverError
from runtime.types import ContainerId, Zone
from scheduler.desired import DesiredStack
from scheduler.observed import Health

MOMENT = 0.02
"""Seconds in which those who ask for it soon share a round."""


@dataclass(slots=True, kw_only=True)
class Publisher:
    """Publishes the exposure of all stacks."""

    drivers: Drivers
    store: Store
    stacks: Callable[[], Iterable[DesiredStack]]
    health: Callable[[], Mapping[ContainerId, Health]]
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked: int = 0
    _served: int = 0
    _soon: asyncio.Task[None] | None = None
    _soon_again: bool = False
    _guests: Counter[Zone] = field(default_factory=Counter)
    """Zones somebody besides the stacks looks names up in."""

    async def publish(self) -> None:
        """Return once what runs now is reachable. Raises DriverError when that fails."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._served >= mine:
                return
            upto = self._asked
            containers, sandboxes, networks = await asyncio.gather(
                self.drivers.containers.list(),
                self.drivers.networks.list_sandboxes(),
                self.drivers.networks.list(),
            )
            stacks = tuple(self.stacks())
            exposure = build_exposure(
                stacks,
                HostView(containers=containers, sandboxes=sandboxes, networks=networks),
                health=self.health(),
                leases=self.store.leases.ports(),
                aside=self.store.replicas.aside(),
                addresses=self.store.leases.addresses(),
            )
            own = [zone for zone in self._guests if zone not in exposure.zones]
            await self.drivers.networks.publish(replace(exposure, zones=(*exposure.zones, *own)))
            self._served = upto

    @contextlib.contextmanager
    def guest(self, zone: Zone) -> Iterator[None]:
        """Have names of ``zone`` answered while the context lasts, from the next round on."""
        self._guests[zone] += 1
        try:
            yield
        finally:
            self._guests.subtract([zone])
            self._guests += Counter()

    def publish_soon(self) -> None:
        """Have what runs now published in a moment, beside whatever else goes on.

        A long pass must not keep what it has started from being reached; and resolvers start
        while the containers that will ask them are still being made. What goes wrong here is
        told by the pass's own :meth:`publish`, which finds it undone.
        """
        self._soon_again = True
        if self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(self._publish_in_a_moment(), name="publish soon")

    async def _publish_in_a_moment(self) -> None:
        while self._soon_again:
            await asyncio.sleep(MOMENT)
            self._soon_again = False
            with contextlib.suppress(DriverError):
                await self.publish()
