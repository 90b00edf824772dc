"""Which services are meant, and what they use of what is declared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.problems import Mark, refuse, suggest
from orchestrator.spec.tree import Map


@dataclass(slots=True)
class Selection:
    """Services of a canonical document, by whether their profiles are active."""

    enabled: Map
    disabled: Map = field(default_factory=Map)


def by_profiles(services: Map, profiles: Iterable[str], named: Sequence[str]) -> Selection:
    """Split services by profile; naming a service activates its profiles."""
    active = set(profiles)
    first = _split(services, active)
    for name in named:
        if name in first.disabled:
            active.update(_profiles(first.disabled[name]))
    return _split(services, active)


def _split(services: Map, active: set[str]) -> Selection:
    selection = Selection(Map())
    for name, service, mark in services.entries():
        wanted = _profiles(service)
        on = not wanted or "*" in active or not active.isdisjoint(wanted)
        (selection.enabled if on else selection.disabled).put(name, service, mark)
    return selection


def _profiles(service: Map) -> list[str]:
    return [str(one) for one in service.get("profiles") or ()]


def with_dependencies(services: Map, named: Sequence[str]) -> set[str]:
    """Return the names of the services named, by name or pattern, and of all they depend on."""
    if not named:
        return set(services)
    wanted: set[str] = set()
    todo: list[tuple[str, bool]] = [(name, True) for name in named]
    while todo:
        pattern, required = todo.pop()
        found = [pattern] if pattern in services else _matching(services, pattern)
        if not found and required:
            hint = suggest(pattern, services)
            raise refuse(f"no such service: `{pattern}`", Mark(file="-"), hint=hint)
        for name in found:
            if name not in wanted:
                wanted.add(name)
                todo += _dependencies(services[name])
    return wanted


def _matching(services: Map, pattern: str) -> list[str]:
    return [name for name in services if fnmatchcase(name, pattern)]


def _dependencies(service: Map) -> list[tuple[str, bool]]:
    found: Any = service.get("depends_on")
    if not isinstance(found, Map):
        return []
    return [(name, bool(entry.get("required", True))) for name, entry in found.items()]


def restrict(stack: StackFile, names: set[str]) -> StackFile:
    """Return a stack with these services only, and with only what they use."""
    services = {
        name: _without(service, names) if len(names) < len(stack.services) else service
        for name, service in stack.services.items()
        if name in names
    }
    used = _used(services)
    kept = {
        kind: {name: one for name, one in getattr(stack, kind).items() if name in used[kind]}
        for kind in used
    }
    return stack.model_copy(update={"services": services, **kept})


def without_absent(stack: StackFile) -> StackFile:
    """Return a stack whose services depend on no others than those that are in it.

    A dependency that is not required may be of no active profile.
    """
    services = {
        name: _without(service, set(stack.services)) for name, service in stack.services.items()
    }
    return stack.model_copy(update={"services": services})


def without_build_secrets(stack: StackFile) -> StackFile:
    """Return a stack whose builds name no secrets, without the secrets only they use.

    Whoever runs a stack needs to know what can be built, and nothing of what builds may read.
    """
    services = {
        name: service.model_copy(update={"build": service.build.model_copy(update={"secrets": ()})})
        if service.build and service.build.secrets
        else service
        for name, service in stack.services.items()
    }
    used = _used(services)["secrets"]
    secrets = {name: one for name, one in stack.secrets.items() if name in used}
    return stack.model_copy(update={"services": services, "secrets": secrets})


def _without(service: Service, names: set[str]) -> Service:
    if all(one in names for one in service.depends_on):
        return service
    kept = {name: one for name, one in service.depends_on.items() if name in names}
    return service.model_copy(update={"depends_on": kept})


def _used(services: Mapping[str, Service]) -> dict[str, set[str]]:
    """Return, by kind, the names of what services use."""
    used: dict[str, set[str]] = {
        kind: set() for kind in ("networks", "volumes", "configs", "secrets", "models")
    }
    for service in services.values():
        used["networks"].update(service.networks)
        used["models"].update(service.models)
        used["volumes"].update(one.source for one in service.volumes if one.type == "volume")
        used["configs"].update(one.source for one in service.configs)
        used["secrets"].update(one.source for one in service.secrets)
        if service.build:
            used["secrets"].update(one.source for one in service.build.secrets)
    return used
