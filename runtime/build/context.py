"""What a build is given to see, unpacked as it comes in.

The sender has packed folders it may read. Whatever the tarball says, every file of it ends up
inside the folder it is unpacked to, owned by root, and a link is only ever made, never followed.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from runtime.errors import InvalidError
from runtime.files import in_thread
from runtime.image.layers import unpack_plain

MOST = 16 * 1024**3
"""Bytes of all contexts of one build."""


async def receive(pieces: AsyncIterator[bytes], target: Path) -> None:
    """Unpack a tarball that comes in pieces to the empty folder ``target``.

    Raises InvalidError for what is none, or is larger than ``MOST``.
    """
    reading, writing = os.pipe()
    source = os.fdopen(reading, "rb", buffering=1024 * 1024)
    unpacking = asyncio.ensure_future(in_thread(_unpack, source, target))
    try:
        with os.fdopen(writing, "wb", buffering=0) as sink, contextlib.suppress(BrokenPipeError):
            async for piece in pieces:
                await in_thread(_write, sink.fileno(), piece)
    except BaseException:
        # Without its end the tarball is none: the thread that reads it comes to its own.
        await asyncio.wait({unpacking})
        unpacking.exception()
        raise
    await unpacking


def _write(sink: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(sink, view) :]


def _unpack(source: IO[bytes], target: Path) -> None:
    with source:
        try:
            unpack_plain(source, target, limit=MOST)
        except InvalidError as error:
            cause = f"`{error.subject}`: {error.cause}"
            raise InvalidError("read", "build context", cause, code="context") from error
