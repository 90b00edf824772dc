"""Kept generations over the API: what there was, what changed, going back."""

from dataclasses import asdict

from aiohttp import web

from orchestrator.api.streams import KEY, peer, read_body
from orchestrator.generations import Generations


def routes() -> list[web.RouteDef]:
    """Return what the API has about generations."""
    return [
        web.get("/v1/stacks/{name}/generations", _history),
        web.get("/v1/stacks/{name}/diff", _diff),
        web.post("/v1/stacks/{name}/rollback", _rollback),
        web.post("/v1/stacks/{name}/rollout/pause", _pause),
        web.post("/v1/stacks/{name}/rollout/resume", _resume),
    ]


def _generations(request: web.Request) -> Generations:
    return Generations(store=request.app[KEY].store)


async def _history(request: web.Request) -> web.StreamResponse:
    found = _generations(request).history(request.match_info["name"])
    return web.json_response([one.as_json() for one in found])


async def _diff(request: web.Request) -> web.StreamResponse:
    numbers = (int(request.query["old"]), int(request.query["new"]))
    found = _generations(request).diff(request.match_info["name"], *numbers)
    return web.json_response([{"path": ".".join(one.path), "text": str(one)} for one in found])


async def _rollback(request: web.Request) -> web.StreamResponse:
    wanted = (await read_body(request)).get("generation")
    number = None if wanted is None else int(wanted)
    name = request.match_info["name"]
    applied = await request.app[KEY].rollback(name, number, owner_uid=peer(request))
    return web.json_response(asdict(applied), status=202)


async def _pause(request: web.Request) -> web.StreamResponse:
    services = [str(one) for one in (await read_body(request)).get("services", ())]
    found = request.app[KEY].pause_updates(request.match_info["name"], services)
    return web.json_response({"services": found}, status=202)


async def _resume(request: web.Request) -> web.StreamResponse:
    services = [str(one) for one in (await read_body(request)).get("services", ())]
    found = request.app[KEY].resume_updates(request.match_info["name"], services)
    return web.json_response({"services": found}, status=202)
