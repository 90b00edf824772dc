"""What a stack means without saying it: networks, dependencies, names on the host."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.spec.tree import Map, Seq

SHARED = ("network_mode", "ipc", "pid", "uts", "cgroup")
NAMED = ("networks", "volumes", "configs", "secrets")


def normalize(tree: Map, stack: str, variables: Mapping[str, str]) -> None:
    """Write out, in place, what a canonical document leaves unsaid."""
    tree["name"] = stack
    services = tree.get("services")
    for service in _maps(services).values():
        _settle_build(service, variables)
        if service.get("pull_policy") == "if_not_present":
            service["pull_policy"] = "missing"
        if "environment" in service:
            service["environment"] = _resolved(service["environment"], variables, keep=True)
        _depend(service)
        for hook in service.get("pre_start") or ():
            if isinstance(hook, Map) and "image" not in hook and "image" in service:
                hook["image"] = service["image"]
    _join_default(tree, services)
    for kind in NAMED:
        _name(tree.get(kind), stack)


def _settle_build(service: Map, variables: Mapping[str, str]) -> None:
    build = service.get("build")
    if not isinstance(build, Map):
        return
    build.setdefault("context", ".")
    if "dockerfile" not in build and "dockerfile_inline" not in build:
        build["dockerfile"] = "Dockerfile"
    if "args" in build:
        build["args"] = _resolved(build["args"], variables, keep=False)


def _resolved(given: Any, variables: Mapping[str, str], *, keep: bool) -> Any:
    """Give names without a value the one they have here; those without one stay or go."""
    if isinstance(given, Map):
        for key in list(given):
            if given[key] is None and key in variables:
                mark = given.marks.get(key)
                now = mark.filled(key, variables) if mark else None
                given.put(key, variables[key], now)
            elif given[key] is None and not keep:
                del given[key]
        return given
    if not isinstance(given, Seq):
        return given
    found = Seq()
    for entry, mark in given.entries():
        if isinstance(entry, str) and "=" not in entry:
            if entry in variables:
                now = mark.filled(entry, variables) if mark else None
                found.add(f"{entry}={variables[entry]}", now)
            elif keep:
                found.add(entry, mark)
        else:
            found.add(entry, mark)
    return found


def _depend(service: Map) -> None:
    """Add the dependencies that sharing something with another service implies."""
    present = service.get("depends_on")
    dependencies = present if isinstance(present, Map) else Map()
    for name, restart, key in _shared(service):
        if name not in dependencies:
            dependency = {"condition": "service_started", "restart": restart, "required": True}
            mark = service.marks.get(key)
            implied = mark.brought(f"implied by `{key}`") if mark else None
            dependencies.put(name, Map(dependency, implied), implied)
    if dependencies:
        service["depends_on"] = dependencies


def _shared(service: Map) -> Iterator[tuple[str, bool, str]]:
    """Yield whom a service shares something with, whether it restarts with it, and the key."""
    for link in service.get("links") or ():
        parts = str(link).split(":")
        yield parts[0] if len(parts) == 2 else str(link), True, "links"
    for key in SHARED:
        kind, mark, name = str(service.get(key) or "").partition(":")
        if mark and kind == "service":
            yield name, True, key
    for source in service.get("volumes_from") or ():
        if not str(source).startswith("container:"):
            yield str(source).partition(":")[0], False, "volumes_from"


def _join_default(tree: Map, services: Any) -> None:
    used = False
    for service in _maps(services).values():
        if "network_mode" in service or "provider" in service:
            continue
        networks = service.get("networks")
        if not networks:
            service["networks"] = Map({"default": None})
            used = True
        elif "default" in networks:
            used = True
    if used:
        networks = tree.get("networks")
        if not isinstance(networks, Map):
            networks = tree["networks"] = Map()
        networks.setdefault("default", None)


def _name(section: Any, stack: str) -> None:
    for key in list(section) if isinstance(section, Map) else ():
        if section[key] is None:
            section[key] = Map()
        resource = section[key]
        if isinstance(resource, Map) and resource.get("name") is None:
            external = resource.get("external") is True
            resource["name"] = key if external else f"{stack}_{key}"


def _maps(section: Any) -> dict[str, Map]:
    if not isinstance(section, Map):
        return {}
    return {name: entry for name, entry in section.items() if isinstance(entry, Map)}
