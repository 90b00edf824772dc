"""What a value in a stack file may look like, and the check of it. Knows no key of Compose.

A shape reports everything wrong with a value and takes the wrong parts out, so that what is
left can be looked at further.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.spec.problems import suggest
from orchestrator.spec.tree import Map, Path, Seq

Report = Callable[[Path, str, str | None], None]
"""Told a path, what is wrong there, and what to try."""

SHOWN = 60
"""Characters of a value repeated in a message."""


class Shape(Protocol):
    """What a value may look like."""

    @property
    def kinds(self) -> frozenset[str]:
        """Return the kinds of value this shape is about."""

    def check(self, value: Any, path: Path, report: Report) -> bool:
        """Report what is wrong; return whether the value may stay."""


def kind(value: Any) -> str:
    """Return what a value is, in a word."""
    if isinstance(value, dict):
        return "mapping"
    if isinstance(value, list):
        return "list"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    return "number"


def shown(value: Any) -> str:
    """Return a value as it may be repeated in a message."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text[:SHOWN]}`" + ("..." if len(text) > SHOWN else "")


_ARTICLES = {"integer": "an integer", "null": "empty"}


def _one_of(kinds: frozenset[str]) -> str:
    names = [_ARTICLES.get(one, f"a {one}") for one in sorted(kinds)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value of one of some kinds, perhaps one of a few words, or matching a pattern."""

    kinds: frozenset[str]
    words: Sequence[str] = ()
    pattern: str | None = None
    least: float | None = None
    most: float | None = None
    example: str | None = None

    def check(self, value: Any, path: Path, report: Report) -> bool:
        found = kind(value)
        if found not in self.kinds and not (found == "integer" and "number" in self.kinds):
            if found == "number" and "integer" in self.kinds:
                report(path, f"must be {_one_of(self.kinds)}, {shown(value)} is not", None)
            else:
                text = str(value).lower() if found == "boolean" else str(value)
                quoted = "string" in self.kinds and found in ("integer", "number", "boolean")
                hint = f"write it in quotes: '{text[:SHOWN]}'" if quoted else None
                if self.example:
                    hint = f"write one like {self.example}"
                report(path, f"must be {_one_of(self.kinds)}, not {shown(value)}", hint)
            return False
        if found == "string":
            return self._check_text(value, path, report)
        if self.least is not None and value < self.least:
            report(path, f"must be at least {self.least:g}, {shown(value)} is not", None)
            return False
        if self.most is not None and value > self.most:
            report(path, f"must be at most {self.most:g}, {shown(value)} is not", None)
            return False
        return True

    def _check_text(self, value: str, path: Path, report: Report) -> bool:
        if self.words and value not in self.words:
            choices = ", ".join(f"`{word}`" for word in self.words)
            report(path, f"{shown(value)} is none of {choices}", suggest(value, self.words))
            return False
        if self.pattern and not re.search(self.pattern, value):
            report(path, f"{shown(value)} does not match `{self.pattern}`", None)
            return False
        return True


def scalar(*kinds: str, **more: Any) -> Scalar:
    """Return the shape of a single value."""
    return Scalar(frozenset(kinds), **more)


@dataclass(frozen=True, slots=True)
class Anything:
    """Whatever there is."""

    kinds: frozenset[str] = frozenset(
        ("mapping", "list", "string", "boolean", "null", "integer", "number")
    )

    def check(self, value: Any, path: Path, report: Report) -> bool:
        del value, path, report
        return True


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of values of one shape, perhaps without repetition."""

    item: Shape
    unique: bool = False
    kinds: frozenset[str] = frozenset(("list",))

    def check(self, value: Any, path: Path, report: Report) -> bool:
        if not isinstance(value, list):
            report(path, f"must be a list, not {shown(value)}", _listed_hint(value))
            return False
        wrong = [
            number
            for number, entry in enumerate(value)
            if not self.item.check(entry, (*path, str(number)), report)
        ]
        if self.unique and len(value) > 1:
            wrong += _repeated(value, path, report)
        for number in sorted(set(wrong), reverse=True):
            del value[number]
            if isinstance(value, Seq):
                del value.marks[number]
        return True


def _listed_hint(value: Any) -> str | None:
    return f"write [{value}]" if isinstance(value, str | int) and value != "" else None


def _repeated(value: list[Any], path: Path, report: Report) -> list[int]:
    seen: dict[str, int] = {}
    wrong = []
    for number, entry in enumerate(value):
        key = f"{kind(entry)} {entry}"
        if key in seen:
            report((*path, str(number)), f"{shown(entry)} is listed twice", "leave one out")
            wrong.append(number)
        seen.setdefault(key, number)
    return wrong


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping whose keys are the author's; keys off the pattern may be refused."""

    value: Shape
    keys: str = ""
    closed: bool = True
    kinds: frozenset[str] = frozenset(("mapping",))

    def check(self, value: Any, path: Path, report: Report) -> bool:
        if not isinstance(value, dict):
            report(path, f"must be a mapping, not {shown(value)}", None)
            return False
        matches = re.compile(self.keys).search
        wrong = []
        for key, entry in value.items():
            if self.keys and not matches(key):
                if self.closed:
                    report((*path, key), f"`{key[:SHOWN]}` may not be a name here", _NAME_HINT)
                    wrong.append(key)
            elif not self.value.check(entry, (*path, key), report):
                wrong.append(key)
        _take_out(value, wrong)
        return True


UNKNOWN = "unknown key"
_NAME_HINT = "names are made of letters, digits, `.`, `_` and `-`"


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with keys of ours. ``renamed`` says what other times called them."""

    fields: Mapping[str, Shape]
    required: Sequence[str] = ()
    extensible: bool = True
    closed: bool = True
    renamed: Mapping[str, str] = field(default_factory=dict)
    any_of: Sequence[str] = ()
    kinds: frozenset[str] = frozenset(("mapping",))

    def check(self, value: Any, path: Path, report: Report) -> bool:
        if not isinstance(value, dict):
            report(path, f"must be a mapping, not {shown(value)}", None)
            return False
        wrong = []
        for key, entry in value.items():
            shape = self.fields.get(key)
            if shape is not None:
                if not shape.check(entry, (*path, key), report):
                    wrong.append(key)
            elif self.closed and not (self.extensible and key.startswith("x-")):
                report((*path, key), UNKNOWN, self._hint(key))
                wrong.append(key)
        _take_out(value, wrong)
        missing = [key for key in self.required if key not in value and key not in wrong]
        for key in missing:
            report(path, f"`{key}` is missing", None)
        if self.any_of and not any(key in value or key in wrong for key in self.any_of):
            words = " or ".join(f"`{key}`" for key in self.any_of)
            report(path, f"{words} is missing", None)
            return False
        return not missing

    def _hint(self, key: str) -> str | None:
        if key in self.renamed:
            return f"it is called {self.renamed[key]} today"
        return suggest(key, self.fields) or suggest(key.lower(), self.fields)


@dataclass(frozen=True, slots=True)
class Either:
    """One of several shapes, told apart by the kind of the value."""

    options: Sequence[Shape]
    kinds: frozenset[str]

    def check(self, value: Any, path: Path, report: Report) -> bool:
        found = kind(value)
        for option in self.options:
            if found in option.kinds or (found == "integer" and "number" in option.kinds):
                return option.check(value, path, report)
        report(path, f"must be {_one_of(self.kinds)}, not {shown(value)}", None)
        return False


def either(*options: Shape) -> Either:
    """Return the shape of a value that has a short and a long form."""
    return Either(options, frozenset[str]().union(*(option.kinds for option in options)))


def _take_out(value: dict[str, Any], keys: Sequence[str]) -> None:
    for key in keys:
        value.pop(key, None)
        if isinstance(value, Map):
            value.marks.pop(key, None)
