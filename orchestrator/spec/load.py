"""The only reader of stack files: find, assemble, normalize, select, settle, check.

Runs with the rights of the person who typed the command. Every problem found is reported
with file, line, column and key path; nothing is half loaded.
"""

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator.spec.assemble import Assembler
from orchestrator.spec.composing.place import Notes, Place
from orchestrator.spec.judging.consistency import Consistency
from orchestrator.spec.judging.runnable import refusals
from orchestrator.spec.judging.support import REFUSED, lost_words, unsupported
from orchestrator.spec.models import Origin, ServiceExtension, StackExtension, StackFile
from orchestrator.spec.problems import Mark, Problem, SpecError, refuse, suggest
from orchestrator.spec.reading.discover import (
    STDIN,
    Discovery,
    Found,
    LoadRequest,
    check_name,
    normal_name,
)
from orchestrator.spec.reading.remote import shown
from orchestrator.spec.reading.remotes import Remotes
from orchestrator.spec.settling.contents import Contents
from orchestrator.spec.settling.normalize import normalize
from orchestrator.spec.settling.select import (
    by_profiles,
    restrict,
    with_dependencies,
    without_absent,
    without_build_secrets,
)
from orchestrator.spec.tree import Map, Troubles, bare, stop, take_out
from orchestrator.spec.values.interpolate import InterpolationError, interpolate

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_PLATFORM = "DOCKER_DEFAULT_PLATFORM"
REFRESH = "pull_refresh_after"
"""A key the grammar of the specification has and its loaders refuse."""
YOUNG = 50_000
"""Objects after which cycles are looked for among them."""
MOST_ATTEMPTS = 8
"""How often a document is looked at again with what is wrong taken out."""

__all__ = ["LoadRequest", "Loaded", "load_document", "load_stack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A settled stack, and what is worth saying about how it came to be."""

    stack: StackFile
    whole: StackFile
    """The stack with every service of an active profile, and what only builds use."""
    warnings: tuple[str, ...]
    files_read: tuple[Path, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    disabled: Mapping[str, Any] = field(default_factory=dict)
    """Services no profile activates, as they stand in the document."""
    tree: Map = field(default_factory=Map)
    """The document the stack was settled from, whose values know where they come from."""
    found: Found
    fetched: bool = False
    """Whether any of its files was fetched: it may be another one the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A canonical document with nothing selected in it, and how it came to be."""

    tree: Map
    found: Found
    name: str
    notes: Notes
    troubles: Troubles
    fetched: bool


def load_stack(request: LoadRequest) -> Loaded:
    """Load what ``request`` names. Raises SpecError with every problem found."""
    with _growing():
        return _load(request)


@contextmanager
def _growing() -> Iterator[None]:
    """Have the collector of cycles look at what is young alone: the tree is old, and only grows."""
    thresholds = gc.get_threshold()
    if thresholds[0]:
        gc.set_threshold(YOUNG, 1_000, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _load(request: LoadRequest) -> Loaded:
    document = _assemble(request)
    tree, troubles, notes = document.tree, document.troubles, document.notes
    selection = by_profiles(_services(tree), document.found.profiles, request.services)
    tree["services"] = selection.enabled
    names = with_dependencies(selection.enabled, request.services)
    found = document.found
    contents = Contents(
        tree, found.variables, found.directory, troubles, notes, trace=request.trace
    )
    if request.resolve_env:
        # What is only shown is read for every service, as the reference does.
        contents.resolve_services(names if request.to_run else tuple(selection.enabled))
    if request.to_run:
        contents.carry(names)
    stack = _settle(tree, document.name, troubles)
    if stack is not None and request.to_run:
        stack = _for_platform(stack, found.variables.get(DEFAULT_PLATFORM, ""))
    if stack is not None and request.check_consistency:
        Consistency(stack, selection.disabled, tree, troubles).check()
        stack = _scaled(stack)
    whole = stack
    if stack is not None:
        stack = restrict(stack, names)
    if stack is not None and request.to_run:
        stack = without_build_secrets(without_absent(stack))
        for path, cause, hint in refusals(stack):
            if not troubles.within(path):
                troubles.add(tree, path, cause, hint=hint)
    stop(troubles)
    # Without one there is a problem, and `stop` has raised it.
    assert stack is not None
    assert whole is not None
    if request.to_run:
        origin = Origin(
            directory=str(found.directory),
            files=tuple(
                file if file == STDIN else os.path.normpath(request.cwd / file)
                for file in found.files
            ),
            env_files=tuple(os.path.normpath(request.cwd / one) for one in request.env_files),
        )
        stack = stack.model_copy(update={"origin": origin})
    for text in (*lost_words(tree, names), *unsupported(stack)):
        notes.warn(None, (), text)
    return Loaded(
        stack=stack,
        whole=whole,
        warnings=tuple(dict.fromkeys(notes.warnings)),
        files_read=tuple(dict.fromkeys(notes.read)),
        variables={**document.found.variables, "COMPOSE_PROJECT_NAME": document.name},
        disabled=selection.disabled,
        tree=tree,
        found=document.found,
        fetched=document.fetched,
    )


def _scaled(stack: StackFile) -> StackFile:
    """Return the stack with the replicas of `deploy` those of `scale`, where both are there."""
    services = dict(stack.services)
    for name, service in services.items():
        if service.scale is not None and service.deploy is not None:
            deploy = service.deploy.model_copy(update={"replicas": service.scale})
            services[name] = service.model_copy(update={"deploy": deploy})
    return stack.model_copy(update={"services": services})


def _for_platform(stack: StackFile, platform: str) -> StackFile:
    """Return the stack with a platform for every service that names none."""
    if not platform:
        return stack
    services = {
        name: service if service.platform else service.model_copy(update={"platform": platform})
        for name, service in stack.services.items()
    }
    return stack.model_copy(update={"services": services})


def load_document(request: LoadRequest) -> Document:
    """Load what ``request`` names, short of selecting and settling. Raises SpecError."""
    with _growing():
        document = _assemble(request)
    stop(document.troubles)
    return document


def _assemble(request: LoadRequest) -> Document:
    troubles, notes = Troubles(), Notes(read=[] if request.read is None else request.read)
    remotes = Remotes(request.fetch)

    def local(file: str) -> str:
        return str(remotes.required(file, Mark(file=shown(file))) or file)

    found = Discovery(request, notes.read.append, notes.warnings.append, local).find()
    files = [
        file if file == STDIN else os.path.normpath(request.cwd / file) for file in found.files
    ]
    base = str(found.directory) if request.resolve_paths else None
    place = Place(found.directory, base, found.variables)
    assembler = Assembler(request, troubles, notes, place, remotes)
    _read(files, assembler)
    name = _name(request, found, files, assembler)
    found.variables["COMPOSE_PROJECT_NAME"] = name
    model = assembler.assemble(files)
    if not model:
        stop(troubles)
        raise refuse("the file is empty", Mark(file=assembler.label(files[-1])))
    _sections(model)
    if request.normalize:
        known = found.variables if request.interpolate else {}
        normalize(model, name, known)
    return Document(
        tree=model,
        found=found,
        name=name,
        notes=notes,
        troubles=troubles,
        fetched=remotes.used,
    )


def _read(files: list[str], assembler: Assembler) -> None:
    """Read every file that was named, so that what is wrong with each of them is told."""
    problems: list[Problem] = []
    for file in files:
        try:
            assembler.parse(file)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)


def _name(request: LoadRequest, found: Found, files: list[str], assembler: Assembler) -> str:
    if found.name:
        return found.name
    for file in reversed(files):
        for document in reversed(assembler.parse(file)):
            content = document.content
            given = content.get("name") if isinstance(content, dict) else None
            if not isinstance(given, str):
                continue
            if request.interpolate:
                try:
                    given = interpolate(given, found.variables)
                except InterpolationError as error:
                    raise refuse(str(error), document.mark(("name",)), "name") from None
            if name := normal_name(given):
                check_name(name, file)
                return name
    name = normal_name(found.directory.name)
    if not name:
        raise refuse("the stack has no name", Mark(file=files[0]), hint="give one with -p")
    return name


def _sections(model: Map) -> None:
    for kind in ("services", "networks", "volumes", "configs", "secrets", "models"):
        if kind in model and not isinstance(model[kind], Map):
            del model[kind]


def _services(tree: Map) -> Map:
    services = tree.get("services")
    found = Map()
    if isinstance(services, Map):
        for name, service, mark in services.entries():
            found.put(name, service if isinstance(service, Map) else Map(), mark)
    return found


def _settle(tree: Map, name: str, troubles: Troubles) -> StackFile | None:
    """Return the document as a model.

    What cannot be one is noted and taken out, so that the rest can be looked at.
    """
    for _ in range(MOST_ATTEMPTS):
        try:
            return StackFile.model_validate({**bare(tree), "name": name})
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            if not found:
                raise
            for one in found:
                _note(one, tree, troubles)
    return None


def _note(found: "ErrorDetails", tree: Map, troubles: Troubles) -> None:
    path = tuple(str(part) for part in found["loc"] if not _is_of_pydantic(part))
    missing = found["type"] == "missing"
    place = path[:-1] if missing else path
    told = troubles.within(place) if missing else troubles.around(place)
    if not told:
        cause = str(found["msg"]).removeprefix("Value error, ")
        hint = None
        if found["type"] == "extra_forbidden":
            known = ServiceExtension if path[0] == "services" else StackExtension
            cause, hint = "unknown key", suggest(path[-1], known.model_fields)
        elif path[-1:] == (REFRESH,):
            cause = REFUSED[f"services.*.{REFRESH}"]
        troubles.add(tree, path, cause[:1].lower() + cause[1:], hint=hint)
    take_out(tree, place)


def _is_of_pydantic(part: object) -> bool:
    text = str(part)
    return text in ("int", "Ulimit", "[key]") or text.startswith(("function-", "nullable"))
