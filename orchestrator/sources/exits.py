"""A container ended, or lost a process to the kernel: tell of it, and look at its stack."""

import structlog

from orchestrator.events import Event, EventBus
from orchestrator.store import Store
from orchestrator.workqueue import WorkQueue
from runtime.drivers import ContainerDriver
from runtime.types import ContainerId, Exited
from scheduler.ids import parse_container_name

log = structlog.get_logger()


def watch_exits(
    containers: ContainerDriver, queue: WorkQueue, store: Store, events: EventBus
) -> None:
    """Wake a container's stack as soon as it ends, and publish how it did."""

    def tell(container: ContainerId, name: str, reason: str) -> None:
        stack, replica = parse_container_name(container)
        log.info(name, stack=stack, subject=str(replica), reason=reason)
        event = Event(stack=stack, name=name, subject=str(replica), reason=reason)
        store.record_event(stack, name, event.subject, reason, event.at_wall)
        events.publish(event)

    def ended(container: ContainerId, phase: Exited) -> None:
        why = f", {phase.why}" if phase.why else ""
        tell(container, "replica.exited", f"exited with {phase.code}{why}")
        queue.add(parse_container_name(container)[0])

    def lost(container: ContainerId) -> None:
        tell(container, "replica.unmonitored", "its monitor died: nobody keeps its output")
        queue.add(parse_container_name(container)[0])

    containers.on_exit(ended)
    containers.on_lost(lost)
    containers.on_oom(lambda container, why: tell(container, "replica.oom", why))
