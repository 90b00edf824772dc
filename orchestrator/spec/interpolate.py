"""``${VAR:-default}`` and its relatives (Compose specification, interpolation). Pure."""

import re
from collections.abc import Callable, Mapping

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATOR = re.compile(r":-|-|:\?|\?|:\+|\+")
DEEPEST = 64


class InterpolationError(ValueError):
    """A text that cannot be interpolated, or a required variable without a value."""


def interpolate(
    text: str,
    variables: Mapping[str, str],
    *,
    missing: Callable[[str], None] = lambda name: None,
) -> str:
    """Return ``text`` with its variables replaced; ``$$`` is a dollar.

    ``missing`` is told every variable that has neither a value nor a default.
    Raises InterpolationError for broken syntax and for `${VAR:?message}` without a value.
    """
    return _expand(text, variables, missing, 0)


def _expand(
    text: str, variables: Mapping[str, str], missing: Callable[[str], None], depth: int
) -> str:
    if "$" not in text:
        return text
    if depth > DEEPEST:
        raise InterpolationError(f"defaults are nested deeper than {DEEPEST} levels")
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        after = text[dollar + 1 : dollar + 2]
        if after == "$":
            parts.append("$")
            at = dollar + 2
        elif after == "{":
            end = _closing(text, dollar + 2)
            parts.append(_braced(text[dollar + 2 : end], variables, missing, depth))
            at = end + 1
        elif name := _NAME.match(text, dollar + 1):
            parts.append(_plain(name[0], variables, missing))
            at = name.end()
        else:
            parts.append("$")
            at = dollar + 1
    parts.append(text[at:])
    return "".join(parts)


def _closing(text: str, start: int) -> int:
    depth = 1
    at = start
    while at < len(text):
        if text.startswith("${", at):
            depth += 1
            at += 2
            continue
        if text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise InterpolationError("`${` without `}`; write `$$` for a literal dollar")


def _braced(
    inner: str, variables: Mapping[str, str], missing: Callable[[str], None], depth: int
) -> str:
    found = _NAME.match(inner)
    if not found:
        raise InterpolationError(f"`${{{inner}}}` names no variable; write `$$` for a dollar")
    name, rest = found[0], inner[found.end() :]
    if not rest:
        return _plain(name, variables, missing)
    operator = _OPERATOR.match(rest)
    if not operator:
        raise InterpolationError(f"`${{{inner}}}` is not understood; write `$$` for a dollar")
    word = rest[operator.end() :]
    value = variables.get(name)
    given = bool(value) if operator[0].startswith(":") else value is not None
    kind = operator[0][-1]
    if kind == "+":
        return _expand(word, variables, missing, depth + 1) if given else ""
    if given:
        return value or ""
    replacement = _expand(word, variables, missing, depth + 1)
    if kind == "?":
        raise InterpolationError(f"required variable {name} is missing a value: {replacement}")
    return replacement


def _plain(name: str, variables: Mapping[str, str], missing: Callable[[str], None]) -> str:
    if name not in variables:
        missing(name)
        return ""
    return variables[name]
