"""Images over the API: ways in, ways out, names, logins."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from orchestrator.api.streams import KEY, read_body, send_stream
from runtime.drivers import ImageDriver, OnProgress
from runtime.errors import DriverError
from runtime.types import CommitConfig, ImageFacts, PullProgress


def routes() -> list[web.RouteDef]:
    """Return what the API has about images and registries."""
    return [
        web.get("/v1/images", _list),
        web.get("/v1/images/inspect", _inspect),
        web.post("/v1/images/load", _load),
        web.post("/v1/images/import", _import),
        web.post("/v1/images/pull", _pull),
        web.post("/v1/images/push", _push),
        web.post("/v1/images/resolve", _resolve),
        web.post("/v1/images/variants", _variants),
        web.post("/v1/images/save", _save),
        web.post("/v1/images/tag", _tag),
        web.post("/v1/images/prune", _prune),
        web.post("/v1/images/check", _check),
        web.delete("/v1/images", _remove),
        web.post("/v1/stacks/{name}/export", _export),
        web.post("/v1/stacks/{name}/commit", _commit),
        web.post("/v1/registries/login", _log_in),
        web.post("/v1/registries/logout", _log_out),
    ]


def _images(request: web.Request) -> ImageDriver:
    return request.app[KEY].drivers.images


async def _list(request: web.Request) -> web.StreamResponse:
    return web.json_response([_image(facts) for facts in await _images(request).list()])


async def _inspect(request: web.Request) -> web.StreamResponse:
    return web.json_response(await _images(request).inspect(request.query["reference"]))


async def _load(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    found = await _images(request).load(Path(body["path"]), name=body.get("name"))
    return web.json_response([_image(facts) for facts in found])


async def _import(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    facts = await _images(request).import_rootfs(
        Path(body["path"]), name=body["name"], config=body.get("config") or {}
    )
    return web.json_response(_image(facts))


async def _pull(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    images = _images(request)

    async def pull(progress: OnProgress) -> dict[str, Any]:
        facts = await images.pull(
            body["reference"], platform=body.get("platform"), progress=progress
        )
        return {"image": _image(facts)}

    return await send_stream(request, _with_progress(pull))


async def _push(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    images = _images(request)

    async def push(progress: OnProgress) -> dict[str, Any]:
        await images.push(body["reference"], target=body.get("target"), progress=progress)
        return {"pushed": body.get("target") or body["reference"]}

    return await send_stream(request, _with_progress(push))


async def _with_progress(
    work: Callable[[OnProgress], Awaitable[dict[str, Any]]],
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield how far ``work`` is, and what it returns or refuses at the end.

    The last step told of each layer is the one that counts: a slow reader misses others.
    """
    steps: dict[str, PullProgress] = {}
    changed = asyncio.Event()

    def progress(step: PullProgress) -> None:
        steps[step.subject] = step
        changed.set()

    task = asyncio.ensure_future(work(progress))
    task.add_done_callback(lambda _: changed.set())
    try:
        ended = False
        while not ended:
            await changed.wait()
            changed.clear()
            ended = task.done()
            for step in [steps.pop(name) for name in tuple(steps)]:
                yield {"layer": step.subject, "done": step.done, "total": step.total}
        try:
            yield task.result()
        except DriverError as error:
            yield {
                "error": {"detail": str(error), "hint": error.hint, "code": error.code},
            }
    finally:
        task.cancel()


async def _save(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    references = [str(one) for one in body["references"]]
    await _images(request).save(references, Path(body["path"]))
    return web.json_response({})


async def _resolve(request: web.Request) -> web.StreamResponse:
    reference = (await read_body(request))["reference"]
    return web.json_response({"digest": await _images(request).resolve(reference)})


async def _variants(request: web.Request) -> web.StreamResponse:
    reference = (await read_body(request))["reference"]
    return web.json_response({"digests": dict(await _images(request).variants(reference))})


async def _tag(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    return web.json_response(_image(await _images(request).tag(body["reference"], body["name"])))


async def _prune(request: web.Request) -> web.StreamResponse:
    freed = await _images(request).prune(unused=bool((await read_body(request)).get("unused")))
    return web.json_response(asdict(freed))


async def _check(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    found = await _images(request).check(
        deep=bool(body.get("deep")), repair=bool(body.get("repair"))
    )
    return web.json_response([asdict(one) for one in found])


async def _remove(request: web.Request) -> web.StreamResponse:
    force = request.query.get("force") == "1"
    await _images(request).remove(request.query["reference"], force=force)
    return web.json_response({})


async def _export(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    await request.app[KEY].pack(
        request.match_info["name"], body["service"], body.get("index"), Path(body["path"])
    )
    return web.json_response({})


async def _commit(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    facts = await request.app[KEY].commit(
        request.match_info["name"],
        body["service"],
        body.get("index"),
        CommitConfig(
            name=str(body["image"]),
            comment=str(body.get("comment") or ""),
            author=str(body.get("author") or ""),
            changes=tuple(map(str, body.get("changes") or ())),
        ),
    )
    return web.json_response(_image(facts))


async def _log_in(request: web.Request) -> web.StreamResponse:
    body = await read_body(request)
    await _images(request).log_in(str(body["registry"]), str(body["user"]), str(body["password"]))
    return web.json_response({})


async def _log_out(request: web.Request) -> web.StreamResponse:
    was = await _images(request).log_out(str((await read_body(request))["registry"]))
    return web.json_response({"was_logged_in": was})


def _image(facts: ImageFacts) -> dict[str, Any]:
    return {
        "id": facts.id,
        "references": list(facts.references),
        "size": facts.size,
        "created_wall": facts.created_wall,
    }
