"""Containers the contract makes, what runs in them, and how their fate is waited for."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from runtime.drivers import ContainerDriver, ExecSession
from runtime.types import (
    ContainerConfig,
    ContainerId,
    ContainerPhase,
    Digest,
    ExecProbe,
    Exited,
)

PATIENCE = 20.0 * float(os.environ.get("PYORCH_PATIENCE", "1"))
SMALL = 16 * 1024 * 1024
WEB = ContainerId("shop.web.1")
DB = ContainerId("shop.db.1")

# Command lines the contract runs; the image must have `sh`, `sleep` and `cat`.
STUBBORN = ("sleep", "1000")
"""As a main process it ignores SIGTERM: the kernel spares the first of a namespace."""
OBEDIENT = ("sh", "-c", "trap 'exit 7' TERM; > /ready; while :; do sleep 0.02; done")
PARTICULAR = ("sh", "-c", "trap 'exit 8' USR1; > /ready; while :; do sleep 0.02; done")
FAILING = ("sh", "-c", "exit 3")
IS_READY = ("sh", "-c", "[ -e /ready ]")
TOUCH = ("sh", "-c", "> /note")
HAS_NOTE = ("sh", "-c", "[ -e /note ]")
TALKING = ("sh", "-c", "echo out; echo err >&2; exit 4")
LONG = ("sh", "-c", "i=0; while [ $i -lt 1000 ]; do echo 0123456789; i=$((i+1)); done")
MISSING = ("no-such-program",)
COPYING = ("cat",)


class Ends:
    """Hears of every container that ends."""

    def __init__(self, driver: ContainerDriver) -> None:
        """Listen from now on."""
        self.driver = driver
        self.told: asyncio.Queue[ContainerId] = asyncio.Queue()
        driver.on_exit(lambda name, _: self.told.put_nowait(name))

    async def wait(self, name: ContainerId) -> Exited:
        """Return how ``name`` ended, once that is told; it must be the next one told."""
        async with asyncio.timeout(PATIENCE):
            assert await self.told.get() == name
        found = await phase(self.driver, name)
        assert isinstance(found, Exited)
        return found


def container(
    name: ContainerId, image: Digest, folder: Path, *argv: str, **settings: object
) -> ContainerConfig:
    """Return the configuration of one that runs ``argv``."""
    stack, _, replica = name.partition(".")
    config = ContainerConfig(
        id=name,
        image=image,
        cgroup=f"{stack}/{replica}",
        log=folder / "logs" / name,
        hostname="contract",
        command=argv,
        labels={"kept": "yes"},
    )
    return replace(config, **settings)  # type: ignore[arg-type]


async def run(driver: ContainerDriver, config: ContainerConfig) -> None:
    """Make and start one."""
    await driver.create(config)
    await driver.start(config.id)


async def phase(driver: ContainerDriver, name: ContainerId = WEB) -> ContainerPhase:
    """Return the phase one is reported in."""
    return next(one.phase for one in await driver.list() if one.id == name)


async def ready(driver: ContainerDriver) -> None:
    """Return once the main process has set its traps."""
    async with asyncio.timeout(PATIENCE):
        while (await driver.probe(WEB, ExecProbe(IS_READY), timeout=PATIENCE)).code != 0:
            pass


async def listen(session: ExecSession) -> dict[int, bytes]:
    """Return everything a session says, by stream."""
    heard: dict[int, bytes] = {}
    async with asyncio.timeout(PATIENCE):
        while True:
            stream, data = await session.read()
            if stream == 0:
                return heard
            heard[stream] = heard.get(stream, b"") + data
