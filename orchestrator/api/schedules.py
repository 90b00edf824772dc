"""What runs by the clock over the API: when, how it went, and now."""

from aiohttp import web

from orchestrator.api.streams import KEY


def routes() -> list[web.RouteDef]:
    """Return what the API has about schedules."""
    return [
        web.get("/v1/stacks/{name}/schedules", _list),
        web.post("/v1/stacks/{name}/schedules/{service}/runs", _run),
    ]


async def _list(request: web.Request) -> web.StreamResponse:
    return web.json_response(request.app[KEY].schedules(request.match_info["name"]))


async def _run(request: web.Request) -> web.StreamResponse:
    name, service = request.match_info["name"], request.match_info["service"]
    number = request.app[KEY].run_now(name, service)
    return web.json_response({"number": number}, status=202)
