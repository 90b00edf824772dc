"""YAML as Compose files are written: positions kept, nothing guessed, bombs refused.

The parser's events are composed here rather than by the library's own constructor, which
reads `22:22` as a number and `no` as false, lets the last of two equal keys win without a
word, and builds whatever a tag names.

The parser is asked for one event at a time and looks ahead by no more than a kilobyte, so a
file that nests too deeply or holds too much is refused before more of it is parsed. Nothing
here, and nothing in the parser between two events, recurses with the depth of a file.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml as pyyaml

from orchestrator.spec.problems import Mark, Problem, Source, SpecError
from orchestrator.spec.reading.document import Below, Document, Places, Tagged, Value
from orchestrator.spec.reading.files import MAX_BYTES, read_file
from orchestrator.spec.reading.yaml_scalars import STANDARD, TAGS, plain, tagged

try:
    from yaml._yaml import CParser
except ImportError:  # pragma: no cover - a PyYAML that was built without libyaml is slow
    CParser = None  # type: ignore[assignment, misc]

__all__ = ["Document", "Tagged", "Value", "parse", "read_file"]

MAX_DEPTH = 64
ALLOWED = 100_000
"""What a file may hold however short it is, counted twice: by the memory its values take (a scalar
1; a mapping, a list or an anchor 4), and by values, each alias counted as all it stands for."""
WRITTEN = 8
"""Characters that allow one more: people and generators write more than that for a value."""
MAX_DOCUMENTS = 1_000
MAX_PROBLEMS = 50

OWN_TAGS = ("!reset", "!override")

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_TAGS = ", ".join(f"`{tag}`" for tag in (*OWN_TAGS, *(f"!!{tag}" for tag in TAGS)))
_QUOTES = "text that begins with `{` or `[` needs quotes"
_INDENTATION = "compare the indentation with that of the lines above"
_HINTS = {
    "mapping values are not allowed in this context": (
        "a value that holds `: ` needs quotes; or the line is indented too far"
    ),
    "did not find expected key": _INDENTATION,
    "did not find expected '-' indicator": _INDENTATION,
    "could not find expected ':'": "a key is followed by `: `; text of several lines needs quotes",
    "found character that cannot start any token": "text that begins with it needs quotes",
    "found unexpected end of stream": "a quote is not closed",
    "found undefined tag handle": f"of tags, only {_TAGS} may be used",
}
# What a YAML file may not hold.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def parse(text: str, file: str) -> list[Document]:
    """Return every document of ``text``. Raises SpecError with line and column."""
    source = Source(file, text.removeprefix("\ufeff"))
    if len(text) > MAX_BYTES:
        cause = f"it is larger than {MAX_BYTES // 10**6} MB"
        raise SpecError([Problem(mark=Mark(file=file), path="", cause=cause)])
    composer = _Composer(source)
    if strange := _FORBIDDEN.search(source.text):
        composer.stop(strange.start(), *_strange(strange[0]))
    try:
        composer.run(_events(source.text))
    except pyyaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        composer.stop(place.index if place else 0, *_syntax(error, source))
    except pyyaml.YAMLError as error:
        composer.stop(0, f"not valid YAML: {error}")
    if composer.problems:
        raise SpecError(composer.problems)
    return composer.documents


def _events(text: str) -> Iterator[Any]:
    if CParser is None:  # pragma: no cover
        return iter(pyyaml.parse(text, Loader=pyyaml.SafeLoader))
    return iter(CParser(_Pieces(text)).get_event, None)


class _Pieces:
    """A text as a file that is read: given whole, the parser would encode it whole as well."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self, size: int = 16_384, /) -> bytes:
        """Return the next piece, encoded; never more than ``size`` bytes of it."""
        begin, self._at = self._at, self._at + size // 4
        return self._text[begin : self._at].encode()


class _Merge(str):
    """The key `<<`, where it asks for a merge."""

    __slots__ = ()


_MERGE = _Merge("<<")


class _Open:
    """A collection that has begun and not ended."""

    __slots__ = (
        "anchor", "before", "height", "key", "merge_at", "merges", "places", "tag", "value",
    )  # fmt: skip

    def __init__(self, value: Any, places: Places, event: Any, before: int) -> None:
        self.value = value
        self.places = places
        self.anchor: str | None = event.anchor
        self.tag: str | None = None
        self.before = before
        self.height = 1
        self.key: str | None = None
        self.merge_at: int | None = None
        self.merges: list[tuple[Value, Below]] = []


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an anchor stands for: how much it is, and how many levels."""

    value: Value
    places: Below
    values: int
    height: int


class _Composer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Anchored | _Open] = {}
        self._weight = 0
        self._values = 0

    def run(self, events: Iterable[Any]) -> None:
        """Take every event of a file."""
        for event in events:
            kind = type(event)
            if kind is pyyaml.ScalarEvent:
                self._scalar(event)
            elif kind is pyyaml.MappingStartEvent:
                self._begin({}, event, is_mapping=True)
            elif kind is pyyaml.SequenceStartEvent:
                self._begin([], event, is_mapping=False)
            elif kind in (pyyaml.MappingEndEvent, pyyaml.SequenceEndEvent):
                self._end()
            elif kind is pyyaml.AliasEvent:
                self._alias(event.anchor, event.start_mark.index)
            elif kind is pyyaml.DocumentStartEvent:
                self._anchors = {}
                if len(self.documents) >= MAX_DOCUMENTS:
                    self.stop(event.start_mark.index, f"more than {MAX_DOCUMENTS} documents")

    def _scalar(self, event: Any) -> None:
        index = event.start_mark.index
        here = self._stack[-1] if self._stack else None
        if here and here.key is None and here.places.is_mapping:
            self._key(event, index, here)
            return
        if event.tag is not None or event.anchor is not None:
            value = self._with_tag(event, index)
            if event.anchor is not None:
                self._anchor_scalar(event.anchor, value, index)
        else:
            value = event.value if event.style else plain(event.value)
        self._count(index, weight=1)
        self._add(value, index, index)

    def _anchor_scalar(self, name: str, value: Value, index: int) -> None:
        self._anchors[name] = _Anchored(value, index, 1, 0)
        self._count(index, weight=4, values=0)

    def _key(self, event: Any, index: int, here: _Open) -> None:
        value = event.value
        if event.tag is None and not event.style:
            value = _MERGE if value == "<<" else plain(value)
        elif event.tag == f"{STANDARD}merge":
            value = _MERGE
        elif event.tag is not None:
            value = self._with_tag(event, index)
        if event.anchor is not None:
            self._anchor_scalar(event.anchor, event.value if value is _MERGE else value, index)
        self._take_key(value, event.value, index, here)

    def _take_key(self, value: Value, written: str, index: int, here: _Open) -> None:
        if isinstance(value, bool):
            value = str(value).lower()
        elif not isinstance(value, str):
            what = "a key must be text" if value is None else f"the key `{written}` must be text"
            self._complain(index, what, f'write it in quotes: `"{written}"`')
            value = written
        first: int | None = None
        if value is _MERGE:
            here.key, first, here.merge_at = value, here.merge_at, index
        else:
            here.key = sys.intern(value)
            entries = here.places.entries
            if value in here.value:
                first = entries[entries.index(value) + 1]
            entries += (here.key, index, index)
        if first is not None:
            line = self.source.mark(first).line
            self._complain(index, f"key `{value}` is given twice, first in line {line}")

    def _begin(self, value: Any, event: Any, *, is_mapping: bool) -> None:
        index = event.start_mark.index
        if len(self._stack) >= MAX_DEPTH:
            self._too_deep(index)
        if self._stack and self._wants_key(self._stack[-1]):
            self.stop(index, "a key must be text, not a mapping or a list", _QUOTES)
        new = _Open(value, Places(index, is_mapping=is_mapping), event, self._values)
        self._count(index, weight=4)
        tag = event.tag
        if tag in OWN_TAGS:
            new.tag = tag
        elif tag not in (None, "!", STANDARD + ("map" if is_mapping else "seq")):
            self._bad_tag(tag, index)
        if new.anchor is not None:
            self._anchors[new.anchor] = new
            self._count(index, weight=4, values=0)
        self._stack.append(new)

    def _end(self) -> None:
        done = self._stack.pop()
        if done.merges:
            self._merge(done)
        value = Tagged(done.tag, done.value) if done.tag else done.value
        if done.anchor is not None and self._anchors.get(done.anchor) is done:
            values = self._values - done.before
            self._anchors[done.anchor] = _Anchored(value, done.places, values, done.height)
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, done.height + 1)
        self._add(value, done.places, done.places.start)

    def _alias(self, name: str, index: int) -> None:
        known = self._anchors.get(name)
        if known is None:
            self.stop(index, f"alias `*{name}` is not defined above")
        if isinstance(known, _Open):
            self.stop(index, f"alias `*{name}` contains itself")
        here = self._stack[-1] if self._stack else None
        if here and self._wants_key(here):
            if isinstance(known.value, dict | list | Tagged):
                self.stop(index, "a key must be text, not a mapping or a list")
            self._take_key(known.value, str(known.value), index, here)
            return
        self._count(index, weight=0, values=known.values)
        if here:
            here.height = max(here.height, known.height + 1)
        if len(self._stack) + known.height > MAX_DEPTH:
            self._too_deep(index)
        self._add(known.value, known.places, index)

    def _add(self, value: Value, places: Below, index: int) -> None:
        """Put a value where it belongs; ``index`` is where it is used."""
        if not self._stack:
            self.documents.append(Document(self.source, value, places))
            return
        here = self._stack[-1]
        if not here.places.is_mapping:
            here.value.append(value)
            here.places.entries.append(places)
            return
        if here.key is _MERGE:
            self._take_merge(value, places, index, here)
        else:
            here.value[here.key] = value
            here.places.entries[-1] = places
        here.key = None

    def _take_merge(self, value: Value, places: Below, index: int, here: _Open) -> None:
        pairs = [(value, places)]
        if isinstance(value, list) and isinstance(places, Places):
            pairs = list(zip(value, places.entries, strict=True))
        for one, _ in pairs:
            inner = one.value if isinstance(one, Tagged) else one
            reset = isinstance(one, Tagged) and one.tag == "!reset"
            if not (isinstance(inner, dict) or reset):
                self._complain(index, "`<<` needs a mapping, or a list of mappings")
                pairs = []
        here.merges += pairs

    def _merge(self, here: _Open) -> None:
        """Add what is merged. A tag on it speaks of the mapping it is merged into."""
        merged: list[Below] = []
        for value, places in here.merges:
            if isinstance(value, Tagged):
                here.tag = here.tag or "!override"
                if value.tag == "!reset":
                    continue
                value = value.value
            for key, inherited in value.items():
                here.value.setdefault(key, inherited)
            merged.append(places)
        here.places.merged = tuple(one for one in merged if isinstance(one, Places))

    def _wants_key(self, here: _Open) -> bool:
        return here.key is None and here.places.is_mapping

    def _with_tag(self, event: Any, index: int) -> Value:
        tag, text = event.tag, event.value
        if tag is None:
            return text if event.style else plain(text)
        if tag in OWN_TAGS:
            return Tagged(tag, text if event.style else plain(text))
        if tag == "!":
            return text
        short = tag.removeprefix(STANDARD)
        if short == tag or short not in TAGS:
            self._bad_tag(tag, index)
            return text
        try:
            return tagged(short, text)
        except ValueError as error:
            self._complain(index, str(error))
            return text

    # ── refusing ─────────────────────────────────────────────────────────────────────────────

    def _bad_tag(self, tag: str, index: int) -> None:
        short = f"!!{tag.removeprefix(STANDARD)}" if tag.startswith(STANDARD) else tag
        self._complain(index, f"tag `{short}` is not allowed here", f"only {_TAGS} may be used")

    def _too_deep(self, index: int) -> NoReturn:
        self.stop(index, _TOO_DEEP)

    def _count(self, index: int, *, weight: int, values: int = 1) -> None:
        self._weight += weight
        self._values += values
        allowed = ALLOWED + index // WRITTEN
        if self._weight > allowed:
            self.stop(index, f"too many values: more than {ALLOWED} in so short a file")
        if self._values > allowed:
            cause = f"more than {ALLOWED} values in so short a file, aliases written out"
            self.stop(index, cause)

    def stop(self, index: int, cause: str, hint: str | None = None) -> NoReturn:
        """Give up: what follows cannot be trusted."""
        self._note(index, cause, hint)
        raise SpecError(self.problems)

    def _complain(self, index: int, cause: str, hint: str | None = None) -> None:
        self._note(index, cause, hint)
        if len(self.problems) >= MAX_PROBLEMS:
            raise SpecError(self.problems)

    def _note(self, index: int, cause: str, hint: str | None) -> None:
        steps = (
            here.key if here.places.is_mapping else str(len(here.value)) for here in self._stack
        )
        path = ".".join(step for step in steps if step is not None)
        mark = self.source.mark(index)
        self.problems.append(Problem(mark=mark, path=path, cause=cause, hint=hint))


def _strange(character: str) -> tuple[str, str]:
    if character == "\0":
        return "a NUL byte", "this is no text file, or one in UTF-16: save it as UTF-8"
    if character == "\ufeff":
        return "a byte order mark in the middle of the file", "remove it"
    return f"control character U+{ord(character):04X}", r'write it in double quotes, as `"\x1b"`'


def _syntax(error: pyyaml.MarkedYAMLError, source: Source) -> tuple[str, str | None]:
    problem = error.problem or error.context or "it cannot be read"
    if problem == "exceeded maximum nesting depth":
        return _TOO_DEEP, None
    cause = f"not valid YAML: {problem}"
    begun = error.context_mark
    if begun and error.problem_mark and begun.line < error.problem_mark.line:
        cause += f" ({error.context}, begun in line {source.mark(begun.index).line})"
    at = error.problem_mark.index if error.problem_mark else 0
    if source.text[at : at + 1] == "\t" or "tab character" in problem:
        return cause, "indent with spaces: YAML allows no tabs there"
    return cause, _HINTS.get(problem)
