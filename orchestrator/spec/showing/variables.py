"""Which variables a document asks for, and what stands in where they are not set. Pure."""

from dataclasses import dataclass
from typing import Any

from orchestrator.spec.values.interpolate import InterpolationError, mentions


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
    if isinstance(value, dict):
        for entry in value.values():
            _collect(entry, found)
    elif isinstance(value, list):
        for entry in value:
            _collect(entry, found)
    elif isinstance(value, str) and "$" in value:
        try:
            mentioned = mentions(value)
        except InterpolationError:
            return  # what cannot be read is told when it is to be filled
        for one in mentioned:
            variable = Variable(
                name=one.name,
                default=one.default or "",
                presence=one.alternate or "",
                required=one.required,
            )
            found.setdefault(one.name, variable)
