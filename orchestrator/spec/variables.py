"""Which variables a document asks for, and what stands in where they are not set. Pure."""

import re
from dataclasses import dataclass
from typing import Any

_START = re.compile(r"\$(?:\$|\{([_a-zA-Z][_a-zA-Z0-9]*)|([_a-zA-Z][_a-zA-Z0-9]*))")
_OPERATOR = re.compile(r":-|-|:\?|\?|:\+|\+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable, as the first place that asks for it does."""

    name: str
    default: str = ""
    presence: str = ""
    required: bool = False


def variables_of(value: Any) -> dict[str, Variable]:
    """Return every variable of a document that was not filled, by name."""
    found: dict[str, Variable] = {}
    _collect(value, found)
    return dict(sorted(found.items()))


def _collect(value: Any, found: dict[str, Variable]) -> None:
    if isinstance(value, str):
        _scan(value, found)
    elif isinstance(value, dict):
        for entry in value.values():
            _collect(entry, found)
    elif isinstance(value, list):
        for entry in value:
            _collect(entry, found)


def _scan(text: str, found: dict[str, Variable]) -> None:
    at = 0
    while start := _START.search(text, at):
        at = start.end()
        if start[2]:
            found.setdefault(start[2], Variable(name=start[2]))
        elif start[1]:
            end = _closing(text, at)
            _braced(start[1], text[at:end], found)
            at = end


def _closing(text: str, start: int) -> int:
    depth, at = 1, start
    while at < len(text):
        if text.startswith("${", at):
            depth += 1
            at += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                break
        at += 1
    return at


def _braced(name: str, rest: str, found: dict[str, Variable]) -> None:
    operator = _OPERATOR.match(rest)
    word = rest[operator.end() :] if operator else ""
    kind = operator[0][-1] if operator else ""
    found.setdefault(
        name,
        Variable(
            name=name,
            default=word if kind == "-" else "",
            presence=word if kind == "+" else "",
            required=kind == "?",
        ),
    )
    if kind != "?":
        _scan(word, found)
