"""Every key of a stack file: its shape from the grammar, its meaning from the models. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestrator.spec.grammar import STACK
from orchestrator.spec.grammar.shapes import Either, ListOf, MapOf, Record, Shape
from orchestrator.spec.models import (
    CarriedExtension,
    ServiceExtension,
    StackExtension,
    StackFile,
)
from orchestrator.spec.tree import Path

OWN = "x-pyorch"
INTERNAL = ("recreate", "origin", "payload", "seccomp")
"""Fields of the models that no file may hold: the client and the daemon tell each other."""

EXTENSIONS: dict[Path, type[BaseModel]] = {
    (): StackExtension,
    ("services", "*"): ServiceExtension,
    ("configs", "*"): CarriedExtension,
    ("secrets", "*"): CarriedExtension,
}
"""Where `x-pyorch` may stand, and what it holds there."""

LOADING = {
    "version": "Obsolete; says nothing.",
    "include": "Other stack files whose services and resources become part of this one.",
    "include.*.path": "The file, here or elsewhere; of several, later ones override earlier ones.",
    "include.*.env_file": "Files of its variables; `.env` beside it where none is given.",
    "include.*.project_directory": "Where its relative paths begin.",
    "services.*.extends": "The service this one is built on, of this file or another.",
    "services.*.extends.service": "Its name.",
    "services.*.extends.file": "The file it is in, here or elsewhere; without one, this.",
    "services.*.pull_refresh_after": "How old an image may become before it is pulled again.",
    "*.*.external.name": "What `name` was called in older files.",
}
"""What keys say that are gone once a file is loaded; they have no field in the models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key by its path, in which `*` stands for names and for the entries of lists."""

    path: Path
    description: str
    shape: Shape | None = None
    """None for keys below `x-pyorch`, which are told by their field alone."""
    field: FieldInfo | None = None
    required: bool = False

    @property
    def name(self) -> str:
        """Return the path, dotted."""
        return ".".join(self.path)


def keys() -> Iterator[Key]:
    """Yield every key a stack file may hold, each below the one it is in."""
    yield from _walk(STACK, (), StackFile)


def _walk(shape: Shape, path: Path, model: type[BaseModel] | None) -> Iterator[Key]:
    if isinstance(shape, Either):
        for option in shape.options:
            yield from _walk(option, path, model)
    elif isinstance(shape, ListOf):
        yield from _walk(shape.item, (*path, "*"), model)
    elif isinstance(shape, MapOf):
        yield from _walk(shape.value, (*path, "*"), model)
    elif isinstance(shape, Record):
        for key, below in shape.fields.items():
            field = _field(model, key)
            where = (*path, key)
            yield Key(
                path=where,
                description=_description(where, field),
                shape=below,
                field=field,
                required=key in shape.required,
            )
            yield from _walk(below, where, model_in(field.annotation) if field else None)
        if path in EXTENSIONS:
            yield from _own(path, EXTENSIONS[path], _field(model, OWN))


def _own(path: Path, model: type[BaseModel], field: FieldInfo | None) -> Iterator[Key]:
    where = (*path, OWN)
    yield Key(path=where, description=_description(where, field), field=field)
    yield from _fields(where, model)


def _fields(path: Path, model: type[BaseModel]) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        where = (*path, name)
        yield Key(path=where, description=str(field.description), field=field)
        if (below := model_in(field.annotation)) is not None:
            yield from _fields(place_in(where, field.annotation), below)


def place_in(path: Path, annotation: Any) -> Path:
    """Return where the models are that a type is about: it, or each of what it maps to or lists."""
    return (*path, "*") if get_origin(annotation) in (Mapping, tuple) else path


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model a type is about: itself, or what it is a list, mapping or choice of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := model_in(one))), None)


def _field(model: type[BaseModel] | None, key: str) -> FieldInfo | None:
    for name, field in model.model_fields.items() if model else ():
        if (field.alias or name) == key:
            return field
    return None


def _description(path: Path, field: FieldInfo | None) -> str:
    if field is not None:
        return field.description or ""
    return LOADING.get(".".join(path)) or LOADING.get(".".join(("*", "*", *path[2:]))) or ""
