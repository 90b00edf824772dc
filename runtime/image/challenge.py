"""``WWW-Authenticate``, read by its grammar (RFC 9110, section 11). Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_SPACE = re.compile(r"[ \t]*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ASSIGN = re.compile(r"[ \t]*=[ \t]*")
LONGEST = 16 * 1024


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way a server offers to be convinced; names are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(headers: Sequence[str]) -> tuple[Challenge, ...]:
    """Return every challenge of all the header's lines; what breaks the grammar ends a line."""
    found: list[Challenge] = []
    for line in headers:
        if len(line) <= LONGEST and line.isprintable():
            found.extend(_line(line))
    return tuple(found)


def _line(line: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    place = 0
    while True:
        place = _skip(line, place)
        word = _TOKEN.match(line, place)
        if word is None:
            return found
        place = word.end()
        assigned = _ASSIGN.match(line, place) if found else None
        if assigned is None:
            parameters = {}
            found.append(Challenge(word[0].lower(), parameters))
            space = _SPACE.match(line, place)
            place = space.end() if space else place
            bare = _TOKEN68.match(line, place)
            if bare and (bare[0].endswith("=") or not _TOKEN.fullmatch(bare[0])):
                place = bare.end()
            continue
        value = _QUOTED.match(line, assigned.end())
        plain = _TOKEN.match(line, assigned.end())
        if value is not None:
            parameters.setdefault(word[0].lower(), re.sub(r"\\(.)", r"\1", value[1]))
            place = value.end()
        elif plain is not None:
            parameters.setdefault(word[0].lower(), plain[0])
            place = plain.end()
        else:
            return found


def _skip(line: str, place: int) -> int:
    while place < len(line) and line[place] in " \t,":
        place += 1
    return place
