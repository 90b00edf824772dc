"""Routes, the socket, and how refusals look to a client."""

import asyncio
import grp
import math
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from http import HTTPStatus

import structlog
from aiohttp import web
from pydantic import ValidationError

from orchestrator import __version__, metrics
from orchestrator.api import (
    builds,
    chronicle,
    containers,
    files,
    generations,
    images,
    resources,
    schedules,
    services,
)
from orchestrator.api.logs import send_logs
from orchestrator.api.streams import KEY, peer, read_body, send_stream, settled
from orchestrator.dialect import API, models_mark
from orchestrator.errors import PyorchError
from orchestrator.service import ApplyOptions, Orchestrator
from orchestrator.vitals import examine
from runtime.errors import DriverError
from runtime.platforms import this_platform
from scheduler import PlanError

log = structlog.get_logger()

MAX_BODY = 16 * 1024 * 1024
STOPPING = web.AppKey("stopping", asyncio.Event)
MARK = web.AppKey("models_mark", str)
STATUS = {
    "not_found": 404,
    "no_service": 404,
    "conflict": 409,
    "already_exists": 409,
    "invalid": 422,
}


async def serve_api(orchestrator: Orchestrator, stopping: asyncio.Event) -> None:
    """Serve until cancelled. ``stopping`` is set when a request asks for the daemon's end."""
    app = create_app(orchestrator, stopping)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    path = orchestrator.settings.socket
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    try:
        os.chown(path, 0, grp.getgrnam("pyorch").gr_gid)
        path.chmod(0o660)
    except KeyError:
        pass  # without the group only root talks to the daemon
    try:
        await web.SockSite(runner, listener).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)


def create_app(orchestrator: Orchestrator, stopping: asyncio.Event) -> web.Application:
    """Return the application; nothing listens yet."""
    app = web.Application(middlewares=[_refusals, _origin], client_max_size=MAX_BODY)
    app[KEY] = orchestrator
    app[STOPPING] = stopping
    app[MARK] = models_mark()
    app.add_routes(
        [
            web.get("/v1/healthz", _health),
            web.get("/v1/metrics", _metrics),
            web.get("/v1/version", _version),
            web.post("/v1/shutdown", _shutdown),
            web.post("/v1/drain", _drain),
            web.delete("/v1/drain", _end_drain),
            web.get("/v1/stacks", _stacks),
            web.put("/v1/stacks/{name}", _apply),
            web.get("/v1/stacks/{name}", _stack),
            web.delete("/v1/stacks/{name}", _remove),
            web.post("/v1/stacks/{name}/plan", _plan),
            web.get("/v1/stacks/{name}/events", _events),
            web.get("/v1/stacks/{name}/logs", send_logs),
            *containers.routes(),
            *files.routes(),
            *builds.routes(),
            *images.routes(),
            *resources.routes(),
            *schedules.routes(),
            *services.routes(),
            *chronicle.routes(),
            *generations.routes(),
        ]
    )
    return app


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(
    status: int, code: str, detail: str, hint: str | None = None, **more: object
) -> web.Response:
    """Return a refusal (RFC 9457) with a stable code and the next thing to try."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "code": code}
    document |= {"detail": detail, "hint": hint, **more}
    return web.json_response(document, status=status, content_type="application/problem+json")


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (PyorchError, DriverError, PlanError) as error:
        code = getattr(error, "code", "refused")
        # A code that says more than its kind of refusal has the kind's status.
        kind = getattr(type(error), "code", code)
        return problem(STATUS.get(code, STATUS.get(str(kind), 400)), code, str(error), error.hint)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem(422, "invalid", f"{where}: {first['msg']}")
    except (ValueError, KeyError, TypeError) as error:
        log.warning("request.refused", path=request.path, error=repr(error))
        return problem(400, "bad_request", f"the request is not understood: {error}")


@web.middleware
async def _origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    # A browser that was led here names its own page, or a host that is not us.
    if "Origin" in request.headers or request.host not in ("pyorch", "localhost"):
        return problem(403, "forbidden", "requests from web pages are refused")
    if request.method != "GET":
        log.info("request.accepted", method=request.method, path=request.path, uid=peer(request))
    return await handler(request)


async def _health(request: web.Request) -> web.StreamResponse:
    complaints = await examine(request.app[KEY])
    if not complaints:
        return web.json_response({"status": "ok"})
    detail = "; ".join(f"{one.subject}: {one.detail}" for one in complaints)
    hint = next((one.hint for one in complaints if one.hint), None)
    reasons = [asdict(one) for one in complaints]
    return problem(503, "ill", detail, hint, reasons=reasons)


async def _metrics(request: web.Request) -> web.StreamResponse:
    found = await metrics.look(request.app[KEY])
    text = await asyncio.to_thread(metrics.write, found)
    return web.Response(body=text, headers={"Content-Type": metrics.CONTENT_TYPE})


async def _version(request: web.Request) -> web.StreamResponse:
    name = request.app[KEY].settings.name
    return web.json_response(
        {
            "version": __version__,
            "api": API,
            "models": request.app[MARK],
            "pid": os.getpid(),
            "instance": name,
            "drained": request.app[KEY].reconciler.halting,
            "platform": str(this_platform()),
        }
    )


async def _shutdown(request: web.Request) -> web.StreamResponse:
    if (await read_body(request)).get("containers"):
        await request.app[KEY].draining.halt()
    request.app[STOPPING].set()
    return web.json_response({}, status=202)


async def _drain(request: web.Request) -> web.StreamResponse:
    budget = float((await read_body(request))["budget"])
    if not 0 <= budget < math.inf:
        raise ValueError(f"`{budget}` is no number of seconds")
    return web.json_response({"stopped": await request.app[KEY].draining.drain(budget)})


async def _end_drain(request: web.Request) -> web.StreamResponse:
    request.app[KEY].draining.end()
    return web.json_response({}, status=202)


async def _stacks(request: web.Request) -> web.StreamResponse:
    return web.json_response([view.as_json() for view in await request.app[KEY].stacks()])


async def _stack(request: web.Request) -> web.StreamResponse:
    name, orchestrator = request.match_info["name"], request.app[KEY]
    view = await orchestrator.view(name, labels=request.query.get("labels") == "1")
    await orchestrator.need_services(name, request.query.getall("service", []))
    return web.json_response(view.as_json())


async def _apply(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    model = settled(body["model"], request.match_info["name"])
    options = ApplyOptions(owner_uid=peer(request), **body.get("options", {}))
    applied = await request.app[KEY].apply(model, options=options)
    return web.json_response(
        {"generation": applied.generation, "changed": applied.changed}, status=202
    )


async def _plan(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    name = request.match_info["name"]
    model = settled(body["model"], name) if body.get("model") else None
    plan = await request.app[KEY].plan(model, name)
    return web.json_response(
        {
            "text": str(plan),
            "steps": len(plan.steps),
            "held": [{"subject": h.subject, "reason": h.reason, "hint": h.hint} for h in plan.held],
        }
    )


async def _remove(request: web.Request) -> web.StreamResponse:
    volumes = request.query.get("volumes") == "true"
    name = request.match_info["name"]
    await request.app[KEY].remove(name, volumes=volumes, grace=services.grace(request))
    return web.json_response({}, status=202)


async def _events(request: web.Request) -> web.StreamResponse:
    return await send_stream(request, request.app[KEY].follow(request.match_info["name"]))
