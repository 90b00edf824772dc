"""``services.web.ports[0]``: what a person calls a value, found in a settled stack."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestrator.errors import PyorchError
from orchestrator.spec.models import StackFile
from orchestrator.spec.problems import suggest, visible
from orchestrator.spec.tree import Path

_PART = re.compile(r"\.?(?:\[(?:(?P<number>[0-9]+)|(['\"])(?P<quoted>.*?)\2)\]|(?P<plain>[^.\[]+))")
HINT = "write it like `services.web.ports[0]`, or services.web.labels['a.b']"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A value of the stack, by its path."""

    path: Path
    value: Any
    described: str
    """What the nearest key of ours is for."""
    given: bool
    """Whether the document says it; otherwise it is what leaving it out means."""


def find(
    text: str, document: dict[str, Any], stack: StackFile, unused: Mapping[str, Any]
) -> Target:
    """Return what ``text`` names. Raises PyorchError, with what it may have meant.

    ``unused`` has, by section, what is declared and no part of the settled stack.
    """
    rest = _parts(text)
    node: Any = document
    model: Any = stack
    path: Path = ()
    described, given = str(StackFile.__doc__).strip(), True
    while rest:
        taken = _taken(node, rest) if given else None
        if taken is None:
            field = _field(model, rest[0])
            if field is None:
                raise _unknown(path, rest, node, model, unused)
            taken, given = (rest[0], 1), False
        key, count = taken
        field = _field(model, key)
        described = field[1].description or described if field else described
        model = getattr(model, field[0]) if field else _below(model, key)
        node = (node[int(key)] if isinstance(node, list) else node[key]) if given else None
        path, rest = (*path, key), rest[count:]
    value = node if given else _plain(model)
    return Target(path=path, value=value, described=described, given=given)


def named(path: Path) -> str:
    """Return a path as a person writes it."""
    text = ""
    for part in path:
        if part.isdigit():
            text += f"[{part}]"
        elif re.search(r"[.\[\]]", part):
            text += f"['{part}']"
        else:
            text += f".{part}" if text else part
    return text


def _parts(text: str) -> list[str]:
    parts = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if not found:
            raise PyorchError(f"`{visible(text)}` is no path of a stack", hint=HINT)
        parts.append(found["number"] or found["plain"] or found["quoted"] or "")
        at = found.end()
    if not parts:
        raise PyorchError("the path is empty", hint=HINT)
    return parts


def _taken(node: Any, rest: list[str]) -> tuple[str, int] | None:
    """Return the key or number that ``rest`` begins with here, and how many parts it takes."""
    if isinstance(node, list):
        number = rest[0]
        return (number, 1) if number.isdecimal() and int(number) < len(node) else None
    if isinstance(node, dict):
        for count in range(len(rest), 0, -1):
            key = ".".join(rest[:count])
            if key in node:
                return key, count
    return None


def _field(model: Any, key: str) -> tuple[str, FieldInfo] | None:
    """Return the field of a model that is written ``key``, and what it is called in Python."""
    if not isinstance(model, BaseModel):
        return None
    for name, field in type(model).model_fields.items():
        if key == (field.alias or name):
            return name, field
    return None


def _below(model: Any, key: str) -> Any:
    if isinstance(model, dict):
        return model.get(key)
    if isinstance(model, list | tuple) and key.isdecimal() and int(key) < len(model):
        return model[int(key)]
    return None


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value


def _unknown(
    path: Path, rest: list[str], node: Any, model: Any, unused: Mapping[str, Any]
) -> PyorchError:
    where = f"`{named(path)}`" if path else "the stack"
    hint: str | None
    if isinstance(node, list):
        entries = f"{len(node)} entr{'y' if len(node) == 1 else 'ies'}, counted from 0"
        hint = f"{where} has {entries}"
    elif len(path) == 1 and rest[0] in (unused.get(path[0]) or ()):
        off = path[0] == "services"
        hint = "no profile activates it: add `--profile`" if off else "no service here uses it"
    else:
        known = list(_keys(node, model))
        meant = suggest(rest[0], known)
        hint = None
        if meant:
            word = meant.split("`")[1]
            hint = f"did you mean `{named((*path, word))}`?"
        elif known and isinstance(node, dict):
            hint = f"{where} has {', '.join(f'`{visible(key)}`' for key in sorted(node)[:12])}"
    cause = f"there is no `{visible('.'.join(rest))}` in {where}"
    return PyorchError(cause, hint=hint, code="not_found")


def _keys(node: Any, model: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
    if isinstance(model, BaseModel):
        yield from (field.alias or name for name, field in type(model).model_fields.items())
