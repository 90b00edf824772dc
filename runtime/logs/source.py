"""A log file to read from, anywhere in it, whether it is compressed or still written to."""

import os
from collections.abc import Callable
from typing import Protocol

from runtime.logs.folder import Segment
from runtime.logs.packed import Block, Index, read_block, read_index


class Source(Protocol):
    """The bytes of one log file."""

    @property
    def size(self) -> int:
        """How many there are at this moment."""

    def read_at(self, offset: int, count: int) -> bytes:
        """Return at most ``count`` bytes; none at the end, fewer anywhere."""


class FileSource:
    """An open file. It can still be read when it was removed meanwhile. Close it."""

    def __init__(self, segment: Segment) -> None:
        """Open a segment. Raises FileNotFoundError when it has gone."""
        self.segment = segment
        self._fd = os.open(segment.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._index: Index | None = None
        self._held: tuple[Block, bytes] | None = None
        if segment.packed:
            try:
                self._index = read_index(self._fd)
            except BaseException:
                os.close(self._fd)
                raise

    @property
    def size(self) -> int:
        """How many bytes there are at this moment."""
        return os.fstat(self._fd).st_size if self._index is None else self._index.size

    def read_at(self, offset: int, count: int) -> bytes:
        """Return at most ``count`` bytes; none at the end."""
        if self._index is None:
            return os.pread(self._fd, count, offset)
        block = self._index.block_at(offset)
        if block is None:
            return b""
        if self._held is None or self._held[0] != block:
            # A member that is damaged leaves a hole that is told apart from the end of the file.
            self._held = block, read_block(self._fd, block).ljust(block.size, b"\0")
        start = offset - block.offset
        return self._held[1][start : start + count]

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


Opener = Callable[[Segment], FileSource]
