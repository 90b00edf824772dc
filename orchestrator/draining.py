"""Everything stopped in order, without anybody wanting it stopped: what ran is to run again.

A drained machine stays so, whatever becomes of the daemon, until somebody ends it or the machine
starts anew: the mark of it is where what a boot takes is.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import PyorchError
from orchestrator.observer import Drivers
from orchestrator.reconciler import Reconciler
from orchestrator.store import Store
from runtime import types as host
from runtime.files import write_atomic
from scheduler.desired import Intent
from scheduler.ids import ReplicaId, parse_container_name

LAST = 10.0
"""Seconds in which what is killed at the end of its time must have gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """Stops everything, and lets it run again."""

    mark: Path
    drivers: Drivers
    store: Store
    reconciler: Reconciler
    wake: Callable[[str], None]

    def resume(self) -> None:
        """Go on being drained where an earlier daemon of this boot was."""
        if self.mark.exists():
            self.reconciler.halting = True
            self.reconciler.halt_by = float(self.mark.read_text(encoding="ascii"))

    async def drain(self, budget: float) -> int:
        """Stop everything in ``budget`` seconds at most and return how many containers that were.

        Whoever is not done by then is killed, also in order. Raises PyorchError for what does not
        even go then.
        """
        running = sum(1 for _ in self._running(await self.drivers.containers.list()))
        halt_by = self.reconciler.now() + budget
        write_atomic(self.mark, f"{halt_by:.3f}".encode())
        self.reconciler.halt_by = halt_by
        try:
            async with asyncio.timeout(budget + LAST):
                await self.halt()
        except TimeoutError:
            left = sorted(self._running(await self.drivers.containers.list()))
            raise PyorchError(
                f"{', '.join(left)} cannot be stopped, not even by SIGKILL",
                hint="the kernel holds it; see what it waits for with `ps -o wchan`",
                code="conflict",
            ) from None
        await self._remember()
        return running

    async def halt(self) -> None:
        """Stop every container in order and return when none runs; what is wanted stays noted."""
        ended = asyncio.Event()
        self.drivers.containers.on_exit(lambda *_: ended.set())
        self.reconciler.halting = True
        for known in self.store.stacks.all():
            self.wake(known.name)
        while any(True for _ in self._running(await self.drivers.containers.list())):
            await ended.wait()
            ended.clear()

    def end(self) -> None:
        """Let everything run again that is to."""
        self.mark.unlink(missing_ok=True)
        self.reconciler.halting = False
        self.reconciler.halt_by = None
        for known in self.store.stacks.all():
            self.wake(known.name)

    async def _remember(self) -> None:
        """Note what ran, for a boot in between: that would let some of it rest."""
        ran: dict[str, list[ReplicaId]] = {}
        for facts in await self.drivers.containers.list():
            stack, replica = parse_container_name(facts.id)
            match facts.phase:
                case host.Exited(stopped=True, before_boot=False):
                    ran.setdefault(stack, []).append(replica)
                case _:
                    pass
        for stored in self.store.stacks.all():
            if stored.intent is Intent.RUN and stored.name in ran:
                self.store.replicas.settle_requests(stored.name, 0, ran[stored.name])

    def _running(self, containers: Iterable[host.ContainerFacts]) -> Iterable[str]:
        return (facts.id for facts in containers if isinstance(facts.phase, host.Running))
