"""Streams a layer passes through: counted, hashed, decompressed, never larger than allowed."""

import gzip
import hashlib
import io
import lzma
import zlib
from typing import IO, Protocol, cast

import zstandard
from isal import igzip, isal_zlib
from typing_extensions import override

from runtime.errors import InvalidError

CHUNK = 1024 * 1024
MAX_HEADER = 4 * CHUNK
"""What the header reader may ask for in one piece: more is a header made to fill memory."""
MAX_WINDOW = 2**27
GZIP, ZSTD, XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ"
_SKIPPABLE = tuple(bytes([0x50 + low]) + b"\x2a\x4d\x18" for low in range(16))

CODEC_ERRORS = (
    EOFError,
    zstandard.ZstdError,
    lzma.LZMAError,
    zlib.error,
    cast("type[Exception]", isal_zlib.error),
    gzip.BadGzipFile,
)
"""What the decompressors raise for broken content."""


class Writer(Protocol):
    """What takes bytes in."""

    def write(self, data: bytes, /) -> object:
        """Take bytes in."""


class Tee(io.RawIOBase):
    """A stream that is hashed, counted and copied while it is read, from its very beginning."""

    def __init__(self, source: IO[bytes]) -> None:
        """Read from ``source``."""
        self._source = source
        self._copy: Writer | None = None
        self._hash: hashlib._Hash | None = None
        self._head = b""
        self.count = 0

    @override
    def readable(self) -> bool:
        return True

    def follow(self, copy: Writer, *, hashed: bool) -> None:
        """Write to ``copy`` whatever is read; only before anything was."""
        self._copy = copy
        self._hash = hashlib.sha256() if hashed else None

    def peek(self, size: int) -> bytes:
        """Return the first bytes without taking them; only before anything was read."""
        while len(self._head) < size and (more := self._source.read(size - len(self._head))):
            self._head += more
        return self._head[:size]

    @override
    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes."""
        if self._head:
            size = len(self._head) if size < 0 else size
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._source.read(size)
        if self._hash is not None:
            self._hash.update(data)
        self.count += len(data)
        if self._copy is not None and data:
            self._copy.write(data)
        return data

    @override
    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> str:
        """Read what is left and return the digest of everything; empty where none was wanted."""
        while self.read(CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}" if self._hash is not None else ""


def compression(head: bytes) -> str:
    """Return what a media type ends in for content that begins so; empty for a plain one."""
    if head.startswith(GZIP):
        return "+gzip"
    if head.startswith((ZSTD, *_SKIPPABLE)):
        return "+zstd"
    return "+xz" if head.startswith(XZ) else ""


def decompress(source: Tee) -> IO[bytes]:
    """Return a stream of what ``source`` holds: gzip, zstd, xz, or nothing special."""
    head = source.peek(6)
    if head.startswith(GZIP):
        unzipped = igzip.IGzipFile(fileobj=source, mode="rb")  # type: ignore[no-untyped-call]
        return cast("IO[bytes]", unzipped)
    if head.startswith((ZSTD, *_SKIPPABLE)):
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(
            cast("IO[bytes]", source), read_size=CHUNK, read_across_frames=True, closefd=False
        )
        return cast("IO[bytes]", reader)
    if head.startswith(XZ):
        return cast("IO[bytes]", lzma.LZMAFile(cast("IO[bytes]", source)))
    return cast("IO[bytes]", source)


class ForwardReader(io.RawIOBase):
    """What the header reader reads: forwards only, hashed, and no piece larger than a header.

    Reading in place instead of in blocks keeps every byte countable, and what would jump
    back (a negative size, CVE-2025-8194) fails instead of reading the same again for ever.
    """

    def __init__(self, source: IO[bytes], limit: int) -> None:
        """Read from ``source``, at most ``limit`` bytes."""
        self._source = source
        self._limit = limit
        self._hash = hashlib.sha256()
        self.count = 0
        self.last = b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1, /) -> bytes:
        """Return exactly ``size`` bytes, fewer only at the end."""
        if not 0 <= size <= MAX_HEADER:
            raise InvalidError("unpack", "layer", f"a header of {size} bytes", code="layer_tar")
        parts = []
        left = size
        while left:
            data = self._source.read(left)
            if not data:
                break
            self._hash.update(data)
            self.count += len(data)
            if self.count > self._limit:
                raise InvalidError(
                    "unpack",
                    "layer",
                    f"it is larger than {self._limit} bytes",
                    code="layer_size",
                )
            parts.append(data)
            left -= len(data)
        self.last = parts[0] if len(parts) == 1 else b"".join(parts)
        return self.last

    @override
    def tell(self) -> int:
        return self.count

    @override
    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Read up to ``offset``."""
        if whence != 0 or offset < self.count:
            raise InvalidError("unpack", "layer", "a header leads backwards", code="layer_tar")
        while self.count < offset and self.read(min(offset - self.count, CHUNK)):
            pass
        return self.count

    def finish(self) -> str:
        """Read what is left and return the digest of everything."""
        while self.read(CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"
