"""A service run once, by itself: what of its definition holds then, and how it joins a stack. Pure.

A one-off is a service more for as long as it lasts: it waits for what its service waits for, is on
the same networks, and survives the daemon. It publishes no port and answers to no name but its own
unless that is asked for, and nobody starts it a second time.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestrator.errors import PyorchError
from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.models.base import pairs_of
from orchestrator.store import OneOff

SLUG = 6
"""Bytes of the number that tells the runs of a service apart."""
SHARING = ("network_mode", "pid", "ipc")
OF_SERVICE = "service:"


class RunRequest(BaseModel):
    """What was asked of a run besides what the file says of its service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str
    name: str = Field(default="", pattern=r"^([a-zA-Z0-9][a-zA-Z0-9_.-]*)?$")
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    environment: Annotated[dict[str, str | None], BeforeValidator(pairs_of)] = {}
    labels: dict[str, str] = {}
    user: str | None = None
    workdir: str | None = None
    volumes: tuple[dict[str, Any], ...] = ()
    ports: tuple[dict[str, Any], ...] = ()
    service_ports: bool = False
    use_aliases: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    tty: bool = False
    interactive: bool = False
    no_deps: bool = False
    detach: bool = False
    remove: bool = False
    remove_orphans: bool = False
    columns: int = Field(default=80, ge=1, le=10_000)
    rows: int = Field(default=24, ge=1, le=10_000)


def definition(model: StackFile, wanted: RunRequest, slug: str) -> Service:
    """Return a service as it is run once. Raises PyorchError for what makes no service."""
    service = model.services[wanted.service]
    given: dict[str, Any] = service.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for key in ("pre_start", "develop", "profiles", "scale", "attach", "restart"):
        given.pop(key, None)
    if deploy := given.get("deploy"):
        given["deploy"] = {"resources": deploy.get("resources", {})}
    given["container_name"] = wanted.name or f"{model.name}-{wanted.service}-run-{slug}"
    # What is built for a service has the service's name, which this one has not.
    given["image"] = model.image_of(wanted.service)
    if service.build is not None and not service.image:
        given["pull_policy"] = "never"
    given["tty"], given["stdin_open"] = wanted.tty, wanted.interactive
    if wanted.entrypoint is not None:
        given["entrypoint"] = list(wanted.entrypoint)
        given["command"] = list(wanted.command)
    elif wanted.command:
        given["command"] = list(wanted.command)
    for key, value in (("user", wanted.user), ("working_dir", wanted.workdir)):
        if value is not None:
            given[key] = value
    given["environment"] = {**service.environment, **wanted.environment}
    given["labels"] = {**service.labels, **wanted.labels}
    given["ports"] = [*(given.get("ports", []) if wanted.service_ports else []), *wanted.ports]
    targets = {one.get("target") for one in wanted.volumes}
    mounted = [one for one in given.get("volumes", []) if one.get("target") not in targets]
    given["volumes"] = [*mounted, *wanted.volumes]
    for key, more in (("cap_add", wanted.cap_add), ("cap_drop", wanted.cap_drop)):
        given[key] = list(dict.fromkeys((*given.get(key, []), *more)))
    given["depends_on"] = {
        name: {**entry, "restart": False} for name, entry in given.get("depends_on", {}).items()
    }
    for place in given.get("networks", {}).values():
        own = place.get("aliases", [])
        place["aliases"] = [*own, wanted.service] if wanted.use_aliases else []
        for fixed in ("ipv4_address", "ipv6_address", "mac_address"):
            # Whoever runs under the service's own name has it.
            place.pop(fixed, None)
    given.pop("mac_address", None)
    try:
        return Service.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PyorchError(f"run: {where}: {first['msg']}", code="invalid") from None


def with_one_offs(
    model: StackFile, one_offs: Iterable[OneOff], generation: Callable[[int], StackFile]
) -> StackFile:
    """Return a stack's file with the one-offs that are wanted as services of it.

    What they name and the file has no more comes from the generation they began under. One whose
    network or processes were those of a service that is no more has nothing to stand on: it is
    left out, as that service is.
    """
    services = dict(model.services)
    sections: dict[str, dict[str, Any]] = {}
    for one in one_offs:
        if one.going:
            continue
        service = Service.model_validate(one.document)
        if not _donors(service) <= model.services.keys():
            continue
        after = {name: how for name, how in service.depends_on.items() if name in model.services}
        services[one.name] = service.model_copy(update={"depends_on": after})
        for section, names in _named(service).items():
            present: Mapping[str, Any] = getattr(model, section)
            if missing := names - present.keys():
                before = getattr(generation(one.generation), section)
                found = sections.setdefault(section, dict(present))
                found |= {name: before[name] for name in missing if name in before}
    if len(services) == len(model.services):
        return model
    return model.model_copy(update={"services": services, **sections})


def _donors(service: Service) -> set[str]:
    shared = {getattr(service, key) for key in SHARING}
    names = {one.removeprefix(OF_SERVICE) for one in shared if one.startswith(OF_SERVICE)}
    return names | {
        one.split(":")[0] for one in service.volumes_from if not one.startswith("container:")
    }


def _named(service: Service) -> dict[str, set[str]]:
    return {
        "networks": set(service.networks),
        "volumes": {one.source for one in service.volumes if one.type == "volume" and one.source},
        "configs": {one.source for one in service.configs},
        "secrets": {one.source for one in service.secrets},
    }
