"""Volumes and networks over the API."""

from aiohttp import web

from orchestrator.api.streams import KEY, read_body, receive_file, send_file
from orchestrator.resources import Resources


def routes() -> list[web.RouteDef]:
    """Return what the API has about volumes and networks."""
    return [
        web.get("/v1/volumes", _volumes),
        web.get("/v1/volumes/{name}", _volume),
        web.put("/v1/volumes/{name}", _create_volume),
        web.delete("/v1/volumes/{name}", _remove_volume),
        web.post("/v1/volumes/prune", _prune_volumes),
        web.get("/v1/volumes/{name}/content", _export_volume),
        web.put("/v1/volumes/{name}/content", _import_volume),
        web.post("/v1/volumes/{name}/clone", _clone_volume),
        web.post("/v1/volumes/{name}/rename", _rename_volume),
        web.get("/v1/networks", _networks),
        web.post("/v1/networks/prune", _prune_networks),
        web.get("/v1/networks/{name}", _network),
        web.delete("/v1/networks/{name}", _remove_network),
    ]


def _resources(request: web.Request) -> Resources:
    one = request.app[KEY]
    return Resources(drivers=one.drivers, store=one.store, reconciler=one.reconciler)


async def _volumes(request: web.Request) -> web.StreamResponse:
    return web.json_response([one.as_json() for one in await _resources(request).volumes()])


async def _volume(request: web.Request) -> web.StreamResponse:
    view = await _resources(request).volume(request.match_info["name"])
    return web.json_response(view.as_json())


async def _create_volume(request: web.Request) -> web.StreamResponse:
    labels = (await read_body(request)).get("labels", {})
    texts = {str(key): str(value) for key, value in labels.items()}
    view = await _resources(request).create_volume(request.match_info["name"], texts)
    return web.json_response(view.as_json(), status=201)


async def _remove_volume(request: web.Request) -> web.StreamResponse:
    await _resources(request).remove_volume(request.match_info["name"])
    return web.json_response({})


async def _prune_volumes(request: web.Request) -> web.StreamResponse:
    named = bool((await read_body(request)).get("named"))
    return web.json_response({"removed": await _resources(request).prune_volumes(named=named)})


async def _export_volume(request: web.Request) -> web.StreamResponse:
    async with _resources(request).packed(request.match_info["name"]) as file:
        return await send_file(request, file)


async def _import_volume(request: web.Request) -> web.StreamResponse:
    async with receive_file(request, request.app[KEY].settings.data) as file:
        await _resources(request).fill(request.match_info["name"], file)
    return web.json_response({})


async def _clone_volume(request: web.Request) -> web.StreamResponse:
    new = str((await read_body(request))["to"])
    await _resources(request).clone(request.match_info["name"], new)
    return web.json_response({}, status=201)


async def _rename_volume(request: web.Request) -> web.StreamResponse:
    new = str((await read_body(request))["to"])
    await _resources(request).rename(request.match_info["name"], new)
    return web.json_response({})


async def _networks(request: web.Request) -> web.StreamResponse:
    return web.json_response([one.as_json() for one in await _resources(request).networks()])


async def _network(request: web.Request) -> web.StreamResponse:
    view = await _resources(request).network(request.match_info["name"])
    return web.json_response(view.as_json())


async def _remove_network(request: web.Request) -> web.StreamResponse:
    await _resources(request).remove_network(request.match_info["name"])
    return web.json_response({})


async def _prune_networks(request: web.Request) -> web.StreamResponse:
    return web.json_response({"removed": await _resources(request).prune_networks()})
