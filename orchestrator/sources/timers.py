"""Time went by: look at everything, in case a hint was lost."""

import asyncio

import structlog

from orchestrator.observer import Drivers
from orchestrator.progress import Progress
from orchestrator.sources.disk import DiskWatch
from orchestrator.sources.drift import mend
from orchestrator.store import Store
from orchestrator.workqueue import WorkQueue
from runtime.errors import DriverError

SWEEP = 15.0
"""Seconds between two sweeps: how long what nobody was told about can stay unnoticed."""

log = structlog.get_logger()


async def run_sweeps(
    drivers: Drivers, store: Store, queue: WorkQueue, progress: Progress, disk: DiskWatch
) -> None:
    """Wake every stack, clear away what nobody owns and put back what is gone, every 15 seconds."""
    while True:
        progress.note_sweep()
        try:
            disk.look()
        except Exception:
            log.exception("sweep.crashed")
        await asyncio.sleep(SWEEP)
        try:
            for subject in (*await drivers.containers.sweep(), *await drivers.networks.sweep()):
                log.warning("leftover.removed", subject=subject)
        except DriverError as error:
            log.error("sweep.failed", error=str(error), hint=error.hint)
        except Exception:
            # A full disk, or a bug: whatever it is, the next sweep may do better.
            log.exception("sweep.crashed")
        await mend(drivers.networks, everything=True)
        for known in store.stacks.all():
            queue.add(known.name)
