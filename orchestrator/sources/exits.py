"""A container ended: look at its stack."""

from orchestrator.workqueue import WorkQueue
from runtime.drivers import ContainerDriver
from runtime.types import ContainerId
from scheduler.ids import parse_container_name


def watch_exits(containers: ContainerDriver, queue: WorkQueue) -> None:
    """Wake a container's stack as soon as it ends."""

    def ended(container: ContainerId) -> None:
        queue.add(parse_container_name(container)[0])

    containers.on_exit(ended)
