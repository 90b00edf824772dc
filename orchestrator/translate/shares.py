"""What services have of other containers: ``network_mode``, ``ipc`` and ``pid``, in every form."""

from collections.abc import Iterator

from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.values.confinement import share
from orchestrator.translate.network import mode_of
from scheduler.desired import Condition, Dependency, Share
from scheduler.ids import ReplicaId, ServiceName, StackName, container_name

KEYS = {"network": "network_mode", "ipc": "ipc", "pid": "pid"}
"""The key that says whose a kind of namespace is."""
FIRST = 1
"""The slot of the replica that is meant where a service is named."""


def shares_of(model: StackFile, service: Service) -> tuple[Share, ...]:
    """Return what a service's replicas have of other containers."""
    found = []
    for kind, key in KEYS.items():
        replica, container = _donor(model, getattr(service, key))
        if replica is not None and kind == "network":
            replica, container = _owner(model, replica)
        if replica is not None:
            container = container_name(StackName(model.name), replica)
        if container:
            found.append(Share(kind, container))
    return tuple(found)


def network_of(model: StackFile, service: Service) -> str:
    """Return whose network a service has: ``own``, ``host``, or ``shared``."""
    replica, container = _donor(model, service.network_mode)
    if replica is not None:
        replica, container = _owner(model, replica)
    if replica is not None or container:
        last = service if replica is None else model.services[replica.service]
        return "host" if mode_of(model, last) == "host" else "shared"
    return "host" if mode_of(model, service) == "host" else "own"


def implied(model: StackFile, service: Service) -> Iterator[Dependency]:
    """Yield what a service depends on because it shares something with it, unless it says so."""
    for share_ in shares_of(model, service):
        for name in model.services:
            started = Dependency(service=ServiceName(name), condition=Condition.STARTED)
            mine = container_name(StackName(model.name), ReplicaId(ServiceName(name), FIRST))
            if share_.container == mine and name not in service.depends_on:
                yield started


def _donor(model: StackFile, value: str) -> tuple[ReplicaId | None, str]:
    """Return whom a value names: a replica of this stack, or a container of another one."""
    wanted = share(value)
    if wanted.kind == "service":
        return ReplicaId(ServiceName(wanted.name), FIRST), ""
    if wanted.kind != "container":
        return None, ""
    for name, service in model.services.items():
        for slot in range(1, service.replicas + 1):
            replica = ReplicaId(ServiceName(name), slot)
            usual = f"{model.name}-{name}-{slot}"
            its = container_name(StackName(model.name), replica)
            if wanted.name in (its, usual) or (wanted.name == service.container_name and slot == 1):
                return replica, ""
    return None, wanted.name


def _owner(model: StackFile, replica: ReplicaId) -> tuple[ReplicaId | None, str]:
    """Return who made the network a replica has: others may share what they have from others."""
    seen = {replica.service}
    container = ""
    found: ReplicaId | None = replica
    while found is not None:
        following, container = _donor(model, model.services[found.service].network_mode)
        if following is None and not container:
            return found, ""
        if following is not None and following.service in seen:
            return found, ""  # a circle, which is refused for its dependencies
        found = following
        seen |= {found.service} if found else set()
    return None, container
