"""How netlink(7) messages and their attributes are laid out, as far as they are read here. Pure."""

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence number, port."""
ATTRIBUTE = struct.Struct("=HH")
"""Length with this head, type."""
TYPE_BITS = 0x3FFF
"""What of an attribute's type says what it is; the rest says how it is written."""


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield type, flags and content of each whole message."""
    place = 0
    while place + HEADER.size <= len(data):
        length, kind, flags, *_ = HEADER.unpack_from(data, place)
        if length < HEADER.size or place + length > len(data):
            return
        yield kind, flags, data[place + HEADER.size : place + length]
        place += (length + 3) & ~3


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each whole attribute."""
    place = 0
    while place + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, place)
        if length < ATTRIBUTE.size or place + length > len(data):
            return
        yield kind & TYPE_BITS, data[place + ATTRIBUTE.size : place + length]
        place += (length + 3) & ~3


def text(value: bytes) -> str:
    """Return an attribute's text; what is no text is shown as it can be."""
    return value.partition(b"\0")[0].decode(errors="replace")
