"""A YAML document as it was read → a tree whose values know where they stand."""

from typing import Any

from orchestrator.spec.tree import Map, Path, Seq
from orchestrator.spec.yaml import Document, Tagged


def plant(document: Document) -> Any:
    """Return a document's content as a tree of its own; nothing in it is shared."""
    marks = document.marks

    def grow(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            grown = Map()
            for key, entry in value.items():
                below = (*path, key)
                grown[key] = grow(entry, below)
                if (mark := marks.get(below)) is not None:
                    grown.marks[key] = mark
            return grown
        if isinstance(value, list):
            seq = Seq()
            for number, entry in enumerate(value):
                below = (*path, str(number))
                seq.add(grow(entry, below), marks.get(below))
            return seq
        if isinstance(value, Tagged):
            return Tagged(value.tag, grow(value.value, path))
        return value

    return grow(document.content, ())
