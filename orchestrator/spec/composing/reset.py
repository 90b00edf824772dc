"""`!reset` and `!override`: what a document takes away from the one below it."""

from collections.abc import Iterable
from typing import Any

from orchestrator.spec.reading.yaml import Tagged
from orchestrator.spec.tree import Map, Path, Seq


def take_tags(tree: Any) -> tuple[Any, tuple[Path, ...]]:
    """Return a tree without tags, and the paths to clear below before it is laid over.

    What stands under `!reset` is gone from the tree, what stands under `!override` stays.
    """
    paths: list[Path] = []
    taken = _take(tree, (), paths)
    return (None if taken is _GONE else taken), tuple(paths)


_GONE = object()


def _take(value: Any, path: Path, paths: list[Path]) -> Any:
    if isinstance(value, Tagged):
        paths.append(path)
        if value.tag == "!reset":
            return _GONE
        return _take(value.value, path, paths)
    if isinstance(value, Map):
        gone = []
        for key, entry in value.items():
            if isinstance(entry, dict | list | Tagged):
                kept = _take(entry, (*path, key), paths)
                if kept is _GONE:
                    gone.append(key)
                elif kept is not entry:
                    value[key] = kept
        for key in gone:
            del value[key]
            value.marks.pop(key, None)
    elif isinstance(value, Seq):
        for number in reversed(range(len(value))):
            kept = _take(value[number], (*path, str(number)), paths)
            if kept is _GONE:
                del value[number]
                del value.marks[number]
            else:
                value[number] = kept
    return value


def clear(tree: Any, paths: Iterable[Path]) -> None:
    """Take ``paths`` out of ``tree``, in place. Entries of lists stay."""
    for path in paths:
        node = tree
        for key in path[:-1]:
            node = node.get(key) if isinstance(node, Map) else None
        if isinstance(node, Map) and path:
            node.pop(path[-1], None)
            node.marks.pop(path[-1], None)
