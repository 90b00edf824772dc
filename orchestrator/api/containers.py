"""What goes on inside containers: their logs, and commands run beside them."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from orchestrator.api.frames import (
    ERROR,
    EXIT,
    RESIZE,
    SIGNAL,
    STDERR,
    STDIN,
    STDOUT,
    frame,
    frames,
    upgraded,
)
from orchestrator.api.streams import read_body
from orchestrator.errors import PyorchError
from orchestrator.service import Orchestrator
from runtime.drivers import ExecSession
from runtime.errors import DriverError
from runtime.types import ContainerId, ExecConfig, Exited
from scheduler.ids import parse_container_name

PAUSE = 0.1
"""Seconds between two looks at a log that is followed."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Tailed:
    replica: str
    folder: Path
    run: int
    offset: int = 0
    begun: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By stream, when and what of a line whose end is not written yet."""


async def stream_logs(
    orchestrator: Orchestrator,
    stack: str,
    *,
    services: tuple[str, ...],
    follow: bool,
    tail: int | None,
    attached: bool = False,
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield log lines of a stack, oldest first; with ``follow`` go on until the stack is gone.

    Restarts and new replicas are followed. With ``attached`` the stream ends when the stack has
    been stopped or has nothing left that runs, and everything was read. A line longer than what
    conmon writes at once is put together again.
    """
    tailed: dict[str, _Tailed] = {}
    first = True
    while True:
        found: list[dict[str, Any]] = []
        # Asked before reading, so that what was said until then is read.
        ended = attached and await _has_ended(orchestrator, stack)
        for facts in await orchestrator.drivers.containers.list():
            name, replica = parse_container_name(facts.id)
            if name != stack or (services and replica.service not in services):
                continue
            place = tailed.setdefault(str(replica), _Tailed(str(replica), facts.log, 0))
            over = not follow or ended or isinstance(facts.phase, Exited)
            lines = _read(place, ended=over)
            found += lines[-tail:] if first and tail is not None and tail else lines
            if first and tail == 0:
                found = []
        found.sort(key=lambda line: line["at"])
        for line in found:
            yield line
        first = False
        if not follow or (ended and not found):
            return
        if not found:
            await asyncio.sleep(PAUSE)
            if orchestrator.store.stack(stack) is None:
                return


async def _has_ended(orchestrator: Orchestrator, stack: str) -> bool:
    view = await orchestrator.view(stack)
    return view.reported and view.settled and all(one.phase == "exited" for one in view.replicas)


def _read(place: _Tailed, *, ended: bool) -> list[dict[str, Any]]:
    """Return the lines that have come since; of a run that has ended, the unfinished one too."""
    found: list[dict[str, Any]] = []
    runs = sorted(int(path.stem) for path in place.folder.glob("*.log") if path.stem.isdigit())
    for run in runs:
        if run < place.run:
            continue
        if run > place.run:
            found += _unfinished(place)
            place.run, place.offset = run, 0
        with (place.folder / f"{run}.log").open("rb") as file:
            file.seek(place.offset)
            data = file.read()
        whole, newline, _ = data.rpartition(b"\n")
        place.offset += len(whole) + len(newline)
        for raw in whole.decode(errors="replace").split("\n") if newline else ():
            parts = raw.split(" ", 3)
            if len(parts) < 4:
                continue
            at, stream, kind, text = parts
            text = place.begun.pop(stream, ("", ""))[1] + text
            if kind == "P":
                place.begun[stream] = at, text
            else:
                found.append(_line(place, stream, at, text))
    return found + _unfinished(place) if ended else found


def _unfinished(place: _Tailed) -> list[dict[str, Any]]:
    begun, place.begun = place.begun, {}
    return [_line(place, stream, at, text) for stream, (at, text) in begun.items()]


def _line(place: _Tailed, stream: str, at: str, text: str) -> dict[str, Any]:
    return {"replica": place.replica, "stream": stream, "at": at, "line": text}


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
