"""Single services of a stack over the API: stop, start, begin anew, go, so many of them."""

import math
from dataclasses import asdict

from aiohttp import web

from orchestrator.api.streams import KEY, peer, read_body
from orchestrator.intents import Intents
from orchestrator.translate.observed import name_of
from runtime.errors import NotFoundError
from runtime.types import ContainerFacts, Running
from scheduler.ids import parse_container_name


def routes() -> list[web.RouteDef]:
    """Return what the API has about single services."""
    return [
        web.post("/v1/stacks/{name}/stop", _stop),
        web.post("/v1/stacks/{name}/start", _start),
        web.post("/v1/stacks/{name}/restart", _restart),
        web.post("/v1/stacks/{name}/kill", _kill),
        web.post("/v1/stacks/{name}/pause", _pause),
        web.post("/v1/stacks/{name}/unpause", _unpause),
        web.get("/v1/stacks/{name}/usage", _usage),
        web.get("/v1/stacks/{name}/processes", _processes),
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


async def _pause(request: web.Request) -> web.StreamResponse:
    name, services = _asked(request)
    await _intents(request).pause(name, services, paused=True)
    return web.json_response({}, status=202)


async def _unpause(request: web.Request) -> web.StreamResponse:
    name, services = _asked(request)
    await _intents(request).pause(name, services, paused=False)
    return web.json_response({}, status=202)


async def _usage(request: web.Request) -> web.StreamResponse:
    """Send what each container that runs uses; ``at`` is the moment, in seconds since boot."""
    found = []
    running = await _running(request)
    usages = await request.app[KEY].drivers.containers.usage()
    at = request.app[KEY].reconciler.now()
    for facts, told in running:
        usage = usages.get(facts.id)
        if usage is not None:
            limit = facts.limits.memory
            found.append({**told, "at": at, "memory_limit": limit, **asdict(usage)})
    return web.json_response(found)


async def _processes(request: web.Request) -> web.StreamResponse:
    """Send the processes of each container that runs."""
    drivers = request.app[KEY].drivers
    found = []
    for facts, told in await _running(request):
        try:
            processes = await drivers.containers.processes(facts.id)
        except NotFoundError:
            continue  # it has ended meanwhile
        found.append({**told, "processes": [asdict(one) for one in processes]})
    return web.json_response(found)


async def _running(request: web.Request) -> list[tuple[ContainerFacts, dict[str, object]]]:
    """Return what runs of what a request is about, with what people call it."""
    name, services = _asked(request)
    await request.app[KEY].need_services(name, services)
    found = []
    for facts in await request.app[KEY].drivers.containers.list():
        stack, replica = parse_container_name(facts.id)
        if stack != name or not isinstance(facts.phase, Running):
            continue
        if services and replica.service not in services:
            continue
        told: dict[str, object] = {"container": name_of(facts), "service": replica.service}
        found.append((facts, {**told, "paused": facts.phase.paused}))
    return found


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
