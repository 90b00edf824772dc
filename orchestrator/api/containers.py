"""The streams of what runs in containers, and of commands beside it, over upgraded connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog
from aiohttp import web

from orchestrator.api.frames import frames, upgraded
from orchestrator.api.streams import KEY, peer, read_body, settled
from orchestrator.errors import PyorchError
from orchestrator.frames import ERROR, EXIT, RESIZE, SIGNAL, STDERR, STDIN, STDOUT, TOLD, frame
from orchestrator.oneoffs import RunRequest
from orchestrator.service import Orchestrator
from runtime.drivers import ExecSession
from runtime.errors import DriverError
from runtime.types import ContainerId, ExecConfig

log = structlog.get_logger()


def routes() -> list[web.RouteDef]:
    """Return what the API has about streams."""
    return [
        web.post("/v1/stacks/{name}/exec", exec_in),
        web.post("/v1/stacks/{name}/attach", attach_to),
        web.post("/v1/stacks/{name}/run", run_once),
        web.delete("/v1/stacks/{name}/runs/{run}", let_go),
    ]


async def exec_in(request: web.Request) -> web.StreamResponse:
    """Run a command in a replica and speak frames over the upgraded connection."""
    orchestrator = request.app[KEY]
    body = await read_body(request)
    config = _exec_config(body)
    container = await _running(request, orchestrator)
    session = await orchestrator.drivers.containers.exec(container, config)
    if body.get("tty"):
        await session.resize(int(body.get("columns", 80)), int(body.get("rows", 24)))
    return await speak(request, session, "pyorch-exec", outlasts=False)


async def attach_to(request: web.Request) -> web.StreamResponse:
    """Take part in the streams of what runs in a replica."""
    orchestrator = request.app[KEY]
    container = await _running(request, orchestrator)
    session = await orchestrator.drivers.containers.attach(container)
    return await speak(request, session, "pyorch-attach")


async def run_once(request: web.Request) -> web.StreamResponse:
    """Have a service run once; tell how it comes to that, and take part in its streams."""
    orchestrator, stack = request.app[KEY], request.match_info["name"]
    body = await read_body(request)
    model = settled(body["model"], stack)
    wanted = RunRequest.model_validate(body["run"])
    begun, session = await orchestrator.run(model, wanted, owner_uid=peer(request))
    await session.resize(wanted.columns, wanted.rows)
    called = {"name": begun.name, "container": begun.called}

    async def tell() -> AsyncIterator[Mapping[str, object]]:
        yield called
        async for entry in orchestrator.follow(stack):
            yield entry
            mine = [one for one in entry.get("replicas", ()) if one["service"] == begun.name]
            if any(one["phase"] != "created" for one in mine):
                return

    return await speak(request, session, "pyorch-run", tell())


async def let_go(request: web.Request) -> web.StreamResponse:
    """Have a single run end and go."""
    request.app[KEY].let_go(request.match_info["name"], request.match_info["run"])
    return web.json_response({}, status=202)


async def _running(request: web.Request, orchestrator: Orchestrator) -> ContainerId:
    """Return the container a request is about, the first that runs where it does not say.

    Raises PyorchError where none does.
    """
    stack, service = request.match_info["name"], request.query["service"]
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
    return ContainerId(f"{stack}.{running[0].id}")


async def speak(
    request: web.Request,
    session: ExecSession,
    protocol: str,
    told: AsyncIterator[Mapping[str, object]] | None = None,
    *,
    outlasts: bool = True,
) -> web.StreamResponse:
    """Carry a session's streams over the upgraded connection until it ends, or its client leaves.

    What is ``told`` meanwhile goes beside them. ``outlasts`` says that the process goes on when
    its session is closed.
    """
    response = web.StreamResponse(
        status=101, headers={"Upgrade": protocol, "Connection": "Upgrade"}
    )
    try:
        await response.prepare(request)
        transport = request.transport
        if transport is None:
            return response
        reader = upgraded(request)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(_feed(reader, session), name="session input")
        ]
        if told is not None:
            tasks.append(asyncio.create_task(_tell(transport, told), name="session told"))
        try:
            while True:
                stream, data = await session.read()
                if stream == 0:
                    break
                transport.write(frame(STDOUT if stream == 1 else STDERR, data))
                await request.writer.drain()
            ended = asyncio.create_task(session.wait(), name="session end")
            tasks.append(ended)
            # Who leaves what goes on without them is told no code.
            until = (tasks[0], ended) if outlasts else (ended,)
            await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                transport.write(frame(EXIT, json.dumps({"code": ended.result()}).encode()))
        except DriverError as error:
            detail = {"detail": str(error), "hint": error.hint}
            transport.write(frame(ERROR, json.dumps(detail).encode()))
        finally:
            for task in tasks:
                task.cancel()
        transport.close()
    finally:
        await session.close()
    return response


async def _tell(
    transport: asyncio.WriteTransport, told: AsyncIterator[Mapping[str, object]]
) -> None:
    async for entry in told:
        transport.write(frame(TOLD, json.dumps(entry).encode()))


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
