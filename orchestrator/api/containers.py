"""Commands run beside what runs in a container, over an upgraded connection."""

import asyncio
import json
from typing import Any

import structlog
from aiohttp import web

from orchestrator.api.frames import frames, upgraded
from orchestrator.api.streams import read_body
from orchestrator.errors import PyorchError
from orchestrator.frames import ERROR, EXIT, RESIZE, SIGNAL, STDERR, STDIN, STDOUT, frame
from orchestrator.service import Orchestrator
from runtime.drivers import ExecSession
from runtime.errors import DriverError
from runtime.types import ContainerId, ExecConfig

log = structlog.get_logger()


async def exec_in(request: web.Request, orchestrator: Orchestrator) -> web.StreamResponse:
    """Run a command in a replica and speak frames over the upgraded connection."""
    stack, service = request.match_info["name"], request.query["service"]
    body = await read_body(request)
    config = _exec_config(body)
    index = request.query.get("index")
    await orchestrator.need_services(stack, [service])
    view = await orchestrator.view(stack)
    running = sorted(
        (one for one in view.replicas if one.service == service and one.phase == "running"),
        key=lambda one: one.slot,
    )
    of_service = f"service `{service}` of stack `{stack}`"
    if not running:
        raise PyorchError(
            f"{of_service} has no running replica", hint="see `pyorch ps -a`", code="not_found"
        )
    if index is not None:
        slots = ", ".join(str(one.slot) for one in running)
        running = [one for one in running if one.slot == int(index)]
        if not running:
            raise PyorchError(
                f"replica {index} of {of_service} does not run",
                hint=f"what runs of it: {slots}",
                code="not_found",
            )
    session = await orchestrator.drivers.containers.exec(
        ContainerId(f"{stack}.{running[0].id}"),
        config,
    )
    response = web.StreamResponse(
        status=101, headers={"Upgrade": "pyorch-exec", "Connection": "Upgrade"}
    )
    try:
        if body.get("tty"):
            await session.resize(int(body.get("columns", 80)), int(body.get("rows", 24)))
        await response.prepare(request)
        transport = request.transport
        if transport is None:
            return response
        reader = upgraded(request)
        feeding = asyncio.create_task(_feed(reader, session), name="exec input")
        try:
            while True:
                stream, data = await session.read()
                if stream == 0:
                    break
                transport.write(frame(STDOUT if stream == 1 else STDERR, data))
                await request.writer.drain()
            code = await session.wait()
            transport.write(frame(EXIT, json.dumps({"code": code}).encode()))
        except DriverError as error:
            detail = {"detail": str(error), "hint": error.hint}
            transport.write(frame(ERROR, json.dumps(detail).encode()))
        finally:
            feeding.cancel()
        transport.close()
    finally:
        await session.close()
    return response


def _exec_config(body: dict[str, Any]) -> ExecConfig:
    argv, environment = body["argv"], body.get("env") or {}
    if not isinstance(argv, list) or not argv:
        raise ValueError("`argv` is no list of words")
    if not isinstance(environment, dict):
        raise ValueError("`env` is no object")
    for text in (*argv, *environment, *environment.values()):
        if not isinstance(text, str) or "\0" in text:
            raise ValueError(f"{text!r} is no text for a command")
    return ExecConfig(
        argv=tuple(argv),
        environment=environment,
        user=body.get("user"),
        working_dir=body.get("workdir"),
        tty=bool(body.get("tty")),
        privileged=bool(body.get("privileged")),
    )


async def _feed(reader: asyncio.StreamReader, session: ExecSession) -> None:
    try:
        async for kind, data in frames(reader):
            await _obey(session, kind, data)
    except asyncio.IncompleteReadError:
        # The client is gone: so is whoever the command was for.
        await session.close()
    except Exception as error:
        log.warning("exec.broken", error=repr(error))
        await session.close()


async def _obey(session: ExecSession, kind: int, data: bytes) -> None:
    if kind == STDIN:
        await session.write(data)
    elif kind == RESIZE:
        size = json.loads(data)
        await session.resize(int(size["columns"]), int(size["rows"]))
    elif kind == SIGNAL:
        await session.signal(int(json.loads(data)["number"]))
