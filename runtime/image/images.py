"""The image driver: one store, and the ways in and out of it."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from runtime.drivers import ImageDriver, Needed, OnProgress
from runtime.errors import (
    ConflictError,
    DriverError,
    InvalidError,
    NotFoundError,
)
from runtime.files import in_thread
from runtime.image import intake, saving
from runtime.image.check import Damage, find_damage
from runtime.image.credentials import Credentials, Login
from runtime.image.flights import Flights
from runtime.image.patience import Limits
from runtime.image.pulling import Puller, find_digest, find_remote, find_variants
from runtime.image.reference import Reference, parse_reference
from runtime.image.registries import SETTINGS
from runtime.image.registry import Registry
from runtime.image.remotes import Remotes
from runtime.image.repair import Mender
from runtime.image.signatures import check_signature, need_verifier
from runtime.image.store import Store
from runtime.platforms import Platform, parse_platform, same
from runtime.trouble import trouble
from runtime.types import CommitConfig, Digest, Freed, ImageDamage, ImageFacts, Instance

SHORTEST_ID = 6
UNPACKERS = 4
"""Threads that unpack: each may wait for its download, so they are not everybody's threads."""


class Images(ImageDriver):
    """The image store of one instance."""

    def __init__(
        self,
        instance: Instance,
        *,
        settings: Path = SETTINGS,
        limits: Limits | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """Keep images below the instance's data directory; obey the ``settings`` file."""
        self.store = Store(instance.data / "images")
        self.remotes = Remotes(
            settings,
            credentials or Credentials(instance.data / "auth.json"),
            limits or Limits(),
        )
        self._lock = asyncio.Lock()
        self._cache: dict[Digest, ImageFacts] = {}
        self._pulls: Flights[ImageFacts] = Flights()
        self._unpackers = ThreadPoolExecutor(UNPACKERS, thread_name_prefix="unpack")
        self._puller = Puller(self.store, self._unpackers)
        self._mender = Mender(self.store, self._puller, self.remotes.open, self._lock)
        self._needed: Needed = _nobody

    def open(self) -> None:
        """Throw away what an earlier daemon was killed in the middle of."""
        self.store.open()

    # ── the protocol ─────────────────────────────────────────────────────────────────────

    @override
    def keep_for(self, needed: Needed) -> None:
        self._needed = needed

    @override
    async def list(self) -> tuple[ImageFacts, ...]:
        found = []
        for image in sorted(self.store.catalog().images):
            # One that is damaged must not hide the others; a check names it.
            with contextlib.suppress(NotFoundError, InvalidError):
                found.append(await self._facts(image))
        return tuple(sorted(found, key=lambda one: (one.references or ("~",), one.id)))

    @override
    async def find(self, reference: str) -> ImageFacts | None:
        image = self._find(reference)
        if image is None:
            return None
        try:
            facts = await self._facts(image)
        except (NotFoundError, InvalidError):
            return None  # its documents are damaged: pulling or loading it mends them
        if not all(layer.is_dir() for layer in facts.layers) and not await self._heal(image):
            return None
        return facts

    @override
    @asynccontextmanager
    async def using(self, reference: str) -> AsyncIterator[ImageFacts | None]:
        image = self._find(reference)
        if image is None:
            yield None
            return
        with self.store.held([image]):
            await in_thread(self.store.settle)
            yield await self.find(image)

    @override
    async def load(self, source: Path, *, name: str | None = None) -> tuple[ImageFacts, ...]:
        async with self._changing("load image from", str(source)):
            found = await in_thread(intake.load, self.store, source, name)
            await self._collect()
            return tuple([await self._facts(image) for image in found])

    @override
    async def import_rootfs(
        self, source: Path, *, name: str, config: dict[str, object] | None = None
    ) -> ImageFacts:
        reference = _tagged(parse_reference(name), "import image as")
        async with self._changing("import image from", str(source)):
            image = await in_thread(
                intake.import_rootfs, self.store, source, reference, config or {}
            )
            await self._collect()
            return await self._facts(image)

    @override
    async def commit(self, image: str, changes: Path, config: CommitConfig) -> ImageFacts:
        reference = _tagged(parse_reference(config.name), "commit image as")
        async with self._changing("commit image", str(reference)):
            base = self._known("commit image", image)
            made = await in_thread(intake.add_layer, self.store, base, changes, reference, config)
            await self._collect()
            return await self._facts(made)

    @asynccontextmanager
    async def known_layers(self) -> AsyncIterator[frozenset[str]]:
        """Yield the diff ids of layers :meth:`adopt` need not be given while the context lasts."""
        with self.store.held(self.store.catalog().images):
            await in_thread(self.store.settle)
            yield frozenset(await in_thread(intake.known_layers, self.store))

    async def adopt(self, layout: Path, config: bytes, *, names: Sequence[str]) -> ImageFacts:
        """Take in an image that was built here: its configuration, a layout of its layers.

        Of layers that are known the layout may hold anything. Refuses as :meth:`load` does.
        """
        references = [_tagged(parse_reference(name), "build image") for name in names]
        async with self._changing("take in image", names[0]):
            made = await in_thread(intake.adopt, self.store, layout, config, references)
            await self._collect()
            return await self._facts(made)

    @override
    async def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        progress: OnProgress | None = None,
    ) -> ImageFacts:
        settled = parse_reference(reference)
        chosen = parse_platform(platform) if platform else settled.platform
        return await self._pulls.share(
            f"{settled} {platform}", lambda tell: self._pull(settled, chosen, tell), progress
        )

    @override
    async def resolve(self, reference: str) -> Digest:
        settled = parse_reference(reference)
        return await self.remotes.ask(
            "resolve image", settled, lambda registry: find_digest(registry, settled)
        )

    @override
    async def variants(self, reference: str) -> Mapping[str, Digest]:
        settled = parse_reference(reference)
        return await self.remotes.ask(
            "resolve image", settled, lambda registry: find_variants(registry, settled)
        )

    @override
    async def tag(self, reference: str, name: str) -> ImageFacts:
        settled = _tagged(parse_reference(name), "tag image as")
        async with self._changing("tag image", reference):
            image = self._known("tag image", reference)
            await in_thread(self.store.name, str(settled), image)
            self._cache.clear()
            await self._collect()
            return await self._facts(image)

    @override
    async def remove(self, reference: str, *, force: bool = False) -> None:
        async with self._changing("remove image", reference):
            image = self._known("remove image", reference)
            catalog = self.store.catalog()
            try:
                key = str(parse_reference(reference))
            except InvalidError:
                key = ""
            names = [name for name, found in catalog.names.items() if found == image]
            gone = [key] if key in names else names
            if len(gone) > 1 and not force:
                raise ConflictError(
                    "remove image", reference, f"it has several names: {', '.join(sorted(gone))}"
                )
            users = (await self._needed()).get(image)
            if users and len(gone) == len(names) and not force:
                raise ConflictError(
                    "remove image",
                    reference,
                    f"{users} needs it",
                    hint="`--force` takes the name away and keeps the image while it is needed",
                )
            left = {name: found for name, found in catalog.names.items() if name not in gone}
            await in_thread(self.store.write_catalog, left, catalog.images)
            self._cache.clear()
            await self._collect()

    @override
    async def prune(self, *, unused: bool = False) -> Freed:
        async with self._changing("prune", "images"):
            if unused:
                self.store.watch()
                await in_thread(self.store.drop_names, await self._needed())
            freed = await self._collect(unnamed_for=0)
            self._cache.clear()
        return freed

    @override
    async def close(self) -> None:
        await self._pulls.close()
        await in_thread(self._unpackers.shutdown, cancel_futures=True)

    @override
    async def push(
        self, reference: str, *, target: str | None = None, progress: OnProgress | None = None
    ) -> None:
        image = self._known("push image", reference)
        settled = parse_reference(target or reference)
        with self.store.held(await in_thread(self._digests, image)):
            async with self.remotes.pushing("push image", settled) as registry:
                await saving.push(registry, self.store, image, settled, progress)

    @override
    async def save(self, references: Sequence[str], target: Path) -> None:
        images = {}
        for reference in references:
            image = self._known("save image", reference)
            names = (await self._facts(image)).references
            try:
                settled = str(parse_reference(reference))
            except InvalidError:
                settled = ""
            images[settled if settled in names else (names or (f"image@{image}",))[0]] = image
        async with self._changing("save images to", str(target)):
            await in_thread(saving.save, self.store, images, target)

    @override
    async def inspect(self, reference: str) -> Mapping[str, object]:
        image = self._known("inspect image", reference)
        facts = await self._facts(image)
        manifest, _ = self.store.read(image)
        return {
            "Id": image,
            "References": list(facts.references),
            "Named": {
                name: self.store.catalog().named.get(name, facts.created_wall)
                for name in facts.references
            },
            "Origin": asdict(self.store.catalog().images[image]),
            "Manifest": json.loads(self.store.document(image)),
            "Config": json.loads(self.store.document(manifest.config.digest)),
            "Layers": [str(layer) for layer in facts.layers],
            "Size": facts.size,
        }

    @override
    async def log_in(self, registry: str, user: str, password: str) -> None:
        await self.remotes.log_in(registry, Login(user, password))

    @override
    async def log_out(self, registry: str) -> bool:
        return await self.remotes.log_out(registry)

    @override
    async def check(self, *, deep: bool = False, repair: bool = False) -> tuple[ImageDamage, ...]:
        found: tuple[ImageDamage, ...] = ()
        for image in sorted(self.store.catalog().images):
            told = await self._check(image, deep=deep, repair=repair)
            found += told
            if deep and any(one.repaired for one in told):
                # Only a blob that is right again tells whether the layer is.
                found += await self._check(image, deep=deep, repair=repair)
        return found

    async def _check(self, image: Digest, *, deep: bool, repair: bool) -> tuple[ImageDamage, ...]:
        names = self._names(image)
        found: tuple[ImageDamage, ...] = ()
        for damage in await in_thread(self._damage, image, deep=deep):
            mended, how = await self._mender.mend(damage) if repair else (False, "")
            one = ImageDamage(
                image=image,
                references=names,
                subject=f"{damage.kind} {damage.digest}",
                cause=damage.cause,
                repaired=mended,
                remedy=how,
            )
            found = (*found, one)
        if repair:
            self._cache.clear()
        return found

    # ── repairing ────────────────────────────────────────────────────────────────────────

    async def _heal(self, image: Digest) -> bool:
        """Unpack again what is missing of an image, where its blobs are kept."""
        for damage in await in_thread(self._damage, image, deep=False):
            if not await self._mender.unpack_again(damage):
                return False
        return True

    def _names(self, image: Digest) -> tuple[str, ...]:
        names = self.store.catalog().names
        return tuple(sorted(name for name, found in names.items() if found == image))

    def _damage(self, image: Digest, *, deep: bool) -> tuple[Damage, ...]:
        return tuple(find_damage(self.store, image, deep=deep))

    def _digests(self, image: Digest) -> tuple[str, ...]:
        manifest, config = self.store.read(image)
        layers = [layer.digest for layer in manifest.layers]
        return (image, manifest.config.digest, *layers, *config.rootfs.diff_ids)

    # ── pulling ──────────────────────────────────────────────────────────────────────────

    async def _pull(
        self, reference: Reference, platform: Platform | None, progress: OnProgress
    ) -> ImageFacts:
        need_verifier(self.remotes.keys(reference), reference)
        return await self.remotes.ask(
            "pull image",
            reference,
            lambda registry: self._pull_from(registry, reference, platform, progress),
        )

    async def _pull_from(
        self,
        registry: Registry,
        reference: Reference,
        platform: Platform | None,
        progress: OnProgress,
    ) -> ImageFacts:
        found = await find_remote(registry, reference, platform)
        digest = Digest(f"sha256:{hashlib.sha256(found.manifest_data).hexdigest()}")
        keys = self.remotes.keys(reference)
        await check_signature(keys, reference, digest)
        held = [*found.config.rootfs.diff_ids, *(one.digest for one in found.manifest.layers)]
        async with self._lock:
            # A collection under way may be removing the very layers that are there yet.
            holding = self.store.held(held)
            holding.__enter__()
        try:
            await self._puller.layers(registry, found, progress)
            async with self._lock:
                image = await in_thread(
                    self._commit, reference, found.manifest_data, found.config_data
                )
                await in_thread(self.store.name, str(reference), image, found.origin)
                self._cache.clear()
                await self._collect()
                return await self._facts(image)
        finally:
            holding.__exit__(None, None, None)

    def _commit(self, reference: Reference, manifest: bytes, config: bytes) -> Digest:
        return intake.commit(self.store, reference, manifest, config)

    # ── inside ───────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _changing(self, verb: str, subject: str) -> AsyncIterator[None]:
        async with self._lock:
            try:
                async with trouble(verb, subject):
                    yield
            except (DriverError, asyncio.CancelledError):
                # What was taken in before it failed belongs to nothing.
                await self._collect(unnamed_for=0)
                raise
            finally:
                self._cache.clear()

    async def _collect(self, **more: Any) -> Freed:
        self.store.watch()
        freed = await in_thread(self.store.collect, await self._needed(), **more)
        # Names have changed, or there would have been nothing to collect.
        self._cache.clear()
        return freed

    def _find(self, reference: str) -> Digest | None:
        catalog = self.store.catalog()
        names = catalog.names
        found = names.get(reference)
        if found is None and not reference.startswith("sha256:"):
            try:
                settled = parse_reference(reference)
            except InvalidError:
                return None
            found = names.get(str(settled)) or self._suiting(settled)
        if found is None and len(reference) >= SHORTEST_ID:
            prefix = f"sha256:{reference.removeprefix('sha256:')}"
            matches = [one for one in catalog.images if one.startswith(prefix)]
            found = matches[0] if len(matches) == 1 else None
        return found

    def _suiting(self, reference: Reference) -> Digest | None:
        """Return what stands under the name alone, where it is for just the platform meant."""
        if reference.platform is None:
            return None
        found = self.store.catalog().names.get(str(replace(reference, platform=None)))
        if found is None or not same(self.store.platform(found), reference.platform):
            return None
        return found

    def _known(self, verb: str, reference: str) -> Digest:
        found = self._find(reference)
        if found is None:
            raise NotFoundError(verb, reference, "it is not in the store")
        return found

    async def _facts(self, image: Digest) -> ImageFacts:
        cached = self._cache.get(image)
        if cached is None:
            cached = self._cache[image] = await in_thread(self.store.facts, image)
        return cached


async def _nobody() -> Mapping[Digest, str]:
    return {}


def _tagged(reference: Reference, verb: str) -> Reference:
    if reference.digest:
        raise InvalidError(verb, str(reference), "a digest is no name one can give")
    return reference
