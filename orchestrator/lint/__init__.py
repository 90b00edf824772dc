"""What a stack file may say and rarely means: found before it hurts, mended where it is safe."""

from collections.abc import Container, Iterable
from dataclasses import replace

from orchestrator.lint import exposing, running, writing
from orchestrator.lint.findings import Edit, Finding, Rule, Subject
from orchestrator.spec.models import StackFile
from orchestrator.spec.tree import Map, origin_at

RULES: tuple[Rule, ...] = (
    *running.RULES,
    *exposing.RULES,
    *writing.UNUSED,
    writing.QUOTES,
    writing.ZEROS,
)
"""Every rule there is."""

__all__ = ["RULES", "Finding", "Rule", "find", "mend"]


def find(stack: StackFile, tree: Map, *, ignore: Container[str] = ()) -> list[Finding]:
    """Return what the rules find, in the order of the files."""
    subject = Subject(stack, tree)
    found = [
        one if one.origin else replace(one, origin=origin_at(tree, one.path))
        for rule in RULES
        if rule.name not in ignore
        for one in rule.find(subject)
    ]
    return sorted(found, key=_place)


def mend(findings: Iterable[Finding]) -> dict[str, str]:
    """Return the text of every file with its edits made; the rest of it stays as it is.

    Files are called as in messages: by their paths from the present directory.
    """
    edits: dict[str, list[Edit]] = {}
    texts: dict[str, str] = {}
    for one in findings:
        if one.edit is not None and one.origin is not None:
            edits.setdefault(one.edit.file, []).append(one.edit)
            texts[one.edit.file] = one.origin.source.text
    for file, wanted in edits.items():
        for edit in sorted(wanted, key=lambda one: one.index, reverse=True):
            text = texts[file]
            assert text.startswith(edit.old, edit.index)
            texts[file] = text[: edit.index] + edit.new + text[edit.index + len(edit.old) :]
    return texts


def _place(one: Finding) -> tuple[str, int, str]:
    return (one.origin.source.file, one.origin.index, one.rule) if one.origin else ("", 0, one.rule)
