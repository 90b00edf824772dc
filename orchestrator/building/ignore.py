"""What a ``.dockerignore`` leaves out of a context.

Its patterns are anchored at the context, and the last one that matches decides (Docker's
documentation, build/concepts/context). pathspec matches them; here they are only written the
way it reads them.
"""

import posixpath
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import PathSpec
    from pathspec.pattern import Pattern

WILD = "*?["
WRITABLE = {0xDC80 + n: 0x10FF00 + n for n in range(128)}
"""What stands for bytes that are no UTF-8 → characters nobody uses, which can be matched."""


class Ignored:
    """Whether a path of a context is left out."""

    def __init__(self, text: str) -> None:
        self._rules = tuple(_rules(text))
        # What a pattern with an exclamation mark takes back, without the mark.
        self._taken_back = [rule[1:] for rule in self._rules if rule.startswith("!")]

    def __call__(self, path: str) -> bool:
        """Whether the file or folder at ``path``, below the context, is left out."""
        return bool(self._rules) and self._spec.match_file(path.translate(WRITABLE))

    def whole(self, folder: str) -> bool:
        """Whether a folder that is left out is left out with everything in it."""
        inside = f"/{folder}/"
        return not any(_may_match_below(rule, inside) for rule in self._taken_back)

    @cached_property
    def _spec(self) -> "PathSpec[Pattern]":
        from pathspec import PathSpec

        # Whoever wrote a repository's patterns must not keep its reader busy for ever.
        return PathSpec.from_lines(
            "gitignore", (rule.translate(WRITABLE) for rule in self._rules), backend="re2"
        )


def _rules(text: str) -> Iterator[str]:
    for line in text.removeprefix("\ufeff").splitlines():
        if line.startswith("#"):
            continue
        pattern = line.strip()
        back = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip()
        if not pattern:
            continue
        # `..` never leads out of the context, and a slash at either end means nothing.
        clean = posixpath.normpath(f"/{pattern}").lstrip("/")
        yield f"{'!' if back else ''}/{clean or '**'}"


def _may_match_below(rule: str, folder: str) -> bool:
    """Whether something in ``folder`` may match; a wild card may match anything from there."""
    plain = rule
    for mark in WILD:
        plain = plain.partition(mark)[0]
    return plain.startswith(folder) or folder.startswith(plain if plain != rule else f"{rule}/")


def read_rules(files: Sequence[str]) -> Ignored:
    """Return the rules of the first of ``files`` that exists."""
    for name in files:
        try:
            with open(name, encoding="utf-8", errors="surrogateescape") as file:
                return Ignored(file.read(1024 * 1024))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return Ignored("")
