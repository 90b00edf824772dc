"""Tell replicas by commands that files of them hold something else, beside the passes.

A command may take a while: meanwhile its stack is looked at as ever. That files have changed is
written down once it has been told, so that what was cut off with the daemon is done again.
"""

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from orchestrator.chronicle import Tell
from orchestrator.hiding import blacken
from orchestrator.translate.refreshing import Reaction, Refreshment
from runtime.drivers import ContainerDriver
from runtime.errors import DriverError, NotFoundError
from runtime.process import readable
from runtime.signals import signal_number
from runtime.types import ContainerId

FIRST_PAUSE = 0.5
"""Seconds before what the host refuses is tried again; doubles up to LONGEST_PAUSE."""
LONGEST_PAUSE = 30.0

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Refresher:
    """Holds one task for every container that is being told by a command."""

    containers: ContainerDriver
    wake: Callable[[str], None]
    tell: Tell
    _tasks: dict[ContainerId, asyncio.Task[None]] = field(default_factory=dict)
    _refused: dict[ContainerId, int] = field(default_factory=dict)
    """How often in a row the host has refused it."""
    _group: asyncio.TaskGroup | None = None

    @property
    def running(self) -> frozenset[ContainerId]:
        """Which containers are being told now."""
        return frozenset(self._tasks)

    async def run(self) -> None:
        """Own the tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    async def refresh(self, wanted: Refreshment) -> None:
        """Have files hold what they should: at once where that takes no time, else begin to."""
        if not wanted.takes_time:
            await self._refresh(wanted)
        elif self._group is not None and wanted.container not in self._tasks:
            name = f"refresh {wanted.container}"
            task = self._group.create_task(self._try(wanted), name=name)
            self._tasks[wanted.container] = task

    async def _try(self, wanted: Refreshment) -> None:
        try:
            await self._refresh(wanted)
            self._refused.pop(wanted.container, None)
        except NotFoundError:
            # It has ended or is gone: whatever runs next finds the files as they are.
            self._refused.pop(wanted.container, None)
        except Exception as error:
            # The host refuses, the disk is full, or it is a bug: it is tried again.
            if isinstance(error, DriverError):
                log.warning("refresh.failed", container=wanted.container, error=str(error))
            else:
                log.exception("refresh.crashed", container=wanted.container)
            count = self._refused.get(wanted.container, 0)
            self._refused[wanted.container] = count + 1
            await asyncio.sleep(min(FIRST_PAUSE * 2 ** min(count, 8), LONGEST_PAUSE))
        finally:
            del self._tasks[wanted.container]
            self.wake(wanted.stack)

    async def _refresh(self, wanted: Refreshment) -> None:
        failed: list[str] = []

        async def tell() -> None:
            for reaction in dict.fromkeys(wanted.reactions):
                failed.extend(await self._react(wanted, reaction))

        await self.containers.refresh(wanted.container, wanted.files, tell)
        name = "replica.refresh_failed" if failed else "replica.refreshed"
        self.tell(wanted.stack, name, str(wanted.replica), "; ".join(failed) or wanted.reason)

    async def _react(self, wanted: Refreshment, reaction: Reaction) -> list[str]:
        """Tell a container in one way; return in words what went wrong with that."""
        if isinstance(reaction, str):
            await self.containers.signal(wanted.container, signal_number(reaction))
            return []
        probe, timeout = reaction
        ended = await self.containers.probe(wanted.container, probe, timeout=timeout)
        if ended.code == 0:
            return []
        how = "took too long" if ended.code < 0 else f"exited with {ended.code}"
        said = readable(blacken(ended.output, wanted.secrets).decode(errors="replace"))
        return [f"`{shlex.join(probe.argv)}` {how}" + (f": {said}" if said else "")]
