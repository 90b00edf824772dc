"""The JSON schema of a stack file, for editors: short and long forms, every key described.

Says yes to everything the loader takes from a file by itself, before variables are put in; so
a text with a `$` may stand for any word. Not everything it says yes to loads: what contradicts
itself is for the loader to find.
"""

import functools
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestrator.spec.composing.unique import UNIQUE
from orchestrator.spec.grammar import STACK
from orchestrator.spec.grammar.shapes import Either, ListOf, MapOf, Record, Scalar, Shape
from orchestrator.spec.judging.support import Kind, fate
from orchestrator.spec.models.extensions import Extension
from orchestrator.spec.showing.keys import EXTENSIONS, OWN, Key, keys, model_in, place_in
from orchestrator.spec.tree import Path

DIALECT = "http://json-schema.org/draft-07/schema#"
VARIABLE = r"\$"
EXTENSION = "^x-"

Schema = dict[str, Any]


def schema() -> Schema:
    """Return the schema of a whole file."""
    head = {
        "$schema": DIALECT,
        "title": "pyorch stack file",
        "description": "A Compose file, as pyorch reads it.",
    }
    return head | _Writer().write(STACK, ())


class _Writer:
    def __init__(self) -> None:
        self._keys = {key.path: key for key in keys()}

    def write(self, shape: Shape, path: Path, *, whole: bool = False) -> Schema:
        """Return the schema of a value; ``whole``: nothing of it can stand in another file."""
        match shape:
            case Scalar():
                return _scalar(shape)
            case Either():
                return {"anyOf": [self.write(one, path, whole=whole) for one in shape.options]}
            case ListOf():
                return self._list(shape, path)
            case MapOf():
                return self._mapping(shape, path, whole=whole)
            case Record():
                return self._record(shape, path, whole=whole)
            case _:
                return {}

    def _list(self, shape: ListOf, path: Path) -> Schema:
        found: Schema = {"type": "array", "items": self.write(shape.item, (*path, "*"), whole=True)}
        # Where a later entry takes the place of an equal one, the loader drops the first.
        if shape.unique and not _replaced(path):
            found["uniqueItems"] = True
        return found

    def _mapping(self, shape: MapOf, path: Path, *, whole: bool) -> Schema:
        below = self.write(shape.value, (*path, "*"), whole=whole)
        if not shape.keys:
            return {"type": "object", "additionalProperties": below}
        return {
            "type": "object",
            "patternProperties": {shape.keys: below},
            "additionalProperties": not shape.closed,
        }

    def _record(self, shape: Record, path: Path, *, whole: bool) -> Schema:
        properties: Schema = {}
        for key, below in shape.fields.items():
            where = (*path, key)
            properties[key] = _about(self._keys[where]) | self.write(below, where, whole=whole)
        if path in EXTENSIONS:
            properties[OWN] = self._own(path)
        found: Schema = {"type": "object", "properties": properties}
        if shape.extensible:
            found["patternProperties"] = {EXTENSION: {}}
        found["additionalProperties"] = not shape.closed
        if whole and shape.required:
            found["required"] = list(shape.required)
        if whole and shape.any_of:
            found["anyOf"] = [{"required": [key]} for key in shape.any_of]
        return found

    def _own(self, path: Path) -> Schema:
        where = (*path, OWN)
        return _about(self._keys[where]) | self._model(where, EXTENSIONS[path])

    def _model(self, path: Path, model: type[BaseModel]) -> Schema:
        properties: Schema = {}
        for name, field in model.model_fields.items():
            where = (*path, name)
            below = model_in(field.annotation)
            found = self._below(where, field, below) if below else _field(field)
            properties[name] = _about(self._keys[where]) | found
        found = {"type": "object", "properties": properties, "additionalProperties": False}
        words = model.WORDS if issubclass(model, Extension) else ()
        return {"anyOf": [{"enum": list(words)}, found]} if words else found

    def _below(self, path: Path, field: FieldInfo, model: type[BaseModel]) -> Schema:
        place = place_in(path, field.annotation)
        found = self._model(place, model)
        if place == path:
            return found
        if get_origin(field.annotation) is tuple:
            return {"type": "array", "items": found}
        names = get_args(get_args(field.annotation)[0])
        properties = dict.fromkeys(names, found)
        return {"type": "object", "properties": properties, "additionalProperties": False}


def _about(key: Key) -> Schema:
    """Return what an editor shows beside a key."""
    found = fate(key.name)
    text = key.description
    if found.kind is not Kind.IMPLEMENTED:
        text += f" {found.kind.capitalize()}: {found.why}."
    about: Schema = {"description": text}
    default = key.field.default if key.field else None
    if isinstance(default, bool) or (isinstance(default, int | float | str) and default):
        about["default"] = default
    if key.name == "version":
        about["deprecated"] = True
    return about


_NUMBERS: dict[Any, str] = {int: "integer", float: "number"}


def _field(field: FieldInfo) -> Schema:
    for number, kind in _NUMBERS.items():
        if field.annotation in (number, number | None):
            return {"type": [kind, "string"]}
    if field.annotation is str:
        return {"type": "string"}
    if field.annotation is bool:
        return {"type": ["boolean", "string"]}
    if field.annotation == tuple[str, ...]:
        return {"type": "array", "items": {"type": "string"}}
    if get_origin(field.annotation) is tuple:
        return {"type": "array", "items": _words(list(get_args(get_args(field.annotation)[0])))}
    if get_origin(field.annotation) is not Literal:
        raise TypeError(f"{field.annotation}: say here how an editor is told of such a key")
    return _words(list(get_args(field.annotation)))


def _words(words: list[str]) -> Schema:
    return {"anyOf": [{"enum": words}, {"type": "string", "pattern": VARIABLE}]}


def _scalar(shape: Scalar) -> Schema:
    kinds = sorted(shape.kinds)
    if shape.words:
        others = [one for one in kinds if one != "string"]
        found = _words(list(shape.words))
        if others:
            found["anyOf"].append({"type": others})
        return found
    found = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if shape.pattern:
        found["pattern"] = f"({shape.pattern})|{VARIABLE}"
    if shape.least is not None:
        found["minimum"] = shape.least
    if shape.most is not None:
        found["maximum"] = shape.most
    return found


def _replaced(path: Path) -> bool:
    """Whether the entries of a list take the place of earlier ones that mean the same."""

    def below(rules: Any, key: str) -> Any:
        return rules.get(key, rules.get("*")) if isinstance(rules, dict) else None

    return callable(functools.reduce(below, path, UNIQUE))
