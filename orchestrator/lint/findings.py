"""What a rule says of a stack file, and how a file is changed so that it need not say it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from orchestrator.spec.models import StackFile
from orchestrator.spec.tree import Map, Origin, Path


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``old``, which stands in ``file`` from character ``index`` on, by ``new``."""

    file: str
    index: int
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is allowed and rarely meant. ``origin`` is where it was written, if known."""

    rule: str
    path: Path
    text: str
    hint: str
    origin: Origin | None = None
    edit: Edit | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A loaded stack file: what it means, and the document that knows where it was written."""

    stack: StackFile
    tree: Map


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by its name. ``meaning`` is what it finds, in a line."""

    name: str
    meaning: str
    find: Callable[[Subject], Iterable[Finding]]


class Rules:
    """The rules of one subject, collected by a decorator on each."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def add(
        self, name: str, meaning: str
    ) -> Callable[
        [Callable[[Subject], Iterator[tuple[Path, str, str]]]],
        Callable[[Subject], Iterator[tuple[Path, str, str]]],
    ]:
        """Make a rule of a function that yields the path, what is found, and what to do."""

        def register(
            find: Callable[[Subject], Iterator[tuple[Path, str, str]]],
        ) -> Callable[[Subject], Iterator[tuple[Path, str, str]]]:
            def findings(subject: Subject) -> Iterator[Finding]:
                for path, text, hint in find(subject):
                    yield Finding(rule=name, path=path, text=text, hint=hint)

            self._rules.append(Rule(name, meaning, findings))
            return find

        return register
