"""Run hooks beside the passes that ask for them; the end of each is written down and wakes.

A hook may take as long as it likes: meanwhile its stack is looked at as ever. What was cut off
with the daemon is asked for again by the next one, and what has run by then does not run twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from orchestrator.hiding import blacken
from orchestrator.store import HookMark, Store
from orchestrator.translate import labels
from orchestrator.translate.hooks import HookBatch
from runtime.drivers import ContainerDriver
from runtime.errors import AlreadyExistsError, ConflictError, DriverError, NotFoundError
from runtime.logs import LogReader, Range
from runtime.types import (
    ContainerConfig,
    ContainerFacts,
    ContainerId,
    Created,
    ExecConfig,
    Exited,
    Running,
)
from scheduler.desired import HookKind

LAST_LINES = 20
"""Lines of a hook that failed which are told; of these, no more than the next says."""
TAIL = 2048
"""Bytes of what a hook said last that are told with its failure."""
NOT_RUN = 125
"""Exit code of a hook that could not even be begun, as a shell's callers know it."""

log = structlog.get_logger()

Tell = Callable[[str, str, str, str], None]
"""Told of a stack, what has happened, to whom, and the reason."""


@dataclass(slots=True, kw_only=True)
class HookRunner:
    """Holds one task for every replica whose hooks of one kind run."""

    containers: ContainerDriver
    store: Store
    wake: Callable[[str], None]
    tell: Tell
    _tasks: dict[tuple[ContainerId, HookKind], asyncio.Task[None]] = field(default_factory=dict)
    _ends: dict[ContainerId, asyncio.Event] = field(default_factory=dict)
    _group: asyncio.TaskGroup | None = None

    @property
    def running(self) -> frozenset[tuple[ContainerId, HookKind]]:
        """For which replicas hooks of which kind run now."""
        return frozenset(self._tasks)

    async def run(self) -> None:
        """Own the hooks until cancelled."""
        self.containers.on_exit(self._ended)
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def begin(self, batch: HookBatch) -> None:
        """Run what has not run yet of a batch, beside whatever else goes on."""
        place = (batch.container, batch.kind)
        if self._group is None or place in self._tasks:
            return
        name = f"{batch.kind} {batch.container}"
        self._tasks[place] = self._group.create_task(self._run(batch), name=name)

    async def _run(self, batch: HookBatch) -> None:
        try:
            for number, key in enumerate(batch.keys):
                mark = self.store.hooks.of(batch.stack).get(batch.hook(number))
                if mark is None or mark.key != key:
                    mark = await self._one(batch, number)
                if mark is None or mark.code:
                    break
        except Exception:
            # A full disk, or a bug: it must not take the other hooks down. It is tried again.
            log.exception("hook.crashed", stack=batch.stack, replica=str(batch.replica))
        finally:
            del self._tasks[batch.container, batch.kind]
            self.wake(batch.stack)

    async def _one(self, batch: HookBatch, number: int) -> HookMark | None:
        """Run one hook and write down how it ended; None where its container ended under it."""
        try:
            if batch.kind is HookKind.PRE_START:
                ended = await self._contain(batch.containers[number])
            else:
                ended = await self._exec(batch.container, batch.commands[number])
        except NotFoundError as error:
            log.info("hook.gone", container=batch.container, error=str(error))
            return None
        except DriverError as error:
            ended = NOT_RUN, str(error).encode()
        if ended is None:
            return None
        code, output = ended
        which = f"{batch.kind} {number + 1} of {len(batch.keys)}"
        words = f"{which} exited with {code}"
        if code and (said := _readable(output, batch.hidden)):
            words += f": {said}"
        mark = HookMark(batch.keys[number], code, words)
        self.store.hooks.record(batch.stack, batch.hook(number), mark)
        name = "hook.failed" if code else "hook.done"
        self.tell(batch.stack, name, str(batch.replica), words)
        return mark

    async def _exec(self, container: ContainerId, config: ExecConfig) -> tuple[int, bytes] | None:
        session = await self.containers.exec(container, config)
        output = b""
        try:
            await session.write(b"")
            while True:
                stream, data = await session.read()
                if stream == 0:
                    break
                output = (output + data)[-TAIL:]
            code = await session.wait()
        finally:
            await session.close()
        after = await self._facts(container)
        if after is None or not isinstance(after.phase, Running):
            return None  # its container has ended, and took it along
        return code, output

    async def _contain(self, config: ContainerConfig) -> tuple[int, bytes] | None:
        """Run a hook in a container of its own; one that is there already is gone on with."""
        ended = self._ends.setdefault(config.id, asyncio.Event())
        try:
            await self._make(config)
            while True:
                ended.clear()
                facts = await self._facts(config.id)
                if facts is None:
                    return None
                if isinstance(facts.phase, Exited):
                    break
                if isinstance(facts.phase, Created):
                    await self.containers.start(config.id)
                    continue
                await ended.wait()
            if facts.phase.stopped:
                return None
            output = await asyncio.to_thread(_last_words, facts) or facts.phase.why.encode()
            if facts.phase.code == 0:
                await self.containers.remove(config.id)
            return facts.phase.code, output
        finally:
            self._ends.pop(config.id, None)

    async def _make(self, config: ContainerConfig) -> None:
        found = await self._facts(config.id)
        if found is not None:
            same = found.labels.get(labels.HOOK) == config.labels[labels.HOOK]
            failed = isinstance(found.phase, Exited) and found.phase.code != 0
            if same and not failed:
                return
            await self.containers.kill(config.id)
            await self.containers.remove(config.id)
        try:
            await self.containers.create(config)
        except AlreadyExistsError:
            return
        except ConflictError:
            await self.containers.remove(config.id)
            await self.containers.create(config)

    async def _facts(self, container: ContainerId) -> ContainerFacts | None:
        found = await self.containers.list()
        return next((facts for facts in found if facts.id == container), None)

    def _ended(self, container: ContainerId, exited: Exited) -> None:
        del exited
        if event := self._ends.get(container):
            event.set()


def _last_words(facts: ContainerFacts) -> bytes:
    """Return the end of what a container's last run said."""
    reader = LogReader(facts.log, Range(tail=LAST_LINES))
    try:
        return b"\n".join(line.text for line in reader.read())[-TAIL:]
    finally:
        reader.close()


def _readable(output: bytes, hidden: tuple[bytes, ...]) -> str:
    text = blacken(output, hidden).decode(errors="replace").strip()
    return "".join(mark if mark.isprintable() or mark == "\n" else "?" for mark in text)
