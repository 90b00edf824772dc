"""Pulling: what is missing is fetched, unpacked while it arrives, and named at the end.

Unpacked content counts for nothing before the blob's digest and the layer's diff id are
known to be right: until then it stands aside, and goes when anything fails.
"""

import asyncio
import hashlib
import io
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from typing_extensions import override

from runtime.drivers import OnProgress
from runtime.errors import DriverError, InvalidError, UnavailableError
from runtime.files import in_thread
from runtime.image.flights import Turns
from runtime.image.layers import largest, unpack_layer
from runtime.image.manifest import (
    Config,
    Descriptor,
    Index,
    Manifest,
    check_layers,
    choose_platform,
    parse_config,
    parse_document,
)
from runtime.image.reference import Reference
from runtime.image.registry import Registry
from runtime.image.store import Origin, Store
from runtime.platforms import Platform, suits
from runtime.types import Digest

AT_ONCE = 3
WORTH_FINISHING = 64 * 1024**2
"""A download of no more missing bytes is finished to tell a broken layer from a broken transfer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An image at a registry: its documents, verified."""

    manifest_data: bytes
    manifest: Manifest
    config_data: bytes
    config: Config
    origin: Origin


async def find_remote(
    registry: Registry, reference: Reference, platform: Platform | None = None
) -> Found:
    """Return what a reference stands for at a registry, for this machine or ``platform``."""
    data = await registry.manifest(reference.digest or reference.tag)
    document = parse_document(data, str(reference))
    origin = Origin(source=f"{reference.registry}/{reference.repository}")
    if isinstance(document, Index):
        chosen = choose_platform(document, str(reference), platform)
        origin = Origin(
            source=origin.source,
            platform=str(chosen.platform or ""),
            index=f"sha256:{hashlib.sha256(data).hexdigest()}",
        )
        data = await registry.manifest(chosen.digest)
        if len(data) != chosen.size:
            raise InvalidError(
                "pull", chosen.digest, f"it has {len(data)} bytes, not {chosen.size}", code="size"
            )
        document = parse_document(data, chosen.digest)
    if not isinstance(document, Manifest):
        raise InvalidError(
            "pull image", str(reference), "an index within an index", code="manifest"
        )
    config_data = await registry.document(document.config)
    config = parse_config(config_data, document.config.digest)
    if platform is not None and suits(config.platform, platform) is None:
        raise InvalidError(
            "pull image",
            str(reference),
            f"there is none for {platform}, only {config.platform}",
            code="platform",
        )
    check_layers(document, config, str(reference))
    return Found(
        manifest_data=data,
        manifest=document,
        config_data=config_data,
        config=config,
        origin=origin,
    )


async def find_digest(registry: Registry, reference: Reference) -> Digest:
    """Return the digest of what a reference stands for at a registry: an image, or an index."""
    data = await registry.manifest(reference.digest or reference.tag)
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


async def find_variants(registry: Registry, reference: Reference) -> Mapping[str, Digest]:
    """Return the images a reference stands for at a registry, by platform."""
    document = parse_document(
        await registry.manifest(reference.digest or reference.tag), str(reference)
    )
    if isinstance(document, Index):
        return {
            str(entry.platform): Digest(entry.digest)
            for entry in document.manifests
            # Attestations stand in an index as images for a platform that is none.
            if entry.platform is not None and entry.platform.os != "unknown"
        }
    found = await find_remote(registry, reference)
    digest = Digest(f"sha256:{hashlib.sha256(found.manifest_data).hexdigest()}")
    return {str(found.config.platform): digest}


class Puller:
    """Fetches layers into one store."""

    def __init__(self, store: Store, unpackers: Executor) -> None:
        """Put layers into ``store``; unpack in threads of ``unpackers``, which wait for bytes."""
        self._store = store
        self._unpackers = unpackers
        self._turns = Turns()

    async def layers(self, registry: Registry, found: Found, progress: OnProgress | None) -> None:
        """Have every layer of an image in the store."""
        pairs = list(zip(found.manifest.layers, found.config.rootfs.diff_ids, strict=True))
        missing = sum(layer.size for layer, diff in pairs if not self._has(layer, diff))
        if missing > (free := await in_thread(self._store.free)):
            raise UnavailableError(
                "pull image",
                registry.name,
                f"it needs more than {missing} bytes, and {free} are free",
                hint="`pyorch image prune` removes what nobody needs",
                code="no_space",
            )
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(layer: Descriptor, diff: str) -> None:
            async with limit, self._turns.turn(diff):
                # Whoever had the turn before may have brought it.
                if not self._has(layer, diff):
                    await self.layer(registry, layer, diff, progress)

        try:
            async with asyncio.TaskGroup() as group:
                for layer, diff in pairs:
                    group.create_task(one(layer, diff))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None

    def _has(self, layer: Descriptor, diff: str) -> bool:
        return self._store.has_layer(diff) and self._store.has_blob(layer.digest)

    async def layer(
        self,
        registry: Registry,
        layer: Descriptor,
        diff: str,
        progress: OnProgress | None,
        adopt: Callable[[Path, str], None] | None = None,
    ) -> None:
        """Fetch one layer and unpack it while it arrives."""
        with self._store.stage() as folder:
            content, path = folder / "content", folder / "blob"
            content.mkdir(mode=0o755)
            arriving = Arriving(path, layer.size)
            fetching = asyncio.ensure_future(registry.fetch(layer, arriving, progress))
            unpacking = asyncio.get_running_loop().run_in_executor(
                self._unpackers, _unpack, arriving, content, largest(layer.size)
            )
            try:
                await asyncio.wait((fetching, unpacking), return_when=asyncio.FIRST_EXCEPTION)
                if not fetching.done() and layer.size - arriving.available <= WORTH_FINISHING:
                    await asyncio.wait((fetching,))
                if fetching.done():
                    fetching.result()
                found = await unpacking
            finally:
                fetching.cancel()
                arriving.close()
                # The thread ends as soon as it reads again; its directory must outlast it.
                await asyncio.gather(fetching, unpacking, return_exceptions=True)
            if found != diff:
                raise InvalidError(
                    "unpack",
                    f"layer {diff[7:19]}",
                    f"its content is {found}, not {diff}",
                    code="digest",
                )
            await in_thread(adopt or self._store.adopt_layer, content, diff)
            await in_thread(self._store.adopt_blob, path, layer.digest)


class Arriving:
    """A file that is read while it is written; a reader waits for what is not there yet."""

    def __init__(self, path: Path, size: int) -> None:
        """Take ``size`` bytes into ``path``."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._size = size
        self._changed = threading.Condition()
        self._closed = False
        self.available = 0

    def write_at(self, offset: int, data: bytes) -> None:
        """Take bytes in."""
        view, place = memoryview(data), offset
        with self._changed:
            if self._closed:
                return  # who writes was told to end and has not noticed yet
            while view:
                count = os.pwrite(self._fd, view, place)
                view, place = view[count:], place + count
            self.available = max(self.available, place)
            self._changed.notify_all()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes, nothing at the end. Raises EOFError when no more come."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self.available > offset or offset >= self._size
            )
            if offset >= self._size:
                return b""
            if self.available <= offset:
                raise EOFError("the download ended")
            return os.pread(self._fd, min(size, self.available - offset), offset)

    def close(self) -> None:
        """No more bytes come, and nobody reads those that did."""
        with self._changed:
            if not self._closed:
                self._closed = True
                os.close(self._fd)
                self.available = 0
                self._changed.notify_all()


class _Reader(io.RawIOBase):
    def __init__(self, arriving: Arriving) -> None:
        self._arriving = arriving
        self._place = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1, /) -> bytes:
        data = self._arriving.read_at(self._place, 1024 * 1024 if size < 0 else size)
        self._place += len(data)
        return data


def _unpack(arriving: Arriving, content: Path, limit: int) -> str:
    return unpack_layer(cast("IO[bytes]", _Reader(arriving)), content, limit=limit)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the refusal of a group that tells most: nobody reads several at once."""
    flat: list[BaseException] = []
    pending: list[BaseException] = [errors]
    while pending:
        one = pending.pop(0)
        if isinstance(one, BaseExceptionGroup):
            pending.extend(one.exceptions)
        else:
            flat.append(one)
    refusals = [one for one in flat if isinstance(one, DriverError)]
    return (refusals or flat)[0]
