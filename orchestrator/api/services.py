"""Single services of a stack over the API: stop, start, begin anew, go, so many of them."""

import math
from dataclasses import asdict

from aiohttp import web

from orchestrator.api.streams import KEY, peer, read_body
from orchestrator.intents import Intents


def routes() -> list[web.RouteDef]:
    """Return what the API has about single services."""
    return [
        web.post("/v1/stacks/{name}/stop", _stop),
        web.post("/v1/stacks/{name}/start", _start),
        web.post("/v1/stacks/{name}/restart", _restart),
        web.post("/v1/stacks/{name}/kill", _kill),
        web.post("/v1/stacks/{name}/rm", _remove),
        web.post("/v1/stacks/{name}/scale", _scale),
    ]


def grace(request: web.Request) -> float | None:
    """Return the seconds a request gives what it stops. Raises ValueError for what is none."""
    given = request.query.get("grace")
    if given is None:
        return None
    seconds = float(given)
    if not math.isfinite(seconds):
        raise ValueError(f"`{given}` is no number of seconds")
    return max(seconds, 0.0)


def _intents(request: web.Request) -> Intents:
    return request.app[KEY].intents


def _asked(request: web.Request) -> tuple[str, list[str]]:
    return request.match_info["name"], request.query.getall("service", [])


async def _stop(request: web.Request) -> web.StreamResponse:
    name, services = _asked(request)
    if services:
        await _intents(request).stop(name, services, grace=grace(request))
    else:
        await request.app[KEY].stop(name, grace=grace(request))
    return web.json_response({}, status=202)


async def _start(request: web.Request) -> web.StreamResponse:
    name, services = _asked(request)
    if services:
        await _intents(request).start(name, services)
    else:
        await request.app[KEY].start(name)
    return web.json_response({}, status=202)


async def _restart(request: web.Request) -> web.StreamResponse:
    name, services = _asked(request)
    dependents = request.query.get("no_deps") != "1"
    await _intents(request).restart(name, services, grace=grace(request), dependents=dependents)
    return web.json_response({}, status=202)


async def _kill(request: web.Request) -> web.StreamResponse:
    name, services = _asked(request)
    await _intents(request).kill(name, services, signal=request.query.get("signal", "SIGKILL"))
    return web.json_response({}, status=202)


async def _remove(request: web.Request) -> web.StreamResponse:
    name, services = _asked(request)
    stop = request.query.get("stop") == "1"
    gone = await _intents(request).remove(name, services, stop=stop)
    return web.json_response({"services": gone}, status=202)


async def _scale(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    scale = {str(name): int(count) for name, count in body["scale"].items()}
    name, _ = _asked(request)
    applied = await request.app[KEY].scale(name, scale, owner_uid=peer(request))
    return web.json_response(asdict(applied), status=202)
