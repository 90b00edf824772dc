"""A log file that was turned over, compressed: gzip that can be read from the middle.

The file is one gzip member after the other (RFC 1952), each of one block of the log, so that
``zcat`` reads it as a whole. An extra field in the head of each says how long it is, packed and
unpacked: a reader gets from member to member without unpacking any.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

from isal import isal_zlib

BLOCK = 256 * 1024
"""Bytes of the log in one member: what must be unpacked to read one line."""
LEVEL = 1
MARK = b"PL"
DAMAGED = cast("type[Exception]", isal_zlib.error)

_HEAD = struct.Struct("<4sLBBH2sHLL")
_MAGIC = b"\x1f\x8b\x08\x04"
_TAIL = struct.Struct("<LL")


class Block(NamedTuple):
    """One member: where it is in the packed file, and what of the log is in it."""

    place: int
    packed: int
    offset: int
    size: int


def pack_block(data: bytes) -> bytes:
    """Return one member."""
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    length = _HEAD.size + len(body) + _TAIL.size
    extra = 4 + 8
    head = _HEAD.pack(_MAGIC, 0, 0, 255, extra, MARK, 8, length, len(data))
    return head + body + _TAIL.pack(zlib.crc32(data), len(data) & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Index:
    """The members of one packed file, in order."""

    blocks: tuple[Block, ...]

    @property
    def size(self) -> int:
        """How long the log in it is."""
        last = self.blocks[-1] if self.blocks else None
        return last.offset + last.size if last else 0

    def block_at(self, offset: int) -> Block | None:
        """Return the member that holds the log's byte at ``offset``."""
        low, high = 0, len(self.blocks)
        while low < high:
            middle = (low + high) // 2
            block = self.blocks[middle]
            if block.offset + block.size <= offset:
                low = middle + 1
            else:
                high = middle
        return self.blocks[low] if low < len(self.blocks) else None


def read_index(fd: int) -> Index:
    """Walk over the members' heads. What follows a broken one is left out."""
    return Index(tuple(_blocks(fd)))


def _blocks(fd: int) -> Iterator[Block]:
    place = offset = 0
    end = os.fstat(fd).st_size
    while place < end:
        head = os.pread(fd, _HEAD.size, place)
        if len(head) < _HEAD.size:
            return
        magic, _, _, _, extra, mark, _, packed, size = _HEAD.unpack(head)
        whole = (magic, extra, mark) == (_MAGIC, 12, MARK)
        if not whole or packed <= _HEAD.size or place + packed > end:
            return
        yield Block(place, packed, offset, size)
        place += packed
        offset += size


def read_block(fd: int, block: Block) -> bytes:
    """Return what of the log is in a member; nothing where it is damaged."""
    data = os.pread(fd, block.packed, block.place)
    try:
        unpacked = isal_zlib.decompressobj(-15).decompress(data[_HEAD.size :], block.size)
    except DAMAGED:
        return b""
    return bytes(unpacked)
