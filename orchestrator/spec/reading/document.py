"""A YAML document in memory: its content, and where each part of it is written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.spec.problems import Mark, Source

Value = Any
"""What a document is made of: dict, list, str, int, float, bool, None, Tagged."""
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value under `!reset` or `!override`."""

    tag: str
    value: Value


class Places:
    """Where the parts of a collection stand, as indexes into the text: built for little memory.

    ``entries`` holds what is below each entry of a list; for a mapping: a key, where it stands
    and what is below it, one after the other. ``merged`` are the mappings merged into this one.
    """

    __slots__ = ("_keys", "entries", "is_mapping", "merged", "start")

    def __init__(self, start: int, *, is_mapping: bool) -> None:
        self.start = start
        self.is_mapping = is_mapping
        self.entries: list[Any] = []
        self.merged: tuple[Places, ...] = ()
        self._keys: dict[str, tuple[int, Below]] | None = None

    def find(self, part: str) -> "tuple[int, Below] | None":
        """Return where the key or entry ``part`` stands and what is below it."""
        if self.is_mapping:
            return self.all().get(part)
        number = int(part) if part.isdecimal() and len(part) < 9 else len(self.entries)
        if number >= len(self.entries):
            return None
        return start(self.entries[number]), self.entries[number]

    def all(self) -> "dict[str, tuple[int, Below]]":
        """Return every key or entry with its place, merged keys included."""
        if not self.is_mapping:
            return {str(number): (start(one), one) for number, one in enumerate(self.entries)}
        if self._keys is None:
            keys, places, below = (self.entries[first::3] for first in range(3))
            self._keys = dict(zip(keys, zip(places, below, strict=True), strict=True))
            for other in self.merged:
                for key, place in other.all().items():
                    self._keys.setdefault(key, place)
        return self._keys


Below = Places | int
"""The places inside a collection, or where a scalar stands."""


def start(below: Below) -> int:
    """Return where a value begins."""
    return below if isinstance(below, int) else below.start


class Document:
    """One YAML document; what arrives by an alias or a merge stands where it is written."""

    def __init__(self, source: Source, content: Value = None, root: Below = 0) -> None:
        self.file = source.file
        self.content = content
        self.source = source
        self._root = root

    @cached_property
    def marks(self) -> Mapping[Path, Mark]:
        """Where every key and every entry of a list stands, by key path; made on demand."""
        return _Marks(self)

    def mark(self, path: Path) -> Mark:
        """Return where the key at ``path`` stands, or the nearest thing above it."""
        return self.source.mark(self.find(path)[1])

    def value_mark(self, path: Path) -> Mark:
        """Return where the value at ``path`` stands, or the nearest thing above it."""
        return self.source.mark(start(self.find(path)[2]))

    def find(self, path: Path) -> tuple[int, int, Below]:
        """Return how much of ``path`` there is, where its last key stands, what is below it."""
        found, key, below = 0, start(self._root), self._root
        for part in path:
            entry = below.find(part) if isinstance(below, Places) else None
            if entry is None:
                break
            key, below = entry
            found += 1
        return found, key, below


class _Marks(Mapping[Path, Mark]):
    def __init__(self, document: Document) -> None:
        self._document = document

    def __getitem__(self, path: Path) -> Mark:
        found, key, _ = self._document.find(path)
        if found < len(path):
            raise KeyError(path)
        return self._document.source.mark(key)

    def __iter__(self) -> Iterator[Path]:
        todo: list[tuple[Path, Below]] = [((), self._document.find(())[2])]
        while todo:
            path, below = todo.pop()
            yield path
            if isinstance(below, Places):
                inner = reversed(below.all().items())
                todo += [((*path, key), lower) for key, (_, lower) in inner]

    def __len__(self) -> int:
        return sum(1 for _ in self)
