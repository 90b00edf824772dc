"""Keys that would be right in another depth: the mistake of an indentation. Pure."""

from collections.abc import Iterator
from typing import Any

from orchestrator.spec.grammar import STACK
from orchestrator.spec.grammar.service import SERVICE
from orchestrator.spec.grammar.shapes import Either, ListOf, MapOf, Record, Shape
from orchestrator.spec.tree import Path

SECTIONS = ("networks", "volumes", "configs", "secrets")


def misplaced(document: Any, path: Path) -> str | None:
    """Return what to do about a key that is wrong at ``path`` and right above or below it."""
    key = path[-1]
    if path[0] == "services" and 1 < len(path) < 4 and _is_section(document, path[:2]):
        return f"`{path[1]}` stands below `services`: indent it less"
    if len(path) == 2 and path[0] == "services" and key in SERVICE.fields:
        return f"`{key}` is a key of services: indent it below one"
    if len(path) == 1 and key not in STACK.fields:
        if key in SERVICE.fields:
            return f"`{key}` is a key of services: indent it below one"
        value = document.get(key) if isinstance(document, dict) else None
        if isinstance(value, dict) and value and all(inner in SERVICE.fields for inner in value):
            return "services stand below `services:`: indent it"
        return None
    return _below(document, path) or _above(path)


def _is_section(document: Any, path: Path) -> bool:
    """Whether what stands where a service does is called like a section, and looks like none."""
    value = _value(document, path)
    keys = value if isinstance(value, dict) else ()
    return path[1] in SECTIONS and not any(key in SERVICE.fields for key in keys)


def _below(document: Any, path: Path) -> str | None:
    """Return the hint for a key of a mapping that stands beside it."""
    key, beside = path[-1], _value(document, path[:-1])
    owners = [
        name
        for record in _records(path[:-1])
        for name, shape in record.fields.items()
        if isinstance(beside, dict)
        and name in beside
        and any(key in inner.fields for inner in _in(shape))
    ]
    return f"`{key}` is a key of `{owners[0]}`: indent it below that" if owners else None


def _above(path: Path) -> str | None:
    """Return the hint for a key of what its mapping is part of."""
    key = path[-1]
    for length in range(len(path) - 2, 0, -1):
        if any(key in record.fields for record in _records(path[:length])):
            return f"`{key}` is a key of `{path[length - 1]}`: indent it less"
    return None


def _records(path: Path) -> list[Record]:
    """Return the mappings with keys of ours that may stand at a path."""
    shapes: list[Shape] = [STACK]
    for part in path:
        shapes = [inner for shape in shapes for inner in _step(shape, part)]
    return [record for shape in shapes for record in _in(shape)]


def _step(shape: Shape, part: str) -> Iterator[Shape]:
    if isinstance(shape, Either):
        for option in shape.options:
            yield from _step(option, part)
    elif isinstance(shape, Record) and part in shape.fields:
        yield shape.fields[part]
    elif isinstance(shape, MapOf):
        yield shape.value
    elif isinstance(shape, ListOf):
        yield shape.item


def _in(shape: Shape) -> Iterator[Record]:
    if isinstance(shape, Record):
        yield shape
    elif isinstance(shape, Either):
        for option in shape.options:
            yield from _in(option)


def _value(document: Any, path: Path) -> Any:
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document
