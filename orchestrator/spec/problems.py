"""Errors in stack files: where they are, what is wrong, what to try."""

import bisect
import difflib
import itertools
import re
import unicodedata
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from orchestrator.errors import Paint, PyorchError

LONGEST = 1000
"""Characters of a message: a value in it may be a megabyte long."""
MOST_SHOWN = 100
"""Problems of one run that are shown."""
WINDOW = 100
"""Characters of a source line that are shown."""

# What YAML takes for the end of a line.
_BREAKS = "\n\r\x85\u2028\u2029"
_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
# Characters that move the cursor, change colours or turn the direction of writing.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


class Source:
    """The text of a file, and where in it a character stands."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    @cached_property
    def _lines(self) -> "array[int]":
        """Where each line begins, and one more for the end."""
        ends = (found.end() for found in _BREAK.finditer(self.text))
        return array("I", itertools.chain((0,), ends, (len(self.text) + 1,)))

    def mark(self, index: int) -> "Mark":
        """Return the place of the character at ``index``."""
        line = bisect.bisect_right(self._lines, index, hi=len(self._lines) - 1)
        column = index - self._lines[line - 1] + 1
        return Mark(file=self.file, line=line, column=column, source=self)

    def excerpt(self, line: int, column: int) -> tuple[str, str]:
        """Return what to show of a line, and the blanks before what is under ``column``."""
        begin, end = self._lines[line - 1], self._lines[line] - 1
        at = min(begin + column - 1, end)
        first = max(begin, min(at - WINDOW // 2, end - WINDOW))
        last = min(end, first + WINDOW)
        before = ("…" if first > begin else "") + _shown(self.text[first:at])
        after = _shown(self.text[at:last].rstrip(_BREAKS)) + ("…" if last < end else "")
        return before + after, " " * sum(map(_width, before))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int = 0
    column: int = 0
    source: Source | None = field(default=None, compare=False, repr=False)

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
        return visible(f"{self.mark}: {where}{self.cause}")

    def report(self, paint: Paint) -> list[str]:
        """Return the lines a person reads: the error, the source line under it, the hint."""
        lines = [f"{paint.error('error:')} {self}"]
        if self.mark.source:
            text, before = self.mark.source.excerpt(self.mark.line, self.mark.column)
            number = f"  {self.mark.line} | "
            gutter = f"{' ' * (len(number) - 2)}| "
            if text.strip():
                lines += [f"{number}{text}", f"{gutter}{before}{paint.error('^')}"]
        if self.hint:
            lines.append(f"{paint.hint('hint:')} {visible(self.hint)}")
        return lines


class SpecError(PyorchError):
    """A stack file that cannot be used, with everything found wrong in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        lines = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        hint = next((problem.hint for problem in self.problems if problem.hint), None)
        super().__init__("\n".join(lines), hint=hint, code="invalid_stack_file")

    def report(self, paint: Paint) -> str:
        """Return what a person reads: every problem with its source line and its hint."""
        shown = self.problems[:MOST_SHOWN]
        lines = [line for one in shown for line in one.report(paint)]
        if len(shown) < len(self.problems):
            lines.append(f"... and {len(self.problems) - len(shown)} more")
        return "".join(f"{line}\n" for line in lines)


def refuse(cause: str, mark: Mark, path: str = "", hint: str | None = None) -> SpecError:
    """Return the error of a single problem."""
    return SpecError([Problem(mark=mark, path=path, cause=cause, hint=hint)])


def visible(text: str) -> str:
    """Return ``text`` as one line of bounded length that cannot play tricks with a terminal."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 2 // 3]}…{text[-LONGEST // 3 :]}"
    return _INVISIBLE.sub(_escaped, text)


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return a question about what was probably meant."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    # Two letters that changed places are most of a short word.
    close = close or [name for name in names if sorted(name) == sorted(word)]
    return f"did you mean `{close[0]}`?" if close else None


def _shown(text: str) -> str:
    return _INVISIBLE.sub(_escaped, text.replace("\t", "→"))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(found[0])
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
