"""What containers print, as a stream: past and coming lines of many replicas, by time."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

import structlog
from aiohttp import web

from orchestrator.api.streams import KEY
from orchestrator.hiding import blacken
from orchestrator.service import Orchestrator
from runtime.files import in_thread
from runtime.logs import EVERYTHING, NANO, Entry, Line, MergedLogs, Range
from scheduler.ids import parse_container_name

SETTLE = 0.01
"""Seconds in which further lines join the first: who follows a flood is not woken for each."""
LAST_SECOND = 2**40

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines are asked for."""

    wanted: Range = EVERYTHING
    services: tuple[str, ...] = ()
    index: int | None = None
    follow: bool = False
    attached: bool = False
    """End when the stack has been stopped or has nothing left that runs."""
    hidden: frozenset[str] = frozenset()
    """Services that are not shown, whatever else is asked."""
    quoted: bool = False
    """They are told where nobody asked for a log: contents of secrets are not."""

    def asks_for(self, service: str, slot: int) -> bool:
        """Whether lines of a replica are wanted."""
        if service in self.hidden:
            return False
        return (not self.services or service in self.services) and self.index in (None, slot)

    @classmethod
    def of(cls, request: web.Request) -> "LogQuery":
        """Read a request's query. Raises ValueError for what makes no sense."""
        query = request.query
        tail = query.get("tail", "all")
        index = query.get("index")
        return cls(
            wanted=Range(
                since=_moment(query.get("since")),
                until=_moment(query.get("until")),
                tail=None if tail == "all" else _count(tail),
                previous=query.get("previous") == "1",
            ),
            services=tuple(query.getall("service", [])),
            index=None if index is None else _count(index),
            follow=query.get("follow") == "1",
            attached=query.get("attached") == "1",
            quoted=query.get("quoted") == "1",
        )


async def send_logs(request: web.Request) -> web.StreamResponse:
    """Send a stack's log as one JSON object a line."""
    orchestrator, stack = request.app[KEY], request.match_info["name"]
    query = LogQuery.of(request)
    await orchestrator.need_services(stack, query.services)
    if query.attached:
        query = replace(query, hidden=orchestrator.unattached(stack))
    secrets = orchestrator.secrets_of(stack) if query.quoted else ()
    stream = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await stream.prepare(request)
    try:
        for owner in await _unlogged(orchestrator, stack, query):
            await stream.write(json.dumps({"replica": owner, "unlogged": True}).encode() + b"\n")
        async with aclosing(follow_logs(orchestrator, stack, query)) as batches:
            async for batch in batches:
                await stream.write(await in_thread(_encoded, batch, secrets))
        await stream.write(b'{"end": true}\n')
    except ConnectionResetError:
        log.debug("stream.left", path=request.path)
    return stream


async def follow_logs(
    orchestrator: Orchestrator, stack: str, query: LogQuery
) -> AsyncGenerator[list[Entry], None]:
    """Yield lines of a stack, oldest first, some at a time; with ``follow`` until it is gone.

    Runs that follow and new replicas are followed, too.
    """
    folder = orchestrator.settings.logs_of(stack)
    logs = MergedLogs(query.wanted)
    changed = asyncio.Event()
    telling = asyncio.create_task(_tell(orchestrator, stack, changed), name="log events")
    late = False
    try:
        while True:
            changed.clear()
            # Asked before reading, so that what was said until then is read.
            over = not query.follow or orchestrator.store.stacks.find(stack) is None
            over = over or (query.attached and await _has_ended(orchestrator, stack))
            for owner, place in await _replicas(folder, query):
                if query.follow:
                    orchestrator.drivers.logs.changes.ask(place, changed)
                await _finished(logs.add, owner, place, late=late)
            late = True
            while batch := await _finished(logs.batch, ended=over):
                yield batch
            if over or _is_past(query.wanted):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_left(query.wanted)):
                    await changed.wait()
                await asyncio.sleep(SETTLE)
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        orchestrator.drivers.logs.changes.forget(changed)
        logs.close()


async def _has_ended(orchestrator: Orchestrator, stack: str) -> bool:
    view = await orchestrator.view(stack)
    return (
        view.reported
        and view.settled
        and all(one.phase == "exited" or one.one_off for one in view.replicas)
    )


async def _tell(orchestrator: Orchestrator, stack: str, changed: asyncio.Event) -> None:
    """Wake whoever follows a stack's log when anything happens to the stack."""
    with orchestrator.events.subscribe(stack) as queue:
        changed.set()
        while True:
            await queue.get()
            changed.set()


async def _unlogged(orchestrator: Orchestrator, stack: str, query: LogQuery) -> Sequence[str]:
    """Return the replicas whose output is kept nowhere."""
    found = []
    for facts in await orchestrator.drivers.containers.list():
        owner, replica = parse_container_name(facts.id)
        if owner == stack and not facts.logged and query.asks_for(replica.service, replica.slot):
            found.append(str(replica))
    return found


async def _replicas(folder: Path, query: LogQuery) -> Sequence[tuple[str, Path]]:
    """Return every replica that has a log, gone ones as well, with the folder of it."""

    def look() -> Sequence[tuple[str, Path]]:
        return [
            (f"{place.parent.name}.{place.name}", place)
            for place in sorted(folder.glob("*/*"))
            if place.name.isdigit() and query.asks_for(place.parent.name, int(place.name))
        ]

    return await in_thread(look)


async def _finished(work: Callable[..., T], *words: object, **named: object) -> T:
    """Run ``work`` in a thread, to its end even when nobody waits any more: it has open files."""
    task = asyncio.ensure_future(in_thread(work, *words, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _is_past(wanted: Range) -> bool:
    return wanted.until is not None and wanted.until < time.time_ns()


def _left(wanted: Range) -> float | None:
    """Return how long lines can come that are not too late; None for ever."""
    return None if wanted.until is None else max((wanted.until - time.time_ns()) / NANO, 0.0)


def _encoded(batch: Sequence[Entry], secrets: Sequence[bytes]) -> bytes:
    return b"".join(json.dumps(_told(entry, secrets)).encode() + b"\n" for entry in batch)


def _told(entry: Entry, secrets: Sequence[bytes]) -> dict[str, object]:
    what = entry.what
    if not isinstance(what, Line):
        lost = {"bytes": what.size, "since": what.since, "until": what.at, "why": what.why}
        return {"replica": entry.owner, "lost": lost}
    told: dict[str, object] = {"replica": entry.owner, "stream": what.stream, "at": what.stamp}
    text = blacken(what.text, secrets) if secrets else what.text
    try:
        told["line"] = text.decode()
    except UnicodeDecodeError:
        told["line"] = text.decode(errors="replace")
        told["raw"] = base64.b64encode(text).decode()
    if what.cut:
        told["cut"] = True
    return told


def _moment(given: str | None) -> int | None:
    if given is None:
        return None
    try:
        seconds = Decimal(given)
    except InvalidOperation:
        raise ValueError(f"`{given}` is no moment") from None
    if not seconds.is_finite() or abs(seconds) > LAST_SECOND:
        raise ValueError(f"`{given}` is no moment")
    return int(seconds * NANO)


def _count(given: str) -> int:
    count = int(given)
    if count < 0:
        raise ValueError(f"`{given}` is no number of lines")
    return count
