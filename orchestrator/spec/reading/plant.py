"""A YAML document as it was read → a tree whose values know where they stand."""

from typing import Any

from orchestrator.spec.problems import Source
from orchestrator.spec.reading.document import Below, Document, Places, start
from orchestrator.spec.reading.yaml import Tagged
from orchestrator.spec.tree import Map, Origin, Seq


def plant(document: Document) -> Any:
    """Return a document's content as a tree of its own; nothing in it is shared."""
    _, _, root = document.find(())
    return _grow(document.content, root, document.source)


def _grow(value: Any, below: Below | None, source: Source) -> Any:
    if isinstance(value, dict):
        keys = below.all() if isinstance(below, Places) else {}
        grown = Map()
        marks = grown.marks
        for key, entry in value.items():
            index, lower = keys.get(key, (None, None))
            grown[key] = _grow(entry, lower, source) if type(entry) not in _PLAIN else entry
            if index is not None:
                marks[key] = Origin(source, index)
        return grown
    if isinstance(value, list):
        entries = below.entries if isinstance(below, Places) else [None] * len(value)
        seq = Seq()
        for entry, lower in zip(value, entries, strict=True):
            origin = Origin(source, start(lower)) if lower is not None else None
            seq.add(_grow(entry, lower, source), origin)
        return seq
    if isinstance(value, Tagged):
        return Tagged(value.tag, _grow(value.value, below, source))
    return value


_PLAIN = (str, int, float, bool, type(None))
