"""What a request about some services of a stack makes of the stack's file and wishes. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from orchestrator.errors import PyorchError
from orchestrator.spec.models import StackFile
from orchestrator.store import Wish
from scheduler.desired import ServiceIntent
from scheduler.ids import ServiceName

SECTIONS = ("networks", "volumes", "configs", "secrets")


def with_dependencies(model: StackFile, services: Iterable[str]) -> tuple[str, ...]:
    """Return services and all that these depend on, near and far."""
    found: dict[str, None] = {}
    waiting = list(services)
    while waiting:
        name = waiting.pop()
        if name in model.services and name not in found:
            found[name] = None
            waiting += model.services[name].depends_on
    return tuple(found)


def with_dependents(model: StackFile, services: Iterable[str]) -> tuple[str, ...]:
    """Return services and those that restart with them, because `depends_on` says so."""
    found = dict.fromkeys(services)
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for other, service in model.services.items():
            entry = service.depends_on.get(name)
            if entry is not None and entry.restart and other not in found:
                found[other] = None
                waiting.append(other)
    return tuple(found)


def need(model: StackFile, services: Iterable[str]) -> None:
    """Raise PyorchError for a service the file does not have."""
    for name in services:
        if name not in model.services:
            raise PyorchError(
                f"no such service in stack `{model.name}`: `{name}`",
                hint=f"there are {', '.join(sorted(model.services))}",
                code="no_service",
            )


def merge(present: StackFile | None, new: StackFile, taken: Collection[str]) -> StackFile:
    """Return the present file with the services ``taken`` as the new one has them.

    What these depend on comes along where it is new. Networks and the like are those of both; of
    two of one name the new one holds.
    """
    needed = {
        name: new.services[name]
        for name in with_dependencies(new, taken)
        if name in taken or present is None or name not in present.services
    }
    if present is None:
        return new.model_copy(update={"services": needed})
    sections = {
        section: {**getattr(present, section), **getattr(new, section)} for section in SECTIONS
    }
    services = {**present.services, **needed}
    return new.model_copy(update={**sections, "services": services})


def keep_sections(present: StackFile, merged: StackFile) -> StackFile:
    """Return a merged file whose networks and the like are the present ones, where there are."""
    sections = {
        section: {**getattr(merged, section), **getattr(present, section)} for section in SECTIONS
    }
    return merged.model_copy(update={**sections, "recreate": present.recreate})


def wishes_for(
    wishes: Mapping[ServiceName, Wish],
    *,
    present: StackFile | None,
    merged: StackFile,
    chosen: Collection[str],
    wish: Wish,
    stopped: bool,
) -> dict[str, Wish]:
    """Return the wishes once ``chosen`` are asked for as ``wish`` says.

    The others stay as they are: ``stopped`` where the whole stack was, absent where they come along
    only because somebody depends on them.
    """
    found: dict[str, Wish] = {}
    for name in merged.services:
        if name in chosen:
            found[name] = wish
        elif present is None or name not in present.services:
            found[name] = Wish(intent=ServiceIntent.ABSENT)
        elif stopped:
            found[name] = Wish(intent=ServiceIntent.STOPPED)
        else:
            found[name] = wishes.get(ServiceName(name), Wish())
    return found


def satisfied(
    wishes: Mapping[ServiceName, Wish], begun: Mapping[ServiceName, float], *, now: float
) -> dict[str, Wish] | None:
    """Return the wishes without restarts that have happened; None where that changes nothing.

    ``begun`` says when the oldest run of each service began, or ended where it has. A moment that
    is still to come is of an earlier boot, whose runs are over.
    """
    found: dict[str, Wish] = {}
    for name, wish in wishes.items():
        before = wish.restart_before
        done = before is not None and (before > now or begun.get(name, now) >= before)
        found[name] = replace(wish, restart_before=None, stop_grace=None) if done else wish
    return found if found != wishes else None
