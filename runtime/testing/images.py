"""Images in memory."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from typing_extensions import override

from runtime.drivers import ImageDriver, OnProgress
from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.image.manifest import parse_config
from runtime.image.reference import parse_reference
from runtime.testing.faults import Faults
from runtime.types import Digest, ImageConfig, ImageFacts, PullProgress

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
    _images: dict[Digest, ImageFacts] = field(default_factory=dict)
    _names: dict[str, Digest] = field(default_factory=dict)

    # ── the protocol ─────────────────────────────────────────────────────────────────────

    @override
    async def list(self) -> tuple[ImageFacts, ...]:
        await self.look("list")
        found = [self._facts(image) for image in set(self._names.values())]
        return tuple(sorted(found, key=lambda one: (one.references, one.id)))

    @override
    async def find(self, reference: str) -> ImageFacts | None:
        await self.look("find", reference)
        found = self._find(reference)
        return self._facts(found) if found else None

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
        return (self._put(name, config, origin=str(source)),)

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
        return self._put(name, settled, origin=str(source))

    @override
    async def pull(self, reference: str, *, progress: OnProgress | None = None) -> ImageFacts:
        await self.change("pull", reference)
        settled = str(parse_reference(reference))
        config = self.registry.get(settled)
        if config is None:
            raise NotFoundError("pull image", settled, "the registry has no such image")
        image = _digest(settled, config)
        if image not in self._images and progress is not None:
            progress(PullProgress(subject=image[7:19], done=SIZE, total=SIZE))
        return self._put(reference, config, origin=settled)

    @override
    async def remove(self, reference: str) -> None:
        await self.change("remove", reference)
        image = self._find(reference)
        if image is None:
            raise NotFoundError("remove image", reference, "it is not in the store")
        key = _settled(reference)
        names = [name for name, found in self._names.items() if found == image]
        if key not in names and len(names) > 1:
            raise ConflictError(
                "remove image", reference, f"it has several names: {', '.join(sorted(names))}"
            )
        for name in [key] if key in names else names:
            del self._names[name]
        self._images = {one: self._images[one] for one in set(self._names.values())}

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

    # ── inside ───────────────────────────────────────────────────────────────────────────

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
        self._images = {one: self._images[one] for one in set(self._names.values())}
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


def _digest(origin: str, config: ImageConfig) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(f'{origin} {config!r}'.encode()).hexdigest()}")


def _settled(reference: str) -> str:
    try:
        return str(parse_reference(reference))
    except InvalidError:
        return ""
