"""What differs between two settled documents, key by key. Pure; what is secret is never told."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Path = tuple[str, ...]

LONGEST = 60
"""Characters of a value that are told."""
HIDDEN = {("secrets", "payload"), ("configs", "payload")}
"""Section and key of what is told as changed, and not shown."""

WITH_PASSWORDS = ("x_pyorch", "notify")
"""Where in a stack URLs stand that may be as good as passwords: none of it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that is another now. None stands for nothing."""

    path: Path
    old: object = None
    new: object = None

    def __str__(self) -> str:
        name = ".".join(self.path)
        if self.path[:2] == WITH_PASSWORDS:
            return f"{'.'.join(self.path[:3])}: it has changed"
        if (self.path[0], self.path[-1]) in HIDDEN:
            return f"{name.rpartition('.')[0]}: its content has changed"
        if self.old is None:
            return f"{name}: + {_told(self.new)}"
        if self.new is None:
            return f"{name}: - {_told(self.old)}"
        return f"{name}: {_told(self.old)} → {_told(self.new)}"


def changes(old: object, new: object, path: Path = ()) -> Iterator[Change]:
    """Yield what is different, in the order of the new document.

    What one of them leaves out counts as nothing, and so do an empty list and an empty mapping:
    a document of an older pyorch does not have every key.
    """
    if _is_empty(old) and _is_empty(new):
        return
    if isinstance(old or new, Mapping) and isinstance(new or old, Mapping):
        yield from _in_mappings(old or {}, new or {}, path)
    elif isinstance(old or new, list) and isinstance(new or old, list):
        yield from _in_lists(old or [], new or [], path)
    elif old != new:
        yield Change(path=path, old=old, new=new)


def in_words(found: Sequence[Change], *, most: int = 3) -> str:
    """Return the first changes as one line."""
    told = "; ".join(map(str, found[:most]))
    more = len(found) - most
    return f"{told}; and {more} more" if more > 0 else told


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})


def _in_mappings(old: object, new: object, path: Path) -> Iterator[Change]:
    assert isinstance(old, Mapping)
    assert isinstance(new, Mapping)
    for key in (*new, *(key for key in old if key not in new)):
        yield from changes(old.get(key), new.get(key), (*path, str(key)))


def _in_lists(old: object, new: object, path: Path) -> Iterator[Change]:
    assert isinstance(old, list)
    assert isinstance(new, list)
    # An entry more or less in the middle must not look as if all after it had changed.
    gone = [one for one in old if one not in new]
    come = [one for one in new if one not in old]
    if len(gone) == len(come):
        for before, after in zip(gone, come, strict=True):
            yield from changes(before, after, (*path, str(new.index(after))))
        if not gone and old != new:
            yield Change(path=path, old=old, new=new)
        return
    for one in gone:
        yield Change(path=path, old=one)
    for one in come:
        yield Change(path=path, new=one)


def _told(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
