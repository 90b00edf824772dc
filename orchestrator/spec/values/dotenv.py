"""``.env`` and ``env_file``: the grammar Compose files rely on. Pure.

What is wrong is told by line and name; values are never shown, they may be secrets.
"""

import re
from collections import ChainMap
from collections.abc import Callable, Mapping

from orchestrator.spec.values.interpolate import InterpolationError, interpolate

_BLANK = " \t\v\f\r\x85\xa0"
_LETTERS = r"[\w.\-\[\]]"
_BETWEEN = re.compile(r"(?:\s+|#[^\n]*)*")
_WORD = re.compile(rf"(?:export[{_BLANK}]+)?(?P<name>{_LETTERS}*)[{_BLANK}]*")
_NAME = re.compile(rf"{_WORD.pattern}(?:[=:][{_BLANK}]*|(?P<alone>\n|\Z))")
_LETTER = re.compile(_LETTERS)
_QUOTED = {
    "'": re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
}
_ESCAPE = re.compile(r"\\(?:0([0-3][0-7]{2})|([abfnrtv$\"\\]))")
_ESCAPES = {
    **dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)),
    "$": "$$",
    '"': '"',
    "\\": "\\",
}


class DotenvError(ValueError):
    """What cannot be read; ``line`` counts from 1."""

    def __init__(self, line: int, cause: str) -> None:
        super().__init__(cause)
        self.line = line


def parse_dotenv(
    text: str,
    lookup: Mapping[str, str],
    *,
    missing: Callable[[str], None] = lambda name: None,
    placed: Callable[[str, int], None] = lambda name, at: None,
) -> dict[str, str]:
    """Return the variables of ``text``; ``lookup`` is asked before those already read.

    A name alone takes its value from ``lookup`` and is left out where there is none.
    ``missing`` is told what a value mentions and nobody knows, ``placed`` where in the text
    (its line ends being ``\\n``) a variable is set. Raises DotenvError.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    known = ChainMap(dict(lookup), found)
    at = _skip(text, 0)
    while at < len(text):
        begun = at
        name, alone, at = _name(text, at)
        if alone:
            if name in lookup:
                found[name] = lookup[name]
                placed(name, begun)
        else:
            value, expands, at = _value(text, at, name)
            try:
                value = interpolate(value, known, missing=missing) if expands else value
            except InterpolationError as error:
                raise DotenvError(_line(text, begun), f"{name}: {error}") from None
            if "\0" in value:
                raise DotenvError(_line(text, begun), f"{name}: the value holds a NUL character")
            found[name] = value
            placed(name, begun)
        at = _skip(text, at)
    return found


def parse_raw(
    text: str,
    lookup: Mapping[str, str],
    *,
    placed: Callable[[str, int], None] = lambda name, at: None,
) -> dict[str, str]:
    """Return variables as ``docker run --env-file`` reads them: nothing is special.

    ``placed`` is told where in the text a variable is set. Raises DotenvError for a line
    without a name.
    """
    found = {}
    following = 0
    for number, ended in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        at, following = following, following + len(ended) + 1
        line = ended.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name, given, value = line.partition("=")
        if not name:
            raise DotenvError(number, "there is no name before the `=`")
        if name.split() != [name]:
            raise DotenvError(number, f"the name `{name}` holds a blank")
        if "\0" in line:
            raise DotenvError(number, f"{name}: the value holds a NUL character")
        if given:
            found[name] = value
        elif name in lookup:
            found[name] = lookup[name]
        if name in found:
            placed(name, at)
    return found


def _name(text: str, at: int) -> tuple[str, bool, int]:
    """Return the name that begins at ``at``, whether it stands alone, and where it ends."""
    found = _NAME.match(text, at)
    if found:
        return found["name"], found["alone"] is not None, found.end()
    word = _WORD.match(text, at)
    wrong = word.end() if word else at
    several = wrong > at and _LETTER.match(text, wrong)
    cause = "a name cannot hold a blank" if several else f"unexpected `{text[wrong]}` in a name"
    raise DotenvError(
        _line(text, at), f"{cause}; write `NAME=value`, and quotes around a value of several lines"
    )


def _value(text: str, at: int, name: str) -> tuple[str, bool, int]:
    """Return the value that begins at ``at``, whether variables count, and where it ends."""
    quote = text[at : at + 1]
    if quote in _QUOTED:
        found = _QUOTED[quote].match(text, at)
        if not found:
            raise DotenvError(_line(text, at), f"{name}: the quote {quote} is not closed")
        # What follows in the line is a comment, or the next statement.
        if quote == "'":
            return found[1].replace("\\'", "'"), False, found.end()
        return _ESCAPE.sub(_unescaped, found[1]), True, found.end()
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return text[at:end].partition(" #")[0].rstrip(), True, end


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 8)) if found[1] else _ESCAPES[found[2]]


def _skip(text: str, at: int) -> int:
    """Return where the next statement begins: behind blanks, empty lines and comments."""
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
