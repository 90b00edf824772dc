"""Ask every driver once, at the same time, and return one observation."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.settings import Settings
from orchestrator.translate.observed import HostView
from runtime.drivers import (
    BuildDriver,
    ContainerDriver,
    ImageDriver,
    NetworkDriver,
    VolumeDriver,
)
from runtime.logs import LogKeeper
from runtime.types import HostFacts, ImageFacts
from scheduler.observed import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Drivers:
    """The host, as the orchestrator reaches it."""

    containers: ContainerDriver
    images: ImageDriver
    networks: NetworkDriver
    volumes: VolumeDriver
    builds: BuildDriver
    logs: LogKeeper = field(default_factory=LogKeeper)


async def observe(drivers: Drivers, *, machine: bool, stack: str) -> HostView:
    """Return what is on the host now, and what ``stack`` as a whole keeps to.

    ``machine`` asks for routes and listening sockets, too: they cost a walk over every
    process, and only a stack that still wants a subnet or a port needs them.
    """
    containers, sandboxes, networks, volumes, facts, ceiling = await asyncio.gather(
        drivers.containers.list(),
        drivers.networks.list_sandboxes(),
        drivers.networks.list(),
        drivers.volumes.list(),
        drivers.networks.host() if machine else _nothing(),
        drivers.containers.ceiling(stack),
    )
    return HostView(
        containers=containers,
        sandboxes=sandboxes,
        networks=networks,
        volumes=volumes,
        machine=facts,
        ceiling=ceiling,
    )


def name_machine(settings: Settings) -> Machine:
    """Return what this machine calls itself, with what its settings say of it."""
    system = os.uname()
    return Machine(
        name=system.nodename,
        os=system.sysname.lower(),
        architecture=system.machine,
        labels=settings.labels,
        units=settings.resources,
    )


async def find_images(images: ImageDriver, references: Iterable[str]) -> dict[str, ImageFacts]:
    """Return what each of ``references`` stands for; those not in the store are left out."""
    wanted = sorted(set(references))
    found = await asyncio.gather(*(images.find(reference) for reference in wanted))
    return {name: facts for name, facts in zip(wanted, found, strict=True) if facts}


async def _nothing() -> HostFacts | None:
    return None
