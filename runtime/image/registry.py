"""One repository of a registry: manifests and blobs by digest, verified while they move.

The distribution-spec's part of it; how requests are made stands in ``transport``.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, Protocol

import aiohttp
from yarl import URL

from runtime.drivers import OnProgress
from runtime.errors import InvalidError, UnavailableError
from runtime.files import in_thread
from runtime.image.credentials import Credentials, Login
from runtime.image.manifest import (
    ACCEPTED,
    MAX_CONFIG,
    MAX_MANIFEST,
    Descriptor,
    check_type,
)
from runtime.image.patience import Limits, Pace, RetryError, gave_up, retrying
from runtime.image.registries import Endpoint
from runtime.image.transport import Transport, read_at_most
from runtime.types import PullProgress

CHUNK = 1024 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_STRONG = re.compile(r'"[^"]*"')


class Sink(Protocol):
    """Where a blob arrives. What was written once may be written again, never other bytes."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Take bytes in; blocking."""


class Registry:
    """A repository at one endpoint, for the time of one pull or push."""

    def __init__(self, transport: Transport) -> None:
        """Speak over ``transport``."""
        self._transport = transport
        self._limits = transport.limits
        self.name = transport.endpoint.name
        self._subject = f"{self.name}/{transport.endpoint.repository}"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        endpoint: Endpoint,
        credentials: Credentials,
        limits: Limits,
        *,
        push: bool = False,
        login: Login | None = None,
    ) -> AsyncIterator["Registry"]:
        """Open connections for as long as the context lasts."""
        async with Transport.open(
            endpoint, credentials, limits, push=push, login=login
        ) as transport:
            yield cls(transport)

    async def check(self) -> None:
        """Ask for the API's root: whether a login is good."""

        async def once() -> None:
            async with self._transport.request("GET", self._transport.root):
                return

        await retrying(self._limits, "log in to", self.name, once)

    # ── taking ───────────────────────────────────────────────────────────────────────────

    async def manifest(self, wanted: str) -> bytes:
        """Return the manifest or index of a tag or digest.

        What it is called in transit must be what it calls itself, or one reader would take
        it for this and another for that (CVE-2021-41190).
        """

        async def once() -> bytes:
            url = self._transport.base / "manifests" / wanted
            headers = {"Accept": ", ".join(ACCEPTED)}
            async with self._transport.request("GET", url, headers=headers) as answer:
                data = await read_at_most(answer, MAX_MANIFEST)
                check_type(data, answer.headers.get("Content-Type", ""), self._subject)
                return data

        data = await retrying(self._limits, "pull", self._subject, once)
        if wanted.startswith("sha256:"):
            verify(data, wanted)
        return data

    async def document(self, descriptor: Descriptor) -> bytes:
        """Return a small blob."""
        if descriptor.size > MAX_CONFIG:
            raise InvalidError("pull", descriptor.digest, f"a document over {MAX_CONFIG} bytes")

        async def once() -> bytes:
            async with self._transport.request("GET", self._blob(descriptor.digest)) as answer:
                return await read_at_most(answer, descriptor.size)

        data = await retrying(self._limits, "pull", self._subject, once)
        if len(data) != descriptor.size:
            raise InvalidError(
                "pull", descriptor.digest, f"it has {len(data)} bytes, not {descriptor.size}"
            )
        verify(data, descriptor.digest)
        return data

    async def fetch(
        self, descriptor: Descriptor, sink: Sink, progress: OnProgress | None = None
    ) -> None:
        """Download a blob, going on where a broken transfer stopped.

        A registry that cannot go on is begun with anew. Raises InvalidError for content that
        is not what its digest and size say, UnavailableError when trouble does not pass.
        """
        transfer = _Transfer(descriptor, sink, progress)
        failures = 0
        last: Exception | None = None
        while failures < self._limits.attempts:
            before = transfer.furthest
            after = None
            try:
                await self._go_on(transfer)
                if transfer.done == descriptor.size:
                    transfer.finish()
                    return
                last = RetryError(f"{transfer.done} of {descriptor.size} bytes arrived")
            except RetryError as error:
                last, after = error, error.after
            except aiohttp.ClientError as error:
                last = RetryError(str(error) or type(error).__name__)
            except TimeoutError:
                last = RetryError(f"no byte in {self._limits.stall:.0f} seconds")
            # Only new ground counts as getting on: one that sends a byte a try is given up.
            advanced = transfer.furthest - before >= min(self._limits.least, descriptor.size)
            failures = 1 if advanced else failures + 1
            if failures < self._limits.attempts:
                await asyncio.sleep(self._limits.pause(descriptor.digest, failures, after))
        raise gave_up("pull", f"{self._subject}@{descriptor.digest}", last)

    async def _go_on(self, transfer: "_Transfer") -> None:
        headers = {"Accept-Encoding": "identity"}
        if transfer.done:
            headers["Range"] = f"bytes={transfer.done}-"
            if transfer.tag:
                headers["If-Range"] = transfer.tag
        url = self._blob(transfer.descriptor.digest)
        async with self._transport.request(
            "GET", url, headers=headers, known=frozenset({416})
        ) as answer:
            if not transfer.continues(answer):
                transfer.restart()
                if answer.status != 200:
                    raise RetryError(f"`{self.name}` cannot go on in the middle")
            transfer.tag = _strong_tag(answer)
            pace = Pace(self._limits)
            async for data in answer.content.iter_chunked(CHUNK):
                await transfer.take(data)
                pace.note(len(data))

    def _blob(self, digest: str) -> URL:
        return self._transport.base / "blobs" / digest

    # ── giving ───────────────────────────────────────────────────────────────────────────

    async def has_blob(self, digest: str) -> bool:
        """Whether the registry has a blob in this repository."""

        async def once() -> bool:
            known = frozenset({404})
            async with self._transport.request("HEAD", self._blob(digest), known=known) as answer:
                return answer.status == 200

        return await retrying(self._limits, "push", self._subject, once)

    async def push_blob(
        self,
        descriptor: Descriptor,
        content: Callable[[], IO[bytes]],
        progress: OnProgress | None = None,
    ) -> None:
        """Upload a blob the registry does not have; one that breaks is begun anew."""

        async def once() -> None:
            url = self._transport.base / "blobs" / "uploads/"
            async with self._transport.request("POST", url, data=b"") as answer:
                place = answer.headers.get("Location", "")
            upload = url.join(URL(place, encoded=True))
            upload = upload.extend_query({"digest": descriptor.digest})
            with content() as stream:
                async with self._transport.request(
                    "PUT",
                    upload,
                    headers={
                        "Content-Type": "application/octet-stream",
                        "Content-Length": str(descriptor.size),
                    },
                    data=_sending(stream, descriptor, progress),
                ):
                    pass

        if await self.has_blob(descriptor.digest):
            return
        limits = self._limits
        last: Exception | None = None
        for attempt in range(1, limits.attempts + 1):
            try:
                await once()
            except (RetryError, aiohttp.ClientError, TimeoutError) as error:
                last = error
                if attempt < limits.attempts:
                    after = error.after if isinstance(error, RetryError) else None
                    await asyncio.sleep(limits.pause(descriptor.digest, attempt, after))
            else:
                return
        raise gave_up("push", f"{self._subject}@{descriptor.digest}", last)

    async def push_manifest(self, tag: str, data: bytes, media_type: str) -> None:
        """Upload a manifest under a tag or its digest."""

        async def once() -> None:
            url = self._transport.base / "manifests" / tag
            async with self._transport.request(
                "PUT", url, headers={"Content-Type": media_type}, data=data
            ):
                return

        await retrying(self._limits, "push", self._subject, once)


class _Transfer:
    """How far one download is, and the digest of what came."""

    def __init__(self, descriptor: Descriptor, sink: Sink, progress: OnProgress | None) -> None:
        self.descriptor = descriptor
        self.done = 0
        self.furthest = 0
        self.tag = ""
        self._hash = hashlib.sha256()
        self._sink = sink
        self._progress = progress

    def continues(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether an answer goes on exactly where we are."""
        if answer.status == 200:
            return self.done == 0
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        return answer.status == 206 and found is not None and int(found[1]) == self.done

    def restart(self) -> None:
        self.done = 0
        self._hash = hashlib.sha256()

    async def take(self, data: bytes) -> None:
        if self.done + len(data) > self.descriptor.size:
            raise InvalidError("pull", self.descriptor.digest, "it is larger than announced")
        await in_thread(self._take, data)
        if self._progress:
            self._progress(
                PullProgress(
                    subject=self.descriptor.digest[7:19],
                    done=self.done,
                    total=self.descriptor.size,
                )
            )

    def _take(self, data: bytes) -> None:
        self._hash.update(data)
        self._sink.write_at(self.done, data)
        self.done += len(data)
        self.furthest = max(self.furthest, self.done)

    def finish(self) -> None:
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self.descriptor.digest:
            raise InvalidError(
                "pull", self.descriptor.digest, f"its content has the digest {found}"
            )


async def _sending(
    stream: IO[bytes], descriptor: Descriptor, progress: OnProgress | None
) -> AsyncIterator[bytes]:
    done = 0
    while data := await in_thread(stream.read, CHUNK):
        yield data
        done += len(data)
        if progress:
            progress(
                PullProgress(subject=descriptor.digest[7:19], done=done, total=descriptor.size)
            )
    if done != descriptor.size:
        raise UnavailableError("push", descriptor.digest, f"the store has {done} bytes of it")


def _strong_tag(answer: aiohttp.ClientResponse) -> str:
    tag = answer.headers.get("ETag", "")
    return tag if _STRONG.fullmatch(tag) else ""


def verify(data: bytes, digest: str) -> None:
    """Raise InvalidError when a document is not what its digest says."""
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != digest:
        raise InvalidError("read", digest, f"its content has the digest {found}")
