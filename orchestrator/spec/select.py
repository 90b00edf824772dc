"""Which services of a canonical document are meant, and what they leave unused."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.spec.problems import Mark, refuse, suggest
from orchestrator.spec.tree import Map


@dataclass(slots=True)
class Selection:
    """Services by whether their profiles are active."""

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


def _profiles(service: Any) -> list[str]:
    found = service.get("profiles") if isinstance(service, Map) else None
    return [str(one) for one in found or ()]


def restrict(services: Map, named: Sequence[str]) -> Map:
    """Return the services named, by name or pattern, with all they depend on."""
    if not named:
        return services
    wanted: dict[str, None] = {}
    todo: list[tuple[str, bool]] = [(name, True) for name in named]
    while todo:
        pattern, required = todo.pop()
        found = [name for name in services if name == pattern or fnmatchcase(name, pattern)]
        if not found and required:
            raise refuse(
                f"no such service: `{pattern}`", Mark(file="-"), hint=suggest(pattern, services)
            )
        for name in found:
            if name not in wanted:
                wanted[name] = None
                todo += [
                    (one, bool(entry.get("required", True)))
                    for one, entry in _dependencies(services[name]).items()
                ]
    kept = Map()
    for name, service, mark in services.entries():
        if name in wanted:
            dependencies = _dependencies(service)
            for one in [one for one in dependencies if one not in wanted]:
                del dependencies[one]
            kept.put(name, service, mark)
    return kept


def drop_unused(tree: Map) -> None:
    """Drop, in place, networks, volumes, configs, secrets and models no service uses."""
    used: dict[str, set[str]] = {
        kind: set() for kind in ("networks", "volumes", "secrets", "configs", "models")
    }
    for service in tree.get("services", {}).values():
        used["networks"].update(service.get("networks") or ())
        used["models"].update(service.get("models") or ())
        for mount in service.get("volumes") or ():
            if mount.get("type") == "volume" and mount.get("source"):
                used["volumes"].add(mount["source"])
        for kind in ("secrets", "configs"):
            used[kind].update(one.get("source") for one in service.get(kind) or ())
        build = service.get("build") or {}
        used["secrets"].update(one.get("source") for one in build.get("secrets") or ())
    for kind, names in used.items():
        section = tree.get(kind)
        if not isinstance(section, Map):
            continue
        kept = Map()
        for name, resource, mark in section.entries():
            if name in names:
                kept.put(name, resource, mark)
        tree[kind] = kept


def _dependencies(service: Any) -> Map:
    found = service.get("depends_on") if isinstance(service, Map) else None
    return found if isinstance(found, Map) else Map()
