"""Files of containers over the API, as tarballs."""

from pathlib import Path

from aiohttp import web

from orchestrator.api.streams import KEY, receive_file, send_file
from orchestrator.copying import Copier
from runtime.types import ContainerId


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
        return await send_file(request, file)


async def _unpack(request: web.Request) -> web.StreamResponse:
    """Take a tarball and unpack it into a folder."""
    copier, container, path = await _asked(request)
    async with receive_file(request, copier.scratch) as file:
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
