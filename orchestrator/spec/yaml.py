"""YAML as Compose files are written: version 1.2 scalars, positions kept, bombs refused.

The parser's events are composed here rather than by the library's own constructor, which
reads `22:22` as a number and `no` as false, lets the last of two equal keys win without a
word, and builds whatever a tag names. Only `!reset` and `!override` are tags here.
"""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml as pyyaml

from orchestrator.spec.problems import Mark, Problem, SpecError

MAX_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 200_000

Value = Any
"""What a document is made of: dict, list, str, int, float, bool, None."""

_INT = re.compile(r"[-+]?(0o[0-7]+|0x[0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value under `!reset` or `!override`."""

    tag: str
    value: Value


@dataclass(slots=True)
class Document:
    """One YAML document: its content, and where every key path stands."""

    file: str
    content: Value
    marks: dict[tuple[str, ...], Mark] = field(default_factory=dict)

    def mark(self, path: tuple[str, ...]) -> Mark:
        """Return where ``path`` stands, or the nearest thing above it."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, Mark(file=self.file))


def read_file(path: Path) -> str:
    """Return the text of a file, or refuse what is none: no FIFO, no device, nothing huge."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _refuse(str(path), f"cannot read it: {os.strerror(error.errno or 0)}") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _refuse(str(path), "it is not a regular file")
        if status.st_size > MAX_BYTES:
            raise _refuse(str(path), f"it is larger than {MAX_BYTES // 2**20} MiB")
        data = file.read(MAX_BYTES + 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refuse(str(path), f"it is not UTF-8 (byte {error.start})") from None


def parse(text: str, file: str) -> list[Document]:
    """Return every document of ``text``. Raises SpecError with line and column."""
    composer = _Composer(file)
    try:
        for event in pyyaml.parse(text, Loader=pyyaml.SafeLoader):
            composer.take(event)
    except pyyaml.MarkedYAMLError as error:
        place = error.problem_mark
        mark = Mark(file=file, line=place.line + 1, column=place.column + 1) if place else None
        cause = f"not valid YAML: {error.problem or error.context}"
        raise SpecError([Problem(mark=mark or Mark(file=file), path="", cause=cause)]) from None
    except (pyyaml.YAMLError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _refuse(file, f"not valid YAML: {cause}") from None
    return composer.documents


@dataclass(slots=True)
class _Open:
    """A collection under construction."""

    value: Value
    path: tuple[str, ...]
    anchor: str | None
    tag: str | None
    key: str | None = None
    seen: dict[str, Mark] = field(default_factory=dict)
    merges: list[Value] = field(default_factory=list)


class _Composer:
    def __init__(self, file: str) -> None:
        self.file = file
        self.documents: list[Document] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Value] = {}
        self._sizes: dict[str, int] = {}
        self._nodes = 0

    def take(self, event: Any) -> None:
        mark = Mark(
            file=self.file, line=event.start_mark.line + 1, column=event.start_mark.column + 1
        )
        match event:
            case pyyaml.DocumentStartEvent():
                self._anchors, self._sizes = {}, {}
                self.documents.append(Document(self.file, None))
            case pyyaml.MappingStartEvent():
                self._begin({}, event, mark)
            case pyyaml.SequenceStartEvent():
                self._begin([], event, mark)
            case pyyaml.ScalarEvent():
                self._scalar(event, mark)
            case pyyaml.AliasEvent():
                if event.anchor not in self._anchors:
                    known = any(one.anchor == event.anchor for one in self._stack)
                    cause = "contains itself" if known else "is not defined"
                    raise self._problem(mark, f"alias `*{event.anchor}` {cause}")
                self._count(self._sizes[event.anchor], mark)
                self._add(self._anchors[event.anchor], mark)
            case pyyaml.MappingEndEvent() | pyyaml.SequenceEndEvent():
                self._end(mark)
            case _:
                pass

    def _begin(self, value: Value, event: Any, mark: Mark) -> None:
        self._count(1, mark)
        if len(self._stack) >= MAX_DEPTH:
            raise self._problem(mark, f"nested deeper than {MAX_DEPTH} levels")
        path = self._path()
        self.documents[-1].marks.setdefault(path, mark)
        self._stack.append(_Open(value, path, event.anchor, self._tag(event.tag, mark)))

    def _end(self, mark: Mark) -> None:
        done = self._stack.pop()
        value = done.value
        for merged in done.merges:
            for key, inherited in merged.items():
                value.setdefault(key, inherited)
        if done.tag:
            value = Tagged(done.tag, value)
        self._remember(done.anchor, value)
        self._add(value, mark)

    def _scalar(self, event: Any, mark: Mark) -> None:
        self._count(1, mark)
        tag = self._tag(event.tag, mark)
        plain = event.implicit[0] and event.style is None
        value: Value = self._resolve(event.value, mark) if plain else event.value
        if self._wants_key():
            self._key(event.value if isinstance(value, str) or value is None else value, mark)
            return
        self.documents[-1].marks.setdefault(self._path(), mark)
        if tag:
            value = Tagged(tag, value)
        self._remember(event.anchor, value)
        self._add(value, mark)

    def _key(self, value: Value, mark: Mark) -> None:
        here = self._stack[-1]
        key = str(value).lower() if isinstance(value, bool) else str(value)
        if key in here.seen:
            raise self._problem(
                mark,
                f"key `{key}` is given twice, first in line {here.seen[key].line}",
                path=(*here.path, key),
            )
        here.seen[key] = mark
        here.key = key
        self.documents[-1].marks[(*here.path, key)] = mark

    def _add(self, value: Value, mark: Mark) -> None:
        if not self._stack:
            self.documents[-1].content = value
            return
        here = self._stack[-1]
        if isinstance(here.value, list):
            here.value.append(value)
            return
        if here.key is None:
            raise self._problem(mark, "a mapping's key must be a plain word")
        if here.key == "<<":
            merged = value if isinstance(value, list) else [value]
            if not all(isinstance(one, dict) for one in merged):
                raise self._problem(mark, "`<<` needs a mapping, or a list of mappings")
            here.merges.extend(merged)
        else:
            here.value[here.key] = value
        here.key = None

    def _wants_key(self) -> bool:
        return (
            bool(self._stack)
            and isinstance(self._stack[-1].value, dict)
            and (self._stack[-1].key is None)
        )

    def _path(self) -> tuple[str, ...]:
        if not self._stack:
            return ()
        here = self._stack[-1]
        if isinstance(here.value, list):
            return (*here.path, str(len(here.value)))
        return here.path if here.key is None else (*here.path, here.key)

    def _remember(self, anchor: str | None, value: Value) -> None:
        if anchor:
            self._anchors[anchor] = value
            self._sizes[anchor] = _size(value)

    def _count(self, nodes: int, mark: Mark) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._problem(mark, f"more than {MAX_NODES} values, aliases written out")

    def _tag(self, tag: str | None, mark: Mark) -> str | None:
        if tag in (None, "!"):
            return None
        if tag in ("!reset", "!override"):
            return tag
        if tag in ("tag:yaml.org,2002:str",):
            return None
        raise self._problem(mark, f"tag `{tag}` is not allowed; only `!reset` and `!override` are")

    def _resolve(self, text: str, mark: Mark) -> Value:
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if _INT.match(text):
            if len(text) > 64:
                raise self._problem(mark, "a number of more than 64 digits")
            digits = text.lstrip("+-")
            base = 8 if len(digits) > 1 and digits[0] == "0" and digits.isdigit() else 0
            number = int(digits, base)
            return -number if text.startswith("-") else number
        if _FLOAT.match(text):
            return float(text)
        return text

    def _problem(self, mark: Mark, cause: str, path: tuple[str, ...] = ()) -> SpecError:
        return SpecError([Problem(mark=mark, path=".".join(path), cause=cause)])


def _size(value: Value) -> int:
    inner = value.value if isinstance(value, Tagged) else value
    if isinstance(inner, dict):
        return 1 + sum(map(_size, inner.values()))
    if isinstance(inner, list):
        return 1 + sum(map(_size, inner))
    return 1


def _refuse(file: str, cause: str) -> SpecError:
    return SpecError([Problem(mark=Mark(file=file), path="", cause=cause)])
