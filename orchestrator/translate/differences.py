"""Why a container of an older generation must be replaced, in the words of the stack file."""

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.changes import Change, changes, in_words
from orchestrator.spec.models import StackFile
from orchestrator.translate.desired import revised, revision
from scheduler.desired import DesiredStack
from scheduler.ids import Revision, ServiceName
from scheduler.observed import ObservedStack

CONTENTS = {"configs_content": "config", "secrets_content": "secret"}


def with_words(
    desired: DesiredStack, observed: ObservedStack, model: StackFile, kept: Iterable[StackFile]
) -> DesiredStack:
    """Return ``desired`` with what changed since the revisions that are there.

    ``kept`` are older files of the stack, the newest first; no more of them are read than it
    takes.
    """
    # A run by the clock is told from others by its number, whatever file it was made from.
    by_clock = {service.name for service in desired.services if service.schedule}
    wanted = {service.name: service.revision for service in desired.services}
    old = {
        (replica.id.service, replica.revision)
        for replica in observed.replicas
        if replica.revision != wanted.get(replica.id.service, replica.revision)
        and replica.id.service not in by_clock
    }
    words: dict[ServiceName, dict[Revision, str]] = {}
    files = iter(kept)
    while old and (before := next(files, None)) is not None:
        for name, was in tuple(old):
            service = before.services.get(name)
            if service is not None and revision(before, service) == was:
                words.setdefault(name, {})[was] = difference(before, model, name)
                old.discard((name, was))
    if not words:
        return desired
    services = tuple(replace(one, since=words.get(one.name, {})) for one in desired.services)
    return replace(desired, services=services)


def difference(old: StackFile, new: StackFile, service: ServiceName) -> str:
    """Return in a line what changed about a service that needs new containers.

    Empty where one of the files does not have the service.
    """
    if service not in old.services or service not in new.services:
        return ""
    before = revised(old, old.services[service])
    after = revised(new, new.services[service])
    again = before.pop("recreate") != after.pop("recreate")
    found = list(changes(before, after))
    told = [
        f"{CONTENTS[one.path[0]]} {one.path[-1]} has other content"
        for one in found
        if one.path[0] in CONTENTS
    ]
    rest: list[Change] = [one for one in found if one.path[0] not in CONTENTS]
    if rest:
        told.insert(0, in_words(rest))
    if again and not told:
        told.append("new containers are asked for in any case")
    return "; ".join(told)
