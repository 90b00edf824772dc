"""What happened, told once: to the log, to the history that lasts, to whoever follows a stack."""

import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from dataclasses import dataclass, field

import structlog

from orchestrator.errors import UnwritableError
from orchestrator.events import Event, EventBus
from orchestrator.store import KEPT_EVENTS, Ending, Store
from orchestrator.translate import labels
from runtime import types as host
from scheduler.ids import ReplicaId, parse_container_name

log = structlog.get_logger()

Tell = Callable[[str, str, str, str], None]
"""Told of a stack, the name of a fact, what it happened to, and why."""


@dataclass(slots=True, kw_only=True)
class Chronicle:
    """Tells facts. What it keeps in memory spares it asking the store for what it has told."""

    store: Store
    events: EventBus
    now: Callable[[], float]
    _noted: dict[host.ContainerId, tuple[float, int]] = field(default_factory=dict)

    def tell(self, stack: str, name: str, subject: str, reason: str) -> None:
        """Log a fact, remember it, and tell whoever follows the stack."""
        log.info(name, stack=stack, subject=subject, reason=reason)
        event = Event(stack=stack, name=name, subject=subject, reason=reason)
        try:
            self.store.events.record(stack, name, subject, reason, event.at_wall)
        except UnwritableError as error:
            # What has happened goes on without its history.
            log.warning("event.lost", stack=stack, lost=name, error=str(error))
        self.events.publish(event)

    def tell_all(self, name: str, reason: str) -> None:
        """Tell a fact about the machine: to the log, and to every stack there is."""
        log.warning(name, reason=reason)
        for stored in self.store.stacks.all():
            self.tell(stored.name, name, "", reason)

    def note_endings(self, stack: str, containers: Iterable[host.ContainerFacts]) -> set[ReplicaId]:
        """Remember how runs of a stack ended, and return the replicas of which that is news."""
        news = set()
        for facts in containers:
            owner, replica = parse_container_name(facts.id)
            exited = facts.phase
            if owner != stack or labels.HOOK in facts.labels or not isinstance(exited, host.Exited):
                continue
            mark = (facts.created_wall, exited.run)
            if self._noted.get(facts.id) == mark:
                continue
            ago = 0.0 if exited.before_boot else max(self.now() - exited.at, 0.0)
            ending = Ending(
                replica=replica,
                created_wall=facts.created_wall,
                run=exited.run,
                code=exited.code,
                oom=exited.oom,
                lived=exited.lived,
                stopped=exited.stopped,
                at_wall=time.time() - ago,
            )
            try:
                fresh = self.store.replicas.record_ending(stack, ending)
            except UnwritableError as error:
                log.warning("event.lost", stack=stack, lost="replica.exited", error=str(error))
                continue
            if fresh:
                news.add(replica)
                self.tell(stack, "replica.exited", str(replica), _in_words(exited))
            self._noted[facts.id] = mark
        return news

    def recall(
        self, stack: str, services: Collection[str], *, most: int, since_wall: float = 0.0
    ) -> tuple[Event, ...]:
        """Return the last facts of a stack, or of some of its services, the oldest first."""
        rows = self.store.events.last(
            stack, most=KEPT_EVENTS if services else most, since_wall=since_wall
        )
        found = [
            Event(stack=stack, name=name, subject=subject, reason=reason, at_wall=at_wall)
            for name, subject, reason, at_wall in rows
            if _is_about(subject, services)
        ]
        return tuple(found[-most:]) if most else ()

    async def follow(
        self, stack: str, services: Collection[str], *, most: int, since_wall: float = 0.0
    ) -> AsyncGenerator[Event, None]:
        """Yield what :meth:`recall` returns, and then facts as they happen."""
        with self.events.subscribe(stack) as queue:
            for event in self.recall(stack, services, most=most, since_wall=since_wall):
                yield event
            while True:
                fact = await queue.get()
                if fact is not None and _is_about(fact.subject, services):
                    yield fact

    def forget(self, stack: str) -> None:
        """Drop what is kept of a stack that is gone."""
        for name in [name for name in self._noted if parse_container_name(name)[0] == stack]:
            del self._noted[name]


def _is_about(subject: str, services: Collection[str]) -> bool:
    """Whether a replica, or whatever else, is one of ``services``; anything is of none."""
    return not services or subject in services or subject.rpartition(".")[0] in services


def _in_words(exited: host.Exited) -> str:
    ended = f"exited with {exited.code}" + (f", {exited.why}" if exited.why else "")
    if exited.before_boot:
        return ended
    told = ", as it was told to" if exited.stopped else ""
    return f"{ended} after {exited.lived:.1f} s{told}"
