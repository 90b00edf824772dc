"""What happened, told once: to the log, to the history that lasts, to whoever follows a stack."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from orchestrator.events import Event, EventBus
from orchestrator.store import Ending, Store
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
        self.store.record_event(stack, name, subject, reason, event.at_wall)
        self.events.publish(event)

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
            if self.store.record_ending(stack, ending):
                news.add(replica)
                self.tell(stack, "replica.exited", str(replica), _in_words(exited))
            self._noted[facts.id] = mark
        return news

    def forget(self, stack: str) -> None:
        """Drop what is kept of a stack that is gone."""
        for name in [name for name in self._noted if parse_container_name(name)[0] == stack]:
            del self._noted[name]


def _in_words(exited: host.Exited) -> str:
    ended = f"exited with {exited.code}" + (f", {exited.why}" if exited.why else "")
    if exited.before_boot:
        return ended
    told = ", as it was told to" if exited.stopped else ""
    return f"{ended} after {exited.lived:.1f} s{told}"
