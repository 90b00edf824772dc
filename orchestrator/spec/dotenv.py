"""``.env`` and ``env_file``: the grammar Compose files rely on. Pure."""

import re
from collections.abc import Mapping

from orchestrator.spec.interpolate import interpolate

_KEY = re.compile(r"(?:export\s+)?([\w.\-\[\]]+)[ \t]*(?:([=:])[ \t]*|(?=\n|$))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class DotenvError(ValueError):
    """A line that is no assignment; ``line`` counts from 1."""

    def __init__(self, line: int, cause: str) -> None:
        super().__init__(cause)
        self.line = line


def parse_dotenv(text: str, lookup: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ``text``; ``lookup`` is asked before those already read.

    A name alone takes its value from ``lookup`` and is left out where there is none.
    Raises DotenvError, and InterpolationError for what follows a dollar.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if text[at] in " \t\n":
            at += 1
            continue
        if text[at] == "#":
            at = _line_end(text, at)
            continue
        key = _KEY.match(text, at)
        if not key:
            raise DotenvError(text.count("\n", 0, at) + 1, "not a `NAME=value` line")
        name, at = key[1], key.end()
        if not key[2]:
            if name in lookup:
                found[name] = lookup[name]
            continue
        value, at = _value(text, at, {**found, **lookup})
        found[name] = value
    return found


def parse_raw(text: str, lookup: Mapping[str, str]) -> dict[str, str]:
    """Return variables as ``docker run --env-file`` reads them: nothing is special."""
    found = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, given, value = line.partition("=")
        if given:
            found[name.strip()] = value
        elif name.strip() in lookup:
            found[name.strip()] = lookup[name.strip()]
    return found


def _value(text: str, at: int, variables: Mapping[str, str]) -> tuple[str, int]:
    if at < len(text) and text[at] in "'\"":
        quote = text[at]
        end = at + 1
        while end < len(text) and text[end] != quote:
            end += 2 if text[end] == "\\" else 1
        if end >= len(text):
            raise DotenvError(text.count("\n", 0, at) + 1, f"the quote {quote} is not closed")
        inner = text[at + 1 : end]
        if quote == "'":
            return inner.replace("\\'", "'"), _line_end(text, end)
        return interpolate(_unescape(inner), variables), _line_end(text, end)
    end = _line_end(text, at)
    line = re.split(r"(?:^|\s)#", text[at:end], maxsplit=1)[0].rstrip()
    return interpolate(line, variables), end


def _unescape(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        mark = found[1]
        if mark == "$":
            return "$$"
        return _ESCAPES.get(mark, mark if mark in "\"\\'" else found[0])

    return re.sub(r"\\(.)", one, text, flags=re.DOTALL)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
