"""Services that are run once: begun here, looked after by the loop, let go once they have ended."""

import json
import secrets
import shutil
from dataclasses import dataclass

from orchestrator.errors import PyorchError
from orchestrator.observer import Drivers
from orchestrator.oneoffs import SLUG, RunRequest, definition, with_one_offs
from orchestrator.settings import Settings
from orchestrator.spec.judging.consistency import check_settled
from orchestrator.spec.models import StackFile
from orchestrator.store import OneOff, Store
from orchestrator.translate import labels
from runtime.files import in_thread
from runtime.types import ContainerId
from scheduler.ids import ReplicaId, ServiceName, StackName, container_name
from scheduler.observed import Exited, ObservedStack


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that is wanted from now on: what stands for its service, and its container."""

    name: str
    container: ContainerId
    called: str


def prepare_run(model: StackFile, wanted: RunRequest) -> tuple[OneOff, Begun]:
    """Return what is to be kept of a run of one of a file's services, and what it is called.

    Raises PyorchError for what makes no service, or does not fit the file.
    """
    slug = secrets.token_hex(SLUG)
    service = definition(model, wanted, slug)
    one = OneOff(
        name=f"{wanted.service}-run-{slug}",
        service=wanted.service,
        generation=0,
        document=json.loads(service.model_dump_json(by_alias=True)),
        alone=wanted.no_deps,
        attached=not wanted.detach,
        remove=wanted.remove,
    )
    check_settled(with_one_offs(model, [one], lambda number: model))
    replica = ReplicaId(ServiceName(one.name), 1)
    container = ContainerId(container_name(StackName(model.name), replica))
    return one, Begun(name=one.name, container=container, called=service.container_name)


async def refuse_taken_name(drivers: Drivers, name: str) -> None:
    """Raise PyorchError where a container is called so already."""
    for facts in await drivers.containers.list():
        if facts.labels.get(labels.NAME) == name:
            raise PyorchError(
                f"a container is called `{name}` already",
                hint="give this one another `--name`, or remove that one",
                code="conflict",
            )


async def let_go_of_ended(
    settings: Settings, drivers: Drivers, store: Store, observed: ObservedStack
) -> bool:
    """Let one-offs go that have ended and are not kept, and forget those of which nothing is left.

    Returns whether the stack is to be looked at again for it.
    """
    again = False
    for one in store.one_offs.of(observed.name):
        left = [found for found in observed.replicas if found.id.service == one.name]
        ended = any(isinstance(found.phase, Exited) for found in left)
        if one.going and not left:
            # What only this one could have told anybody goes with it.
            folder = settings.logs_of(observed.name) / one.name
            drivers.logs.forwarding.forget(folder)
            await in_thread(shutil.rmtree, folder, ignore_errors=True)
            await _remove_nameless(drivers, observed.name, one.name)
            store.one_offs.forget(observed.name, one.name)
        elif one.remove and ended and not one.going:
            store.one_offs.let_go(observed.name, one.name)
            again = True
    return again


async def _remove_nameless(drivers: Drivers, stack: str, service: str) -> None:
    """Remove the volumes nobody gave a name that a one-off had for itself."""
    for volume in await drivers.volumes.list():
        told = volume.labels
        if labels.ANONYMOUS not in told or told.get(labels.STACK) != stack:
            continue
        if told.get(labels.SERVICE) == service:
            await drivers.volumes.remove(volume.id)
