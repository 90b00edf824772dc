"""Errors in stack files: where they are, what is wrong, what to try."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.errors import PyorchError

LONGEST = 4000
"""Characters of a message: a value may be a megabyte long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a value comes from; lines and columns count from 1.

    ``text`` is what the file says where variables were put in, ``step`` what laid the value
    over another one, and ``over`` that other one, with its own mark.
    """

    file: str
    line: int = 0
    column: int = 0
    text: str | None = field(default=None, compare=False)
    step: str | None = field(default=None, compare=False)
    over: "tuple[Mark, Any] | None" = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def laid_over(self, below: "Mark | None", value: Any, step: str) -> "Mark":
        """Return this mark, remembering what it hides and which step did that."""
        return replace(self, step=step, over=(below, value) if below else None)


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
    """A stack file that cannot be used, with everything found wrong in it.

    One problem's hint is the error's own; among several each hint follows its problem.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        lines = [str(problem) for problem in self.problems]
        hint = self.problems[0].hint if len(self.problems) == 1 else None
        if len(self.problems) > 1:
            lines = [
                f"{line}\n  hint: {problem.hint}" if problem.hint else line
                for line, problem in zip(lines, self.problems, strict=True)
            ]
        super().__init__("\n".join(lines), hint=hint, code="invalid_stack_file")


def refuse(cause: str, mark: Mark, path: str = "", hint: str | None = None) -> SpecError:
    """Return the error of a single problem."""
    return SpecError([Problem(mark=mark, path=path, cause=cause, hint=hint)])


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return a question about what was probably meant."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None
