"""What every part of the API uses: the orchestrator behind it, objects in, objects out."""

import json
import os
import socket
import struct
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import IO, Any

import structlog
from aiohttp import web

from orchestrator.errors import PyorchError
from orchestrator.service import Orchestrator
from orchestrator.spec.judging.consistency import check_settled
from orchestrator.spec.models import StackFile
from runtime.files import in_thread

log = structlog.get_logger()

CHUNK = 1024 * 1024
KEY = web.AppKey("orchestrator", Orchestrator)


async def send_stream(
    request: web.Request, entries: AsyncGenerator[dict[str, Any], None]
) -> web.StreamResponse:
    """Send one JSON object a line until there are no more, or until nobody reads them.

    The last line says that it is: a reader can tell an end from a daemon that went away.
    """
    stream = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await stream.prepare(request)
    async with aclosing(entries):
        try:
            async for entry in entries:
                await stream.write(json.dumps(entry).encode() + b"\n")
            await stream.write(b'{"end": true}\n')
        except ConnectionResetError:
            log.debug("stream.left", path=request.path)
    return stream


async def send_file(request: web.Request, file: IO[bytes]) -> web.StreamResponse:
    """Send a tarball from its beginning, with its length: who reads it knows when it is cut off."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
    response.content_length = await in_thread(file.seek, 0, os.SEEK_END)
    await in_thread(file.seek, 0)
    await response.prepare(request)
    while data := await in_thread(file.read, CHUNK):
        await response.write(data)
    return response


@asynccontextmanager
async def receive_file(request: web.Request, folder: Path) -> AsyncIterator[IO[bytes]]:
    """Yield what a request carries, however much, as a nameless file."""
    with tempfile.TemporaryFile(dir=folder) as file:
        async for data in request.content.iter_chunked(CHUNK):
            await in_thread(file.write, data)
        await in_thread(file.seek, 0)
        yield file


async def read_body(request: web.Request) -> dict[str, Any]:
    """Return the object a request carries. Raises ValueError for anything else."""
    try:
        found = await request.json()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("its body is no object")
    return found


def settled(document: Any, name: str) -> StackFile:
    """Read a stack file as somebody sent it: nobody is trusted to have checked it."""
    model = StackFile.model_validate(document)
    check_settled(model)
    if model.name != name:
        raise PyorchError("the path and the stack file name different stacks", code="invalid")
    return model


def peer(request: web.Request) -> int:
    """Return the uid of the process that asks; -1 where the kernel does not tell."""
    transport = request.transport
    connection = transport.get_extra_info("socket") if transport else None
    if connection is None:
        return -1
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", packed)[1])
