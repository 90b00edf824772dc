"""A container ended, or lost something to the kernel: tell of it, and look at its stack."""

from orchestrator.chronicle import Chronicle
from orchestrator.workqueue import WorkQueue
from runtime.drivers import ContainerDriver
from runtime.types import ContainerId
from scheduler.ids import parse_container_name


def watch_exits(containers: ContainerDriver, queue: WorkQueue, chronicle: Chronicle) -> None:
    """Wake a container's stack as soon as it ends; the pass over it tells how it did."""

    def tell(container: ContainerId, name: str, reason: str) -> None:
        stack, replica = parse_container_name(container)
        chronicle.tell(stack, name, str(replica), reason)

    def lost(container: ContainerId) -> None:
        tell(container, "replica.unmonitored", "its monitor died: nobody keeps its output")
        queue.add(parse_container_name(container)[0])

    containers.on_exit(lambda container, _: queue.add(parse_container_name(container)[0]))
    containers.on_lost(lost)
    containers.on_oom(lambda container, why: tell(container, "replica.oom", why))
