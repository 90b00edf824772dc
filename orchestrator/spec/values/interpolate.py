"""``${VAR:-default}`` and its relatives (Compose specification, interpolation). Pure.

Linear in the size of the text: braces are paired once, a word is looked at in place, and one
that is not needed is not looked at.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

DEEPEST = 64
SHOWN = 60
ESCAPE = "write `$$` for a literal dollar"

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATOR = re.compile(r":?[-?+]")
_BRACE_OR_BREAK = re.compile(r"[{}\n]")


class InterpolationError(ValueError):
    """A text that cannot be interpolated, or a required variable without a value.

    ``at`` is where in the text it goes wrong.
    """

    def __init__(self, cause: str, at: int) -> None:
        super().__init__(cause)
        self.at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A variable as a text mentions it, with the words written beside it as they are written."""

    name: str
    default: str | None = None
    alternate: str | None = None
    required: bool = False
    message: str | None = None


def interpolate(
    text: str,
    variables: Mapping[str, str],
    *,
    missing: Callable[[str], None] = lambda name: None,
) -> str:
    """Return ``text`` with its variables replaced; ``$$`` is a dollar.

    ``missing`` is told every variable that has neither a value nor a default, each time.
    Raises InterpolationError for broken syntax and for `${VAR:?message}` without a value.
    """
    if "$" not in text:
        return text
    return _Template(text).expand(variables, missing)


def mentions(text: str) -> list[Mention]:
    """Return every variable in ``text``, also those in words that may not be needed.

    Raises InterpolationError for broken syntax.
    """
    return list(_Template(text).mentions())


@dataclass(frozen=True, slots=True)
class _Reference:
    """A variable in a text: where it stands, and from where to where its word goes."""

    at: int
    name: str
    operator: str = ""
    word: int = 0
    end: int = 0


class _Template:
    def __init__(self, text: str) -> None:
        self._text = text

    def expand(self, variables: Mapping[str, str], missing: Callable[[str], None]) -> str:
        """Return the text with its variables replaced."""

        def expanded(start: int, stop: int, depth: int) -> str:
            parts = self._parts(start, stop, depth)
            return "".join(p if isinstance(p, str) else value(p, depth) for p in parts)

        def value(one: _Reference, depth: int) -> str:
            found = variables.get(one.name)
            if not one.operator:
                if found is None:
                    missing(one.name)
                return found or ""
            given = bool(found) if one.operator[0] == ":" else found is not None
            kind = one.operator[-1]
            if kind == "+":
                return expanded(one.word, one.end, depth + 1) if given else ""
            if given:
                return found or ""
            word = expanded(one.word, one.end, depth + 1)
            if kind == "?":
                reason = f": {word}" if word else ""
                cause = f"required variable {one.name} is missing a value{reason}"
                raise InterpolationError(cause, one.at)
            return word

        return expanded(0, len(self._text), 0)

    def mentions(self) -> Iterator[Mention]:
        """Yield what the text mentions, and then what its words mention."""
        todo = deque([(0, len(self._text), 0)])
        while todo:
            start, stop, depth = todo.popleft()
            for one in self._parts(start, stop, depth):
                if isinstance(one, str):
                    continue
                word = self._text[one.word : one.end]
                kind = one.operator[-1:]
                yield Mention(
                    name=one.name,
                    default=word if kind == "-" else None,
                    alternate=word if kind == "+" else None,
                    required=kind == "?",
                    message=word if kind == "?" else None,
                )
                if "$" in word:
                    todo.append((one.word, one.end, depth + 1))

    def _parts(self, start: int, stop: int, depth: int) -> "Iterator[str | _Reference]":
        """Yield literal text and references between two places, in order."""
        text = self._text
        if depth > DEEPEST:
            raise InterpolationError(f"defaults are nested deeper than {DEEPEST} levels", start)
        at = start
        while (dollar := text.find("$", at, stop)) >= 0:
            if dollar > at:
                yield text[at:dollar]
            after = text[dollar + 1] if dollar + 1 < stop else ""
            if after == "$":
                yield "$"
                at = dollar + 2
            elif after == "{":
                reference, at = self._braced(dollar, stop)
                yield reference
            elif name := _NAME.match(text, dollar + 1, stop):
                yield _Reference(dollar, name[0])
                at = name.end()
            else:
                yield "$"
                at = dollar + 1
        if at < stop:
            yield text[at:stop]

    def _braced(self, dollar: int, stop: int) -> tuple[_Reference, int]:
        """Return the reference whose `${` is at ``dollar``, and where the text goes on."""
        text = self._text
        end = self._closing.get(dollar + 1, stop)
        if end >= stop:
            # Braces of the word do not pair up: it goes on to the last one of the line.
            line = text.find("\n", dollar, stop)
            end = text.rfind("}", dollar, stop if line < 0 else line)
        if end < 0:
            self._refuse(dollar, stop, "has no `}` in its line")
        name = _NAME.match(text, dollar + 2, end)
        if not name:
            self._refuse(dollar, end + 1, "names no variable")
        if name.end() == end:
            return _Reference(dollar, name[0]), end + 1
        operator = _OPERATOR.match(text, name.end(), end)
        if not operator:
            self._refuse(dollar, end + 1, "is not understood")
        return _Reference(dollar, name[0], operator[0], operator.end(), end), end + 1

    @cached_property
    def _closing(self) -> dict[int, int]:
        """Where each `{` of the text is closed in its line."""
        pairs = {}
        opened: list[int] = []
        for found in _BRACE_OR_BREAK.finditer(self._text):
            if found[0] == "{":
                opened.append(found.start())
            elif found[0] == "\n":
                opened.clear()
            elif opened:
                pairs[opened.pop()] = found.start()
        return pairs

    def _refuse(self, start: int, stop: int, why: str) -> NoReturn:
        shown = self._text[start:stop]
        if len(shown) > SHOWN:
            shown = shown[:SHOWN] + "…"
        raise InterpolationError(f"`{shown}` {why}; {ESCAPE}", start)
