"""How a terminal is spoken over an upgraded connection: a kind, a length, and bytes.

Standard library only: the thin client speaks it.
"""

import struct

STDIN, RESIZE, SIGNAL = 0, 1, 2
"""Kinds a client sends."""
STDOUT, STDERR, EXIT, ERROR, TOLD = 1, 2, 3, 4, 5
"""Kinds the daemon sends."""
HEAD = struct.Struct(">BI")
"""Kind and length, before every frame's content."""


def frame(kind: int, data: bytes) -> bytes:
    """Return one frame."""
    return HEAD.pack(kind, len(data)) + data
