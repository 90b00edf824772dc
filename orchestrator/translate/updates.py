"""``update_config``, ``rollback_config`` and ``x-pyorch.update`` → how replicas are replaced."""

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.models.deploy import UpdateConfig
from orchestrator.translate.mounts import CONTAINER, donor_of
from orchestrator.translate.shares import shares_of
from runtime.types import ImageFacts
from scheduler.desired import FailureAction, UpdateOrder, UpdatePolicy
from scheduler.ids import ReplicaId, ServiceName, StackName, container_name

SAFE_MONITOR = 15.0
"""Seconds a new replica is ready before it takes part, where an update is to be safe."""


def update_of(
    model: StackFile, name: str, image: ImageFacts | None, *, back: bool
) -> UpdatePolicy | None:
    """Return how replicas of a service are replaced, going forward or ``back``; None: as usual.

    The new one never comes first where both cannot be there at a time.
    """
    service = model.services[name]
    deploy, own = service.deploy, service.x_pyorch.update
    if service.x_pyorch.schedule is not None or (deploy is not None and deploy.is_job):
        return None
    forth = deploy.update_config if deploy else None
    way_back = deploy.rollback_config if deploy else None
    safe = own.mode == "safe"
    if forth is None and way_back is None and not safe:
        return None
    found = UpdatePolicy(drain=own.drain, deadline=own.deadline)
    if safe:
        found = replace(
            found,
            order=UpdateOrder.START_FIRST,
            failure_action=FailureAction.ROLLBACK,
            monitor=SAFE_MONITOR,
        )
    found = _configured(found, forth or UpdateConfig())
    if back:
        # The way there, unless it says otherwise; what fails on it has nowhere to go back to.
        found = replace(found, failure_action=FailureAction.PAUSE)
        found = _configured(found, way_back or UpdateConfig())
    if next(obstacles(model, name, image), None):
        found = replace(found, order=UpdateOrder.STOP_FIRST)
    return found


def has_fixed_slots(model: StackFile, name: str) -> bool:
    """Whether others know replicas of a service by their numbers, or each has a place by it."""
    service = model.services[name]
    most = service.deploy.placement.max_replicas_per_node if service.deploy else 0
    if shares_of(model, service) or 0 < most < service.replicas or service.volumes_from:
        return True
    mine = container_name(StackName(model.name), ReplicaId(ServiceName(name), 1)).rpartition(".")[0]
    for other in model.services.values():
        if any(one.container.rpartition(".")[0] == mine for one in shares_of(model, other)):
            return True
        donors = (one for one in other.volumes_from if not one.startswith(CONTAINER))
        if any(donor_of(one)[0] == name for one in donors):
            return True
    return False


def obstacles(model: StackFile, name: str, image: ImageFacts | None) -> Iterator[str]:
    """Yield why a replica of a service cannot be there beside the one whose place it takes."""
    service = model.services[name]
    if has_fixed_slots(model, name):
        yield "others know its replicas by their numbers"
    if service.container_name:
        yield "`container_name` is the name of one container"
    places = service.networks.values()
    if service.mac_address or any(
        place.ipv4_address or place.ipv6_address or place.mac_address for place in places
    ):
        yield "an address of its file can be that of one container"
    if nameless_volumes(service, image):
        yield "what is in volumes without a name would stay behind with the old one"


def nameless_volumes(service: Service, image: ImageFacts | None) -> tuple[str, ...]:
    """Return where a service has volumes without a name, by its file or its image."""
    own = [one.target for one in service.volumes if one.type == "volume" and not one.source]
    taken = {posixpath.normpath(one.target) for one in service.volumes}
    taken |= {posixpath.normpath(one.partition(":")[0]) for one in service.tmpfs}
    declared = (
        [posixpath.normpath(f"/{one.lstrip('/')}") for one in image.config.volumes]
        if (image)
        else []
    )
    return (*own, *(one for one in declared if one not in taken))


def _configured(base: UpdatePolicy, given: UpdateConfig) -> UpdatePolicy:
    return replace(
        base,
        parallelism=base.parallelism if given.parallelism is None else given.parallelism,
        delay=given.delay or base.delay,
        monitor=base.monitor if given.monitor is None else given.monitor,
        max_failure_ratio=given.max_failure_ratio or base.max_failure_ratio,
        order=UpdateOrder(given.order) if given.order else base.order,
        failure_action=FailureAction(given.failure_action)
        if given.failure_action
        else base.failure_action,
    )
