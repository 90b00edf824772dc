"""A registry that fails as it is told: a script of faults for each path, used up in order."""

import asyncio
import base64
import hashlib
import io
import json
import re
import socket
import struct
import tarfile
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from runtime.image.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST


def digest_of(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tarball(**files):
    """Return a layer of plain files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def described(data, kind, **more):
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **more}


@dataclass
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict
    query: dict
    body: bytes


@dataclass
class FaultyRegistry:
    """Serves what was put into it, but for what the script says. ``log`` is what was asked."""

    blobs: dict = field(default_factory=dict)
    manifests: dict = field(default_factory=dict)
    script: dict = field(default_factory=lambda: defaultdict(list))
    """By a piece of the path: faults, each an async function of the request and the data."""
    log: list = field(default_factory=list)
    users: dict = field(default_factory=dict)
    """User to password; without any, everybody may do everything."""
    challenge: str = 'Basic realm="registry"'
    token: str = "the-token"
    port: int = 0

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    # ── what is in it ────────────────────────────────────────────────────────────────────

    def put_image(self, name, *layers, diffs=None, tag="1", kind=OCI_LAYER, platform=None, **more):
        """Put an image of ``layers``, plain tarballs or with ``diffs`` packed ones."""
        found = diffs or [digest_of(layer) for layer in layers]
        config = json.dumps(
            {
                **(platform or {"os": "linux", "architecture": "amd64"}),
                "config": {"Cmd": ["true"]},
                "rootfs": {"type": "layers", "diff_ids": found},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": described(config, OCI_CONFIG),
                "layers": [described(layer, kind, **more) for layer in layers],
            }
        ).encode()
        for data in (config, *layers):
            self.blobs[digest_of(data)] = data
        return self.put_manifest(name, manifest, tag=tag)

    def put_index(self, name, *entries, tag="1"):
        """Put an index of (manifest, platform) pairs."""
        manifests = [described(data, OCI_MANIFEST, platform=platform) for data, platform in entries]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        return self.put_manifest(name, json.dumps(document).encode(), tag=tag, kind=OCI_INDEX)

    def put_manifest(self, name, data, *, tag="1", kind=OCI_MANIFEST):
        """Put a document as it is."""
        self.manifests[name, tag] = self.manifests[name, digest_of(data)] = data, kind
        return data

    def fail(self, path, *faults):
        """Answer requests whose path holds ``path`` with these faults, then as usual."""
        self.script[path].extend(faults)

    def asked(self, path, method="GET"):
        """Return the requests whose path holds ``path``."""
        return [one for one in self.log if path in one.path and one.method == method]

    # ── serving ──────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def serve(self, **tls):
        """Listen on this machine while the context lasts."""
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{rest:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, **tls)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request):
        body = await request.read()
        seen = Seen(request.method, request.path, dict(request.headers), dict(request.query), body)
        self.log.append(seen)
        found = self._found(seen)
        for piece, faults in self.script.items():
            if piece in request.path and faults:
                fault = faults.pop(0)
                if fault is not None:
                    return await fault(request, found[0] if found else b"")
                break
        if request.path == "/token":
            return self._token(seen)
        if self.users and not self._is_let_in(seen):
            return web.Response(status=401, headers={"WWW-Authenticate": self.challenge})
        if request.method in ("POST", "PUT"):
            return self._take(seen)
        if request.path in ("/v2/", "/v2"):
            return web.json_response({})
        if found is None:
            return web.json_response({"errors": [{"code": "UNKNOWN"}]}, status=404)
        data, kind = found
        return ranged(request, data, kind)

    def _found(self, seen):
        if match := re.fullmatch(r"/v2/(.+)/blobs/(sha256:\w+)", seen.path):
            data = self.blobs.get(match[2])
            return None if data is None else (data, "application/octet-stream")
        if match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", seen.path):
            return self.manifests.get((match[1], match[2]))
        return None

    def _take(self, seen):
        if seen.method == "POST":
            return web.Response(status=202, headers={"Location": f"{seen.path}id?state=a%2Fb"})
        if match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", seen.path):
            self.put_manifest(match[1], seen.body, tag=match[2], kind=seen.headers["Content-Type"])
        else:
            assert seen.query["digest"] == digest_of(seen.body)
            assert seen.query["state"] == "a/b"
            self.blobs[seen.query["digest"]] = seen.body
        return web.Response(status=201)

    def _is_let_in(self, seen):
        kind, _, value = seen.headers.get("Authorization", "").partition(" ")
        if self.challenge.startswith("Bearer"):
            return kind == "Bearer" and value == self.token
        return kind == "Basic" and self._knows(value)

    def _knows(self, packed):
        user, _, password = base64.b64decode(packed).decode().partition(":")
        return self.users.get(user) == password

    def _token(self, seen):
        kind, _, value = seen.headers.get("Authorization", "").partition(" ")
        if self.users and not (kind == "Basic" and self._knows(value)):
            return web.json_response({}, status=401)
        return web.json_response({"token": self.token})


def ranged(request, data, kind="application/octet-stream", tag=None):
    """Answer with ``data`` or the part of it that is asked for."""
    headers = {"Content-Type": kind, "ETag": tag or f'"{digest_of(data)}"'}
    given = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    unchanged = request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
    if given and unchanged:
        start = int(given[1])
        if start >= len(data):
            return web.Response(status=416)
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:], headers=headers)
    return web.Response(body=data, headers=headers)


# ── faults ───────────────────────────────────────────────────────────────────────────────


def status(code, **headers):
    """Answer with a status."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}

    async def fault(request, data):
        return web.Response(status=code, headers=told)

    return fault


def redirect(place, code=307):
    """Lead elsewhere."""
    return status(code, Location=place)


def instead(body, kind="application/octet-stream"):
    """Answer with other content."""

    async def fault(request, data):
        return web.Response(body=body, headers={"Content-Type": kind})

    return fault


def dies_after(count, *, reset=False, part=False):
    """Send so many bytes of what is asked for, then drop the connection; ``reset`` with RST."""

    async def fault(request, data):
        start = 0
        given = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if given:
            start = int(given[1])
        answer = web.StreamResponse(status=206 if given else 200)
        if given:
            answer.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        answer.content_length = len(data) - start
        await answer.prepare(request)
        await answer.write(data[start : start + count])
        transport = request.transport
        if reset:
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
            transport.abort()
        else:
            transport.close()
        return answer

    return fault


def trickles(pause=0.02):
    """Send a byte at a time, for as long as somebody reads."""

    async def fault(request, data):
        answer = web.StreamResponse()
        answer.content_length = len(data)
        await answer.prepare(request)
        for place in range(len(data)):
            await answer.write(data[place : place + 1])
            await asyncio.sleep(pause)
        return answer

    return fault


def hangs():
    """Never answer."""

    async def fault(request, data):
        await asyncio.Event().wait()

    return fault
