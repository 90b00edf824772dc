"""What is kept on disk: documents and blobs by digest, layers unpacked once, names in one file.

Everything is made beside its place and moved there when it is complete and verified, and
moved away in one step before it is deleted: after a kill there is all of it or nothing. What
is needed is written before the name that leads to it, and goes after it.

Everything here blocks and is called beside the event loop.
"""

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from runtime.errors import InvalidError, NotFoundError
from runtime.files import drop_staging, read_json, write_atomic
from runtime.image.manifest import (
    MAX_DOCUMENT,
    Config,
    Manifest,
    parse_config,
    parse_document,
)
from runtime.image.reference import parse_digest
from runtime.image.registry import verify
from runtime.platforms import Platform
from runtime.syscalls import syncfs
from runtime.types import Digest, Freed, ImageFacts

KEPT_UNNAMED = 3600.0
"""Seconds a layer nobody needs is kept: a pull that broke off finds what it had."""
PACKED = ".zst"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an image came from, and which of several it is."""

    source: str = ""
    """``registry/repository``, where it can be had again by its digest."""
    platform: str = ""
    index: str = ""
    """Digest of the index it was chosen from."""


@dataclass(slots=True)
class Catalog:
    """The index file: names, and every image that is complete."""

    names: dict[str, Digest] = field(default_factory=dict)
    images: dict[Digest, Origin] = field(default_factory=dict)
    named: dict[str, float] = field(default_factory=dict)
    """When each name was last given, pulled again included: seconds since the epoch."""


class Store:
    """The image store of one data directory."""

    def __init__(self, root: Path) -> None:
        """Keep everything below ``root``."""
        self._root = root
        self._blobs = root / "blobs"
        self._layers = root / "layers"
        self._retired = root / "retired"
        self._staging = root / "staging"
        self._index = root / "index.json"
        self._catalog: Catalog | None = None
        self._holds: Counter[str] = Counter()
        self._seen: set[str] = set()
        """What was held at any time since the last call of :meth:`watch`."""
        self._guard = threading.Lock()
        """For these two: they change on the event loop and are read beside it."""
        self._deciding = threading.Lock()
        """Held while it is decided which images go."""

    def open(self) -> None:
        """Throw away what an earlier daemon was killed in the middle of."""
        shutil.rmtree(self._staging, ignore_errors=True)
        for folder in (self._root, self._blobs):
            drop_staging(folder)
        boot = _boot_id()
        for path in self._retired.iterdir() if self._retired.is_dir() else ():
            if not path.name.startswith(boot):
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """Yield a directory of one's own that is gone afterwards, whatever happens."""
        self._staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(dir=self._staging))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def free(self) -> int:
        """Return how many bytes the disk can still take."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    # ── names ────────────────────────────────────────────────────────────────────────────

    def catalog(self) -> Catalog:
        """Return the names and images; not to be changed."""
        if self._catalog is None:
            document = cast("dict[str, Any]", read_json(self._index) or {})
            names = {
                str(name): parse_digest(str(digest))
                for name, digest in dict(document.get("references") or {}).items()
            }
            known = {str(name) for name in Origin.__dataclass_fields__}
            images = {
                parse_digest(str(digest)): Origin(
                    **{key: str(value) for key, value in dict(origin).items() if key in known}
                )
                for digest, origin in dict(document.get("images") or {}).items()
            }
            for digest in names.values():
                images.setdefault(digest, Origin())
            named = {
                str(name): float(moment)
                for name, moment in dict(document.get("named") or {}).items()
                if name in names
            }
            self._catalog = Catalog(names, images, named)
        return self._catalog

    def write_catalog(
        self, names: Mapping[str, Digest], images: Mapping[Digest, Origin], *, fresh: str = ""
    ) -> None:
        """Replace names and images in one step that survives a power cut.

        ``fresh`` is a name that was given just now.
        """
        before = self.catalog().named
        named = {name: before[name] for name in names if name in before}
        if fresh:
            named[fresh] = time.time()
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self._blobs, self._layers):
            _sync_folder(folder)
        document = {
            "references": dict(names),
            "images": {image: asdict(origin) for image, origin in images.items()},
            "named": named,
        }
        write_atomic(self._index, json.dumps(document).encode(), sync=True)
        self._catalog = Catalog(dict(names), dict(images), named)

    def name(self, reference: str, image: Digest, origin: Origin | None = None) -> None:
        """Have a name lead to a complete image."""
        catalog = self.catalog()
        known = catalog.images.get(image, Origin())
        origin = known if origin is None or not origin.source else origin
        self.write_catalog(
            {**catalog.names, reference: image}, {**catalog.images, image: origin}, fresh=reference
        )

    # ── documents and blobs ──────────────────────────────────────────────────────────────

    def put_document(self, data: bytes) -> Digest:
        """Store a document under its digest."""
        digest = Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
        self._blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._blobs / digest[7:]
        # One that is there may be damaged: it is only left alone when it is the same.
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data, sync=True)
        return digest

    def document(self, digest: str) -> bytes:
        """Return a document. Raises NotFoundError when it is gone, InvalidError when damaged."""
        try:
            with (self._blobs / parse_digest(digest)[7:]).open("rb") as file:
                data = file.read(MAX_DOCUMENT + 1)
        except FileNotFoundError:
            raise NotFoundError("read image", digest, "its document is gone") from None
        verify(data, digest)
        return data

    def has_blob(self, digest: str) -> bool:
        """Whether a blob is kept."""
        return self._blob(digest) is not None

    def open_blob(self, digest: str) -> IO[bytes]:
        """Return a stream of a blob as it was taken in. Raises NotFoundError."""
        path = self._blob(digest)
        if path is None:
            raise NotFoundError("read", digest, "the store does not keep it")
        if path.suffix != PACKED:
            return path.open("rb")
        reader = zstandard.ZstdDecompressor().stream_reader(
            path.open("rb"), read_across_frames=True, closefd=True
        )
        return cast("IO[bytes]", reader)

    def drop_blob(self, digest: str) -> None:
        """Forget a blob that is not what its digest says."""
        path = self._blob(digest)
        if path is not None:
            path.unlink(missing_ok=True)

    def adopt_blob(self, path: Path, digest: str, *, packed: bool = False) -> None:
        """Move a verified file to its place; ``packed`` says that it is compressed here only."""
        self._blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(self._blobs / (parse_digest(digest)[7:] + (PACKED if packed else "")))

    def _blob(self, digest: str) -> Path | None:
        name = parse_digest(digest)[7:]
        for path in (self._blobs / name, self._blobs / (name + PACKED)):
            if path.is_file():
                return path
        return None

    # ── layers ───────────────────────────────────────────────────────────────────────────

    def layer(self, diff: str) -> Path:
        """Return the place of a layer."""
        return self._layers / parse_digest(diff)[7:]

    def has_layer(self, diff: str) -> bool:
        """Whether a layer is unpacked."""
        return self.layer(diff).is_dir()

    def adopt_layer(self, content: Path, diff: str) -> None:
        """Move a complete directory to its place; one that is there already stays."""
        target = self.layer(diff)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if target.exists():
            return
        syncfs(content)
        content.rename(target)

    def replace_layer(self, content: Path, diff: str) -> None:
        """Put a layer in the place of a damaged one.

        A container may run on the damaged one: its files stay readable until the next boot.
        """
        target = self.layer(diff)
        self._retired.mkdir(parents=True, exist_ok=True, mode=0o700)
        syncfs(content)
        if target.exists():
            aside = tempfile.mkdtemp(prefix=f"{_boot_id()}-", dir=self._retired)
            target.rename(aside)
        content.rename(target)

    @contextmanager
    def held(self, digests: Iterable[str]) -> Iterator[None]:
        """Keep images, layers and blobs that nothing leads to yet while the context lasts.

        A collection that has decided before does not see it: ``settle`` waits for that one.
        """
        given = [parse_digest(digest)[7:] for digest in digests]
        with self._guard:
            self._holds.update(given)
            self._seen.update(given)
        try:
            yield
        finally:
            with self._guard:
                self._holds.subtract(given)
                self._holds += Counter()

    def settle(self) -> None:
        """Return when no decision about what goes is being taken."""
        with self._deciding:
            return

    def watch(self) -> None:
        """Begin to note what is held: who asks now what is needed may be told too little."""
        with self._guard:
            self._seen = set(self._holds)

    def _kept(self) -> set[str]:
        with self._guard:
            return self._seen | set(self._holds)

    # ── images ───────────────────────────────────────────────────────────────────────────

    def read(self, image: str) -> tuple[Manifest, Config]:
        """Return an image's documents."""
        manifest = parse_document(self.document(image), image)
        if not isinstance(manifest, Manifest):
            raise InvalidError("read image", image, "its manifest is an index")
        return manifest, parse_config(self.document(manifest.config.digest), image)

    def facts(self, image: Digest) -> ImageFacts:
        """Describe an image."""
        manifest, config = self.read(image)
        names = self.catalog().names
        return ImageFacts(
            id=image,
            references=tuple(sorted(name for name, found in names.items() if found == image)),
            config=config.settle(),
            layers=tuple(self.layer(diff) for diff in config.rootfs.diff_ids),
            size=sum(layer.size for layer in manifest.layers),
            created_wall=(self._blobs / image[7:]).stat().st_mtime,
        )

    def platform(self, image: Digest) -> Platform:
        """Return what machines an image is for; nothing where its documents are damaged."""
        try:
            return self.read(image)[1].platform
        except (NotFoundError, InvalidError):
            return Platform()

    def drop_names(self, needed: Iterable[str]) -> None:
        """Take away every name of images that are neither ``needed`` nor held."""
        with self._deciding:
            catalog = self.catalog()
            wanted, kept = set(needed), self._kept()
            left = {
                name: image
                for name, image in catalog.names.items()
                if image in wanted or image[7:] in kept
            }
            self.write_catalog(left, catalog.images)

    def collect(self, needed: Iterable[str], *, unnamed_for: float = KEPT_UNNAMED) -> Freed:
        """Remove images that have no name and are not ``needed``, and what only they used.

        What was held since :meth:`watch` stays, too: ``needed`` may have been told before.
        Whatever cannot be read is no reason to delete anything: damage is for repair.
        """
        with self._deciding:
            catalog = self.catalog()
            kept = self._kept()
            wanted = {*catalog.names.values(), *needed}
            wanted |= {image for image in catalog.images if image[7:] in kept}
            gone = tuple(sorted(image for image in catalog.images if image not in wanted))
            for image in catalog.images:
                if image not in wanted:
                    continue
                kept.add(image[7:])
                try:
                    manifest, config = self.read(image)
                except (NotFoundError, InvalidError):
                    return Freed()
                kept.add(manifest.config.digest[7:])
                kept |= {layer.digest[7:] for layer in manifest.layers}
                kept |= {diff[7:] for diff in config.rootfs.diff_ids}
            if gone:
                left = {one: origin for one, origin in catalog.images.items() if one in wanted}
                self.write_catalog(catalog.names, left)
        size = 0
        for path in (*_entries(self._blobs), *_entries(self._layers)):
            if path.name.removesuffix(PACKED) in kept:
                continue
            status = path.lstat()
            if path.parent == self._layers and time.time() - status.st_ctime < unnamed_for:
                continue
            size += self._remove(path)
        return Freed(images=gone, size=size)

    def _remove(self, path: Path) -> int:
        """Delete a file or a directory: out of its place in one step, then piece by piece."""
        with self.stage() as folder:
            aside = folder / path.name
            path.rename(aside)
            return _size(aside)


def _entries(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.iterdir()) if folder.is_dir() else ()


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_blocks * 512
    total = 0
    for above, _, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(above, name)).st_blocks * 512
    return total


def _sync_folder(folder: Path) -> None:
    if folder.is_dir():
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()
