"""Connections that are upgraded to frames: a kind, a length, and so many bytes, both ways."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from orchestrator.frames import HEAD

LONGEST_FRAME = 1024 * 1024


def upgraded(request: web.Request) -> asyncio.StreamReader:
    """Take the connection's incoming bytes away from the HTTP parser."""
    reader = asyncio.StreamReader()
    if request.transport is not None:
        # What nobody reads is not read here either, but waits with the client.
        reader.set_transport(request.transport)
    protocol = request.protocol
    # Only the three methods of _Sink are ever called on a parser (aiohttp, web_protocol).
    protocol.set_parser(_Sink(reader))  # type: ignore[arg-type]
    return reader


class _Sink:
    """What aiohttp hands raw bytes to once a connection speaks something else."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()

    def set_exception(self, error: Exception) -> None:
        self._reader.set_exception(error)


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Yield kind and content of each frame. Raises IncompleteReadError when the client goes."""
    while True:
        kind, length = HEAD.unpack(await reader.readexactly(HEAD.size))
        if length > LONGEST_FRAME:
            raise ValueError(f"a frame of {length} bytes")
        yield kind, await reader.readexactly(length)
