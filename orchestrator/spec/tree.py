"""Documents whose values know where they come from: mappings and lists with a mark per entry.

A mark follows its value through merging, extending and including, so that a mistake found at
the end is shown in the file, line and column it was made in.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.spec.problems import Mark, Problem, Source, SpecError

Path = tuple[str, ...]
"""Keys from the top; a list's entries count from 0."""

Refusal = tuple[Path, str, str | None]
"""Where something is that cannot be carried out, why, and what to do instead."""


class Origin:
    """Where a value comes from, found in its file only when somebody asks.

    ``text`` is what the file says where variables were put in (a name alone stands for its
    variable), ``variables`` those that were asked. ``step`` is what laid the value over another
    one, ``over`` that other one with its own origin. ``way`` is how the value came from its
    place in the file to where it is now.
    """

    __slots__ = ("index", "over", "source", "step", "text", "variables", "way")

    def __init__(
        self,
        source: Source,
        index: int,
        text: str | None = None,
        step: str | None = None,
        over: "tuple[Origin, Any] | None" = None,
        variables: Mapping[str, str] | None = None,
        way: tuple[str, ...] = (),
    ) -> None:
        self.source = source
        self.index = index
        self.text = text
        self.step = step
        self.over = over
        self.variables = variables
        self.way = way

    @property
    def mark(self) -> Mark:
        """Return the place in the file."""
        return self.source.mark(self.index)

    def filled(self, text: str, variables: Mapping[str, str]) -> "Origin":
        """Return the origin of a value that ``text`` came to once its variables were put in."""
        return Origin(self.source, self.index, text, self.step, self.over, variables, self.way)

    def laid_over(self, below: "Origin | None", value: Any, step: str) -> "Origin":
        """Return the origin of a value that hides ``value``, because of ``step``."""
        over = (below, value) if below else None
        return Origin(self.source, self.index, self.text, step, over, self.variables, self.way)

    def brought(self, step: str) -> "Origin":
        """Return the origin of a value that ``step`` brought to another place."""
        return Origin(
            self.source, self.index, self.text, self.step, self.over, self.variables,
            (*self.way, step),
        )  # fmt: skip


class Map(dict[str, Any]):
    """A mapping; ``marks`` says where each of its keys stands."""

    __slots__ = ("marks",)

    def __init__(
        self, content: Mapping[str, Any] | None = None, mark: Origin | None = None
    ) -> None:
        super().__init__(content or {})
        self.marks: dict[str, Origin] = dict.fromkeys(self, mark) if mark else {}

    def put(self, key: str, value: Any, mark: Origin | None) -> None:
        """Set a key, and where it stands."""
        self[key] = value
        if mark is not None:
            self.marks[key] = mark

    def entries(self) -> Iterator[tuple[str, Any, Origin | None]]:
        """Yield every key, its value, and where it stands."""
        for key, value in self.items():
            yield key, value, self.marks.get(key)


class Seq(list[Any]):
    """A list; ``marks`` runs beside it."""

    __slots__ = ("marks",)

    def __init__(self, content: Iterable[Any] = (), mark: Origin | None = None) -> None:
        super().__init__(content)
        self.marks: list[Origin | None] = [mark] * len(self)

    def add(self, value: Any, mark: Origin | None) -> None:
        """Append a value, and where it stands."""
        self.append(value)
        self.marks.append(mark)

    def entries(self) -> Iterator[tuple[Any, Origin | None]]:
        """Yield every value, and where it stands."""
        return zip(self, self.marks, strict=True)


def copy(value: Any) -> Any:
    """Return a tree that can be changed without changing ``value``."""
    if isinstance(value, Map):
        copied = Map()
        for key, entry in value.items():
            copied[key] = copy(entry)
        copied.marks = dict(value.marks)
        return copied
    if isinstance(value, Seq):
        seq = Seq()
        for entry in value:
            seq.append(copy(entry))
        seq.marks = list(value.marks)
        return seq
    return value


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any], step: str | None = None) -> Map:
    """Return both mappings as one; ``above`` wins, and remembers what it hides with ``step``."""
    found = Map({**below, **above})
    found.marks = dict(above.marks) if isinstance(above, Map) else {}
    for key, stood in below.marks.items() if isinstance(below, Map) else ():
        if key not in above:
            found.marks[key] = stood
        elif step and key in found.marks:
            found.marks[key] = found.marks[key].laid_over(stood, below[key], step)
    return found


def bring(tree: Any, step: str) -> None:
    """Note, in place, that ``step`` brought a whole tree to where it is."""
    if isinstance(tree, Map):
        for key, mark in tree.marks.items():
            tree.marks[key] = mark.brought(step)
        for value in tree.values():
            bring(value, step)
    elif isinstance(tree, Seq):
        tree.marks[:] = [mark.brought(step) if mark else None for mark in tree.marks]
        for value in tree:
            bring(value, step)


def take_out(tree: Any, path: Path) -> None:
    """Take what stands at ``path``, or the nearest thing above it, out of a tree."""
    above: Any = None
    key = ""
    for part in path:
        if isinstance(tree, Map) and part in tree:
            above, key, tree = tree, part, tree[part]
        elif isinstance(tree, Seq) and part.isdigit() and int(part) < len(tree):
            above, key, tree = tree, part, tree[int(part)]
        else:
            break
    if isinstance(above, Map):
        del above[key]
        above.marks.pop(key, None)
    elif isinstance(above, Seq):
        del above[int(key)], above.marks[int(key)]


def bare(value: Any) -> Any:
    """Return a tree as plain mappings and lists."""
    if isinstance(value, dict):
        return {key: bare(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [bare(entry) for entry in value]
    return value


def origin_at(tree: Any, path: Iterable[str]) -> Origin | None:
    """Return where ``path`` stands, or the nearest thing above it that stands anywhere."""
    found: Origin | None = None
    for key in path:
        if isinstance(tree, Map) and key in tree:
            found, tree = tree.marks.get(key) or found, tree[key]
        elif isinstance(tree, Seq) and key.isdigit() and int(key) < len(tree):
            found, tree = tree.marks[int(key)] or found, tree[int(key)]
        else:
            break
    return found


class Troubles:
    """What was found wrong so far: a load goes on to find the rest."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.default = Mark(file="-")
        self.places: set[Path] = set()
        self._above: set[Path] = set()

    def add(
        self,
        tree: Any,
        path: Path,
        cause: str,
        *,
        hint: str | None = None,
        mark: Origin | None = None,
    ) -> None:
        """Note a problem at ``path`` of ``tree``; ``mark`` knows the place better."""
        origin = mark or origin_at(tree, path)
        where = origin.mark if origin else self.default
        self.problems.append(Problem(mark=where, path=".".join(path), cause=cause, hint=hint))
        self.places.add(path)
        self._above.update(path[:length] for length in range(1, len(path) + 1))

    def around(self, path: Path) -> bool:
        """Whether a problem was noted at ``path`` or above it."""
        return any(path[:length] in self.places for length in range(1, len(path) + 1))

    def within(self, path: Path) -> bool:
        """Whether a problem was noted at ``path`` or below it."""
        return path in self._above


def stop(troubles: Troubles) -> None:
    """Raise what was found wrong so far, if anything."""
    if troubles.problems:
        raise SpecError(
            sorted(
                troubles.problems, key=lambda one: (one.mark.file, one.mark.line, one.mark.column)
            )
        )
