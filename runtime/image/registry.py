"""A registry, over HTTP: manifests and blobs by digest, verified while they arrive.

Credentials go to the origin that asked for them and nowhere else; plain HTTP is spoken only
with this machine itself, and only where nobody speaks TLS there (distribution-spec).
"""

import asyncio
import base64
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from runtime.drivers import OnProgress
from runtime.errors import InvalidError, NotFoundError, UnavailableError, UnsupportedError
from runtime.image.manifest import MAX_DOCUMENT, Descriptor
from runtime.image.reference import DEFAULT_REGISTRY, Reference
from runtime.types import PullProgress

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
ATTEMPTS = 5
STALL = 30.0
"""Seconds without a byte after which a transfer is tried again."""
CHUNK = 256 * 1024
_LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Registry:
    """One repository of one registry, for the time of one pull."""

    def __init__(self, reference: Reference, session: aiohttp.ClientSession) -> None:
        """Talk about ``reference`` over ``session``."""
        self._reference = reference
        self._session = session
        host = reference.registry
        self._host = "registry-1.docker.io" if host == DEFAULT_REGISTRY else host
        self._scheme = "https"
        self._authorization: str | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, reference: Reference) -> AsyncIterator["Registry"]:
        """Open a session for as long as the context lasts."""
        timeout = aiohttp.ClientTimeout(total=None, connect=STALL, sock_read=STALL)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            registry = cls(reference, session)
            await registry._choose_scheme()
            yield registry

    async def manifest(self, digest: str | None = None) -> bytes:
        """Return a manifest or an index, by the reference or by digest."""
        wanted = digest or self._reference.digest or self._reference.tag
        data = await self._small(f"{self._base}/manifests/{wanted}", {"Accept": ACCEPT})
        if wanted.startswith("sha256:"):
            _verify(data, wanted)
        return data

    async def document(self, descriptor: Descriptor) -> bytes:
        """Return a small blob."""
        data = await self._small(f"{self._base}/blobs/{descriptor.digest}", {})
        _verify(data, descriptor.digest)
        return data

    async def fetch(self, descriptor: Descriptor, path: Path, progress: OnProgress | None) -> None:
        """Download a blob to ``path``, going on where a broken transfer stopped."""
        hasher = hashlib.sha256()
        done = 0
        url = f"{self._base}/blobs/{descriptor.digest}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                headers = {"Range": f"bytes={done}-"} if done else {}
                async with self._get(url, headers) as answer:
                    if done and answer.status != 206:
                        hasher, done = hashlib.sha256(), 0
                    with path.open("ab" if done else "wb") as file:
                        async for data in answer.content.iter_chunked(CHUNK):
                            done += len(data)
                            if done > descriptor.size:
                                raise InvalidError(
                                    "pull", descriptor.digest, "it is larger than announced"
                                )
                            hasher.update(data)
                            await asyncio.to_thread(file.write, data)
                            if progress:
                                progress(
                                    PullProgress(
                                        subject=descriptor.digest[7:19],
                                        done=done,
                                        total=descriptor.size,
                                    )
                                )
                if done == descriptor.size:
                    break
            except (aiohttp.ClientError, TimeoutError, UnavailableError):
                if attempt == ATTEMPTS:
                    break
            await asyncio.sleep(0.1 * 2**attempt)
        if done != descriptor.size:
            raise UnavailableError(
                "pull", str(self._reference), f"{done} of {descriptor.size} bytes arrived"
            )
        found = f"sha256:{hasher.hexdigest()}"
        if found != descriptor.digest:
            raise InvalidError("pull", descriptor.digest, f"its content has the digest {found}")

    @property
    def _base(self) -> str:
        return f"{self._scheme}://{self._host}/v2/{self._reference.repository}"

    async def _choose_scheme(self) -> None:
        """Speak plain HTTP with a registry on this machine that does not understand TLS.

        A certificate that is refused is no reason: it is told with the first request.
        """
        if not _LOCAL.match(self._host):
            return
        try:
            async with self._session.get(f"https://{self._host}/v2/", allow_redirects=False):
                return
        except aiohttp.ClientConnectorCertificateError:
            return
        except (aiohttp.ClientConnectorSSLError, aiohttp.ServerDisconnectedError):
            self._scheme = "http"
        except (aiohttp.ClientError, TimeoutError):
            return

    async def _small(self, url: str, headers: Mapping[str, str]) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._get(url, headers) as answer:
                    data = await answer.content.read(MAX_DOCUMENT + 1)
                    while len(data) <= MAX_DOCUMENT and (more := await answer.content.read(CHUNK)):
                        data += more
            except (aiohttp.ClientError, TimeoutError) as error:
                if isinstance(error, aiohttp.ClientConnectorCertificateError):
                    raise UnsupportedError(
                        "pull",
                        str(self._reference),
                        f"the certificate of `{self._host}` is refused: {error.certificate_error}",
                        hint="have this machine trust it, or give the daemon SSL_CERT_FILE",
                    ) from error
                if attempt == ATTEMPTS or isinstance(error, aiohttp.ClientConnectorError):
                    raise UnavailableError(
                        "pull",
                        str(self._reference),
                        f"`{self._reference.registry}` does not answer: {error}",
                        hint="`pyorch image load ARCHIVE` needs no registry",
                    ) from error
                await asyncio.sleep(0.1 * 2**attempt)
                continue
            if len(data) > MAX_DOCUMENT:
                raise InvalidError("pull", str(self._reference), "a document larger than 8 MiB")
            return data
        raise UnavailableError("pull", str(self._reference), "no answer")

    @asynccontextmanager
    async def _get(
        self, url: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for _ in range(2):
            own = dict(headers)
            if self._authorization:
                own["Authorization"] = self._authorization
            # aiohttp drops Authorization when a redirect leaves the origin.
            async with self._session.get(url, headers=own, max_redirects=5) as answer:
                if answer.status == 401 and self._authorization is None:
                    await self._authorize(answer.headers.get("WWW-Authenticate", ""))
                    continue
                if answer.status in (401, 403, 404):
                    raise NotFoundError(
                        "pull image",
                        str(self._reference),
                        f"`{self._reference.registry}` answers {answer.status}",
                        hint="check the name, or log in: ~/.docker/config.json is read",
                    )
                if answer.status >= 400:
                    raise UnavailableError(
                        "pull image",
                        str(self._reference),
                        f"`{self._reference.registry}` answers {answer.status}",
                    )
                yield answer
                return

    async def _authorize(self, challenge: str) -> None:
        kind, _, rest = challenge.partition(" ")
        basic = _credentials(self._reference.registry)
        if kind.lower() == "basic":
            self._authorization = f"Basic {basic}" if basic else ""
            return
        fields = dict(_CHALLENGE.findall(rest))
        realm = fields.get("realm", "")
        local = bool(_LOCAL.match(self._reference.registry))
        if not realm.startswith("https://") and not (local and realm.startswith("http://")):
            raise InvalidError("log in to", self._reference.registry, f"realm `{realm}` is refused")
        query = {"scope": f"repository:{self._reference.repository}:pull"}
        if fields.get("service"):
            query["service"] = fields["service"]
        headers = {"Authorization": f"Basic {basic}"} if basic else {}
        async with self._session.get(realm, params=query, headers=headers) as answer:
            data = await answer.content.read(MAX_DOCUMENT)
        try:
            found = json.loads(data)
            token = found.get("token") or found["access_token"]
        except (ValueError, KeyError) as error:
            raise UnavailableError("log in to", self._reference.registry, "no token") from error
        self._authorization = f"Bearer {token}"


def _credentials(registry: str) -> str | None:
    """Return the base64 of user and password that the usual file holds for ``registry``."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        auths = json.loads(Path(folder, "config.json").read_text()).get("auths", {})
    except (OSError, ValueError):
        return None
    names = [registry, f"https://{registry}"]
    if registry == DEFAULT_REGISTRY:
        names.append("https://index.docker.io/v1/")
    for name in names:
        auth = auths.get(name, {}).get("auth")
        if auth:
            base64.b64decode(auth, validate=True)
            return str(auth)
    return None


def _verify(data: bytes, digest: str) -> None:
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != digest:
        raise InvalidError("pull", digest, f"its content has the digest {found}")
