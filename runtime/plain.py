"""Values as JSON and back, across versions of this program.

What another version knows more is left out, what it did not know yet has its default. So a
daemon reads what an older or a newer one has written down.
"""

import json
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


def write_plain(value: "DataclassInstance") -> bytes:
    """Return a dataclass as JSON; what JSON has no kind for is told as its text."""
    return json.dumps(asdict(value), default=_text).encode()


def read_plain(kind: type[T], found: object) -> T:
    """Return the value of ``kind`` a document stands for. Raises ValueError where it is none."""
    known: Any = kind
    value: T = _adapter(known).validate_python(found)
    return value


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
