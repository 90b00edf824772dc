"""What happened to a stack, over the API: what is remembered, and what comes after it."""

import math
from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import web

from orchestrator.api.streams import KEY, send_stream
from orchestrator.events import Event

MOST = 1000
"""Facts that are told where nobody says how many."""


def routes() -> list[web.RouteDef]:
    """Return what the API has about what happened."""
    return [web.get("/v1/stacks/{name}/chronicle", _chronicle)]


async def _chronicle(request: web.Request) -> web.StreamResponse:
    """Send facts, the oldest first, one JSON object a line; with ``follow`` also what comes."""
    chronicle = request.app[KEY].reconciler.chronicle
    stack, query = request.match_info["name"], request.query
    services = frozenset(query.getall("service", []))
    since = float(query.get("since", "0"))
    most = int(query.get("tail", MOST))
    if not math.isfinite(since) or most < 0:
        raise ValueError("`since` is a moment, and `tail` a number of facts")

    async def told() -> AsyncGenerator[dict[str, Any], None]:
        if query.get("follow") == "1":
            async for event in chronicle.follow(stack, services, most=most, since_wall=since):
                yield _told(event)
        else:
            for event in chronicle.recall(stack, services, most=most, since_wall=since):
                yield _told(event)

    return await send_stream(request, told())


def _told(event: Event) -> dict[str, Any]:
    return {
        "name": event.name,
        "subject": event.subject,
        "reason": event.reason,
        "at_wall": event.at_wall,
    }
