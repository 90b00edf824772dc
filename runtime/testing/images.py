"""Images in memory."""

import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from typing_extensions import override

from runtime.drivers import ImageDriver, Needed, OnProgress
from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.image.manifest import parse_config
from runtime.image.reference import parse_reference
from runtime.testing.faults import Faults
from runtime.types import (
    CommitConfig,
    Digest,
    Freed,
    ImageConfig,
    ImageDamage,
    ImageFacts,
    PullProgress,
)

SHORTEST_ID = 6
SIZE = 1000


@dataclass(slots=True, kw_only=True)
class FakeImages(Faults, ImageDriver):
    """Keeps the promises of :class:`ImageDriver`; layers are paths that do not exist."""

    clock: Callable[[], float]
    archives: dict[Path, ImageConfig] = field(default_factory=dict)
    """What files hold that can be loaded; any other file is broken."""
    registry: dict[str, ImageConfig] = field(default_factory=dict)
    """What can be pulled, by its settled reference."""
    logins: dict[str, str] = field(default_factory=dict)
    """Who is logged in where."""
    _images: dict[Digest, ImageFacts] = field(default_factory=dict)
    _names: dict[str, Digest] = field(default_factory=dict)
    _needed: Needed = field(default_factory=lambda: _nobody)
    _used: Counter[Digest] = field(default_factory=Counter)
    _seen: set[Digest] = field(default_factory=set)
    """What was in use at any time since somebody began to ask what is needed."""

    # ── the protocol ─────────────────────────────────────────────────────────────────────

    @override
    async def list(self) -> tuple[ImageFacts, ...]:
        await self.look("list")
        found = [self._facts(image) for image in self._images]
        return tuple(sorted(found, key=lambda one: (one.references or ("~",), one.id)))

    @override
    async def find(self, reference: str) -> ImageFacts | None:
        await self.look("find", reference)
        found = self._find(reference)
        return self._facts(found) if found else None

    @override
    @asynccontextmanager
    async def using(self, reference: str) -> AsyncIterator[ImageFacts | None]:
        await self.look("using", reference)
        found = self._find(reference)
        if found is None:
            yield None
            return
        self._used[found] += 1
        self._seen.add(found)
        try:
            yield self._facts(found)
        finally:
            self._used[found] -= 1

    @override
    async def load(self, source: Path, *, name: str | None = None) -> tuple[ImageFacts, ...]:
        await self.change("load", str(source))
        if not source.exists():
            raise NotFoundError("load image from", str(source), "there is no such file")
        config = self.archives.get(source)
        if config is None:
            raise InvalidError("load image from", str(source), "it is no image archive")
        if name is None:
            raise InvalidError("load image from", "archive", "it names no image")
        made = self._put(name, config, origin=str(source))
        await self._collect()
        return (made,)

    @override
    async def import_rootfs(
        self, source: Path, *, name: str, config: dict[str, object] | None = None
    ) -> ImageFacts:
        await self.change("import_rootfs", name)
        parse_reference(name)
        if not source.exists():
            raise NotFoundError("import image from", str(source), "there is no such file")
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        settled = parse_config(json.dumps(document).encode(), name).settle()
        made = self._put(name, settled, origin=str(source))
        await self._collect()
        return made

    @override
    async def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        progress: OnProgress | None = None,
    ) -> ImageFacts:
        await self.change("pull", reference)
        settled = str(parse_reference(reference))
        config = self.registry.get(settled)
        if config is None:
            raise NotFoundError("pull image", settled, "the registry has no such image")
        image = _digest(settled, config)
        if image not in self._images and progress is not None:
            progress(PullProgress(subject=image[7:19], done=SIZE, total=SIZE))
        made = self._put(reference, config, origin=settled)
        await self._collect()
        return made

    @override
    async def resolve(self, reference: str) -> Digest:
        await self.look("resolve", reference)
        settled = str(parse_reference(reference))
        config = self.registry.get(settled)
        if config is None:
            raise NotFoundError("resolve image", settled, "the registry has no such image")
        return _digest(settled, config)

    @override
    async def variants(self, reference: str) -> Mapping[str, Digest]:
        return {"linux/amd64": await self.resolve(reference)}

    @override
    async def tag(self, reference: str, name: str) -> ImageFacts:
        await self.change("tag", name)
        image = self._find(reference)
        if image is None:
            raise NotFoundError("tag image", reference, "it is not in the store")
        self._names[str(parse_reference(name))] = image
        await self._collect()
        return self._facts(image)

    @override
    async def remove(self, reference: str, *, force: bool = False) -> None:
        await self.change("remove", reference)
        image = self._find(reference)
        if image is None:
            raise NotFoundError("remove image", reference, "it is not in the store")
        key = _settled(reference)
        names = [name for name, found in self._names.items() if found == image]
        if key not in names and len(names) > 1 and not force:
            raise ConflictError(
                "remove image", reference, f"it has several names: {', '.join(sorted(names))}"
            )
        gone = [key] if key in names else names
        users = (await self._needed()).get(image)
        if users and len(gone) == len(names) and not force:
            raise ConflictError("remove image", reference, f"{users} needs it")
        for name in gone:
            del self._names[name]
        await self._collect()

    @override
    async def prune(self, *, unused: bool = False) -> Freed:
        await self.change("prune")
        before = set(self._images)
        if unused:
            wanted = await self._wanted()
            self._names = {k: image for k, image in self._names.items() if image in wanted}
        await self._collect()
        gone = before - set(self._images)
        return Freed(images=tuple(sorted(gone)), size=SIZE * len(gone))

    @override
    async def push(
        self, reference: str, *, target: str | None = None, progress: OnProgress | None = None
    ) -> None:
        await self.change("push", reference)
        image = self._find(reference)
        if image is None:
            raise NotFoundError("push image", reference, "it is not in the store")
        self.registry[str(parse_reference(target or reference))] = self._images[image].config

    @override
    async def save(self, references: Sequence[str], target: Path) -> None:
        await self.change("save", str(target))
        for reference in references:
            image = self._find(reference)
            if image is None:
                raise NotFoundError("save image", reference, "it is not in the store")
            self.archives[target] = self._images[image].config

    @override
    async def inspect(self, reference: str) -> Mapping[str, object]:
        await self.look("inspect", reference)
        image = self._find(reference)
        if image is None:
            raise NotFoundError("inspect image", reference, "it is not in the store")
        return {"Id": image, "References": list(self._facts(image).references)}

    @override
    async def commit(self, image: str, changes: Path, config: CommitConfig) -> ImageFacts:
        name = config.name
        await self.change("commit", name)
        found = self._find(image)
        if found is None:
            raise NotFoundError("commit image", image, "it is not in the store")
        made = self._put(name, self._images[found].config, origin=f"{found} {changes} {config}")
        await self._collect()
        return made

    @override
    async def check(self, *, deep: bool = False, repair: bool = False) -> tuple[ImageDamage, ...]:
        await self.look("check")
        return ()

    @override
    async def log_in(self, registry: str, user: str, password: str) -> None:
        await self.change("log_in", registry)
        self.logins[registry] = user

    @override
    async def log_out(self, registry: str) -> bool:
        await self.change("log_out", registry)
        return self.logins.pop(registry, None) is not None

    @override
    def keep_for(self, needed: Needed) -> None:
        self._needed = needed

    @override
    async def close(self) -> None:
        await self.look("close")

    # ── what a test puts into it ─────────────────────────────────────────────────────────

    def add(self, reference: str, config: ImageConfig | None = None) -> ImageFacts:
        """Have an image in the store; another configuration makes it another image."""
        return self._put(reference, config or ImageConfig(), origin="")

    def find_now(self, reference: str) -> ImageFacts | None:
        """Return what :meth:`find` does, without being held or refused."""
        found = self._find(reference)
        return self._facts(found) if found else None

    async def _collect(self) -> None:
        wanted = await self._wanted() | set(self._names.values())
        self._images = {one: facts for one, facts in self._images.items() if one in wanted}

    # ── inside ───────────────────────────────────────────────────────────────────────────

    async def _wanted(self) -> set[Digest]:
        self._seen = set(+self._used)
        return set(await self._needed()) | self._seen

    def _put(self, reference: str, config: ImageConfig, *, origin: str) -> ImageFacts:
        image = _digest(origin, config)
        self._images.setdefault(
            image,
            ImageFacts(
                id=image,
                references=(),
                config=config,
                layers=(Path("/nowhere/layers") / image[7:],),
                size=SIZE,
                created_wall=self.clock(),
            ),
        )
        self._names[str(parse_reference(reference))] = image
        return self._facts(image)

    def _find(self, reference: str) -> Digest | None:
        found = self._names.get(_settled(reference))
        if found is None and len(reference) >= SHORTEST_ID:
            prefix = f"sha256:{reference.removeprefix('sha256:')}"
            matches = [one for one in self._images if one.startswith(prefix)]
            found = matches[0] if len(matches) == 1 else None
        return found

    def _facts(self, image: Digest) -> ImageFacts:
        names = sorted(name for name, found in self._names.items() if found == image)
        return replace(self._images[image], references=tuple(names))


async def _nobody() -> Mapping[Digest, str]:
    return {}


def _digest(origin: str, config: ImageConfig) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(f'{origin} {config!r}'.encode()).hexdigest()}")


def _settled(reference: str) -> str:
    try:
        return str(parse_reference(reference))
    except InvalidError:
        return ""
