"""Files of containers over the API, as tarballs."""

import tempfile
from pathlib import Path

from aiohttp import web

from orchestrator.api.streams import KEY
from orchestrator.copying import Copier
from runtime.files import in_thread
from runtime.types import ContainerId

CHUNK = 1024 * 1024


def routes() -> list[web.RouteDef]:
    """Return what the API has about files."""
    return [
        web.get("/v1/stacks/{name}/files", _pack),
        web.get("/v1/stacks/{name}/files/kind", _kind),
        web.put("/v1/stacks/{name}/files", _unpack),
    ]


async def _kind(request: web.Request) -> web.StreamResponse:
    copier, container, path = await _asked(request)
    return web.json_response({"kind": await copier.kind(container, path)})


async def _pack(request: web.Request) -> web.StreamResponse:
    """Send a tarball of what is at a path."""
    copier, container, path = await _asked(request)
    follow, name = request.query.get("follow") == "1", request.query["as"]
    if "/" in name or name in ("", ".."):
        raise ValueError(f"`{name}` is no name of a file")
    async with copier.packed(container, path, name=name, follow=follow) as file:
        response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
        response.content_length = await in_thread(file.seek, 0, 2)
        await in_thread(file.seek, 0)
        await response.prepare(request)
        while data := await in_thread(file.read, CHUNK):
            await response.write(data)
    return response


async def _unpack(request: web.Request) -> web.StreamResponse:
    """Take a tarball and unpack it into a folder."""
    copier, container, path = await _asked(request)
    with tempfile.TemporaryFile(dir=copier.scratch) as file:
        async for data in request.content.iter_chunked(CHUNK):
            await in_thread(file.write, data)
        await in_thread(file.seek, 0)
        await copier.unpack(container, path, file, owners=request.query.get("owners") == "1")
    return web.json_response({})


async def _asked(request: web.Request) -> tuple[Copier, ContainerId, str]:
    orchestrator, query = request.app[KEY], request.query
    index = query.get("index")
    slot = None if index is None else int(index)
    path = query["path"]
    if "\0" in path:
        raise ValueError("a path has no zero byte")
    facts = await orchestrator.container_of(request.match_info["name"], query["service"], slot)
    scratch = Path(orchestrator.settings.data)
    return Copier(orchestrator.drivers.containers, scratch), facts.id, path
