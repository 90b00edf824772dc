"""Somebody took away a link, an address or a firewall rule of ours: put it back at once."""

import asyncio

import structlog

from runtime.drivers import NetworkDriver
from runtime.errors import DriverError

SETTLE = 0.01
"""Seconds in which further hints join the first: changes come in bursts."""

log = structlog.get_logger()


async def watch_drift(networks: NetworkDriver) -> None:
    """Mend what a hint came for, until cancelled.

    What is mended is itself a change and heard of; the look that follows finds nothing to do.
    """
    hinted = asyncio.Event()
    networks.on_drift(hinted.set)
    while True:
        await hinted.wait()
        await asyncio.sleep(SETTLE)
        hinted.clear()
        await mend(networks, everything=False)


async def mend(networks: NetworkDriver, *, everything: bool) -> None:
    """Put back what is gone, and tell what it was. What fails is for the next sweep."""
    try:
        for subject in await networks.mend(everything=everything):
            log.warning("network.mended", subject=subject)
    except DriverError as error:
        log.error("mend.failed", error=str(error), hint=error.hint)
    except Exception:
        # A full disk, or a bug: whatever it is, it must not end the daemon.
        log.exception("mend.crashed")
