"""What is added to a canonical document, and what shapes alone cannot refuse in it."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from orchestrator.spec.tree import Map, Origin, Path, Seq, Troubles


def fill_in(tree: Map) -> None:
    """Add, in place, what is implied by what is there."""
    for service in _maps(tree.get("services")).values():
        build = service.get("build")
        if isinstance(build, Map):
            build.setdefault("context", ".")
        for mount in _entries(service.get("secrets")):
            mount.setdefault("target", f"/run/secrets/{mount.get('source')}")
        for port in _entries(service.get("ports")):
            port.setdefault("protocol", "tcp")
            port.setdefault("mode", "ingress")
        for request in device_requests(service):
            if "count" not in request and "device_ids" not in request:
                request["count"] = "all"


def device_requests(service: Map) -> list[Map]:
    """Return what a service asks of devices such as GPUs."""
    node: Any = service
    for key in ("deploy", "resources", "reservations", "devices"):
        node = node.get(key) if isinstance(node, Map) else None
    return [*_entries(node), *_entries(service.get("gpus"))]


def resolve_passed(tree: Map, variables: Mapping[str, str]) -> None:
    """Give variables that are named without a value the one they have here, in place."""
    for service in _maps(tree.get("services")).values():
        environment = service.get("environment")
        if isinstance(environment, Seq):
            for number, (entry, mark) in enumerate(list(environment.entries())):
                if isinstance(entry, str) and entry in variables:
                    environment[number] = f"{entry}={variables[entry]}"
                    if mark is not None:
                        environment.marks[number] = mark.filled(entry, variables)


def validate(tree: Map, troubles: Troubles) -> None:
    """Note what contradicts itself in a canonical document."""
    for name, volume in _maps(tree.get("volumes")).items():
        _check_external(volume, ("volumes", name), troubles)
    for kind, sources in (
        ("configs", ("file", "environment", "content")),
        ("secrets", ("file", "environment")),
    ):
        for name, resource in _maps(tree.get(kind)).items():
            _check_source(tree, resource, (kind, name), sources, troubles)
    for name, service in _maps(tree.get("services")).items():
        _check_service(service, ("services", name), troubles)


def _check_external(volume: Map, path: Path, troubles: Troubles) -> None:
    if volume.get("external") is not True:
        return
    for key in volume:
        if key not in ("name", "external") and not key.startswith("x-"):
            cause = f"`{key}` and `external` exclude each other"
            hint = "who made the volume decides about it; leave one out"
            troubles.add(None, (*path, key), cause, hint=hint, mark=volume.marks.get(key))


def _check_source(
    tree: Map, resource: Map, path: Path, sources: tuple[str, ...], troubles: Troubles
) -> None:
    given = [one for one in sources if one in resource]
    words = ", ".join(f"`{one}`" for one in sources)
    if len(given) > 1:
        mark = resource.marks.get(given[1])
        troubles.add(None, path, f"only one of {words} may be given", mark=mark)
    if not given and "driver" not in resource and "external" not in resource:
        troubles.add(tree, path, f"one of {words} is needed")


def _check_service(service: Map, path: Path, troubles: Troubles) -> None:
    for number, port in enumerate(_entries(service.get("ports"))):
        address = port.get("host_ip")
        if isinstance(address, str) and not _is_address(address):
            where = (*path, "ports", str(number), "host_ip")
            cause = f"`{address}` is no IP address"
            troubles.add(None, where, cause, mark=port.marks.get("host_ip"))
    for key in ("ports", "volumes"):
        for number, (entry, mark) in enumerate(_marked_entries(service.get(key))):
            if isinstance(entry, Map) and "target" not in entry:
                where = (*path, key, str(number))
                troubles.add(None, where, "`target` is missing", mark=mark)
    for number, mount in enumerate(_entries(service.get("volumes"))):
        if mount.get("type") == "bind" and not mount.get("source"):
            where = (*path, "volumes", str(number))
            mark = mount.marks.get("type")
            troubles.add(None, where, "`source` is needed for a bind", mark=mark)
    develop = service.get("develop")
    for number, rule in enumerate(_entries(develop.get("watch") if develop else None)):
        if rule.get("path") == "":
            where = (*path, "develop", "watch", str(number), "path")
            troubles.add(None, where, "may not be blank", mark=rule.marks.get("path"))
    for request in device_requests(service):
        if "count" in request and "device_ids" in request:
            mark = request.marks.get("count")
            cause = "`count` and `device_ids` exclude each other"
            troubles.add(None, (*path, "deploy"), cause, mark=mark)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _maps(section: Any) -> dict[str, Map]:
    if not isinstance(section, Map):
        return {}
    return {name: entry for name, entry in section.items() if isinstance(entry, Map)}


def _marked_entries(section: Any) -> list[tuple[Any, Origin | None]]:
    return list(section.entries()) if isinstance(section, Seq) else []


def _entries(section: Any) -> list[Map]:
    found = section if isinstance(section, Seq) else ()
    return [entry for entry in found if isinstance(entry, Map)]
