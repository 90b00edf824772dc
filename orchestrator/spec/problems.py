"""Errors in stack files: where they are, what is wrong, what to try."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.errors import PyorchError

LONGEST = 4000
"""Characters of a message: a value may be a megabyte long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a stack file; ``path`` is the key path, dotted."""

    mark: Mark
    path: str
    cause: str
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.mark}: {where}{self.cause}"[:LONGEST]


class SpecError(PyorchError):
    """A stack file that cannot be used, with everything found wrong in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems]
        hint = next((problem.hint for problem in self.problems if problem.hint), None)
        super().__init__("\n".join(lines), hint=hint, code="invalid_stack_file")


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return a question about what was probably meant."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None
