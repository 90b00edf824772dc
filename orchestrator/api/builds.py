"""Builds over the API: the context comes in and the output goes out on one connection."""

import asyncio
import json
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from orchestrator.api.frames import frames, upgraded
from orchestrator.api.streams import KEY, read_body
from orchestrator.building.request import BuildRequest
from orchestrator.errors import PyorchError
from orchestrator.frames import ERROR, EXIT, STDIN, STDOUT, frame
from runtime.errors import DriverError
from scheduler import PlanError

WAITING = 8
"""Pieces of a context that are held until somebody takes them."""

log = structlog.get_logger()


def routes() -> list[web.RouteDef]:
    """Return what the API has about builds."""
    return [web.post("/v1/builds", _build), web.post("/v1/builds/prune", _prune)]


async def _build(request: web.Request) -> web.StreamResponse:
    wanted = BuildRequest.model_validate_json(await request.read())
    response = web.StreamResponse(
        status=101, headers={"Upgrade": "pyorch-build", "Connection": "Upgrade"}
    )
    await response.prepare(request)
    transport = request.transport
    if transport is None:
        return response
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING)
    reader = upgraded(request)

    async def output(data: bytes) -> None:
        transport.write(frame(STDOUT, data))
        await request.writer.drain()

    building = asyncio.create_task(
        request.app[KEY].builds.build(wanted, _taken(pieces), output), name="build"
    )
    feeding = asyncio.create_task(_feed(reader, pieces, building), name="build context")
    try:
        facts = await building
        transport.write(frame(EXIT, json.dumps({"image": facts.id}).encode()))
    except (DriverError, PyorchError, PlanError) as error:
        detail = {
            "detail": str(error),
            "hint": error.hint,
            "code": getattr(error, "code", "refused"),
        }
        transport.write(frame(ERROR, json.dumps(detail).encode()))
    except asyncio.CancelledError:
        log.info("build.left", image=wanted.names[0])
        if not building.done():
            building.cancel()
            await asyncio.wait({building})
            raise
    finally:
        feeding.cancel()
    transport.close()
    return response


async def _feed(
    reader: asyncio.StreamReader,
    pieces: "asyncio.Queue[bytes | None]",
    building: "asyncio.Task[object]",
) -> None:
    """Pass the context on; whoever leaves takes the build along."""
    try:
        async for kind, data in frames(reader):
            if kind != STDIN:
                raise ValueError(f"a frame of kind {kind}")
            await pieces.put(data or None)
    except (asyncio.IncompleteReadError, ConnectionError):
        building.cancel()
    except Exception as error:
        log.warning("build.broken", error=repr(error))
        building.cancel()


async def _taken(pieces: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
    while (piece := await pieces.get()) is not None:
        yield piece


async def _prune(request: web.Request) -> web.StreamResponse:
    await read_body(request)
    return web.json_response({"size": await request.app[KEY].builds.prune()})
