"""The image driver: content by digest, layers unpacked once, names in one small file.

Everything is made beside its place and moved there when it is complete and verified, so
that after a kill there is all of it or nothing.
"""

import asyncio
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, cast

from typing_extensions import override

from runtime.drivers import ImageDriver, OnProgress
from runtime.errors import ConflictError, DriverError, InvalidError, NotFoundError
from runtime.files import drop_staging, in_thread, read_json, write_atomic
from runtime.image.layers import CHUNK, unpack_layer
from runtime.image.manifest import (
    MAX_DOCUMENT,
    Config,
    Index,
    Manifest,
    choose_platform,
    parse_config,
    parse_document,
)
from runtime.image.reference import Reference, parse_digest, parse_reference
from runtime.image.registry import Registry
from runtime.image.sources import Bag, open_bag, read_document
from runtime.types import Digest, ImageFacts, Instance

SHORTEST_ID = 6


class Images(ImageDriver):
    """The image store of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Keep images below the instance's data directory."""
        self._root = instance.data / "images"
        self._blobs = self._root / "blobs"
        self._layers = self._root / "layers"
        self._staging = self._root / "staging"
        self._index = self._root / "index.json"
        self._lock = asyncio.Lock()
        self._cache: dict[Digest, ImageFacts] = {}
        self._names: dict[str, Digest] | None = None
        self._pulls: dict[str, asyncio.Task[ImageFacts]] = {}

    def open(self) -> None:
        """Throw away what an earlier daemon was killed in the middle of."""
        shutil.rmtree(self._staging, ignore_errors=True)
        for folder in (self._root, self._blobs):
            drop_staging(folder)

    # ── the protocol ─────────────────────────────────────────────────────────────────────

    @override
    async def list(self) -> tuple[ImageFacts, ...]:
        ids = sorted(set(self._read_names().values()))
        facts = [await in_thread(self._facts, found) for found in ids]
        return tuple(sorted(facts, key=lambda one: (one.references or ("",), one.id)))

    @override
    async def find(self, reference: str) -> ImageFacts | None:
        names = self._read_names()
        found = names.get(reference)
        if found is None and reference.startswith("sha256:"):
            found = next((one for one in names.values() if one == reference), None)
        if found is None and not reference.startswith("sha256:"):
            try:
                found = names.get(str(parse_reference(reference)))
            except InvalidError:
                return None
        if found is None and len(reference) >= SHORTEST_ID:
            prefix = f"sha256:{reference.removeprefix('sha256:')}"
            matches = {one for one in names.values() if one.startswith(prefix)}
            found = matches.pop() if len(matches) == 1 else None
        if found is None:
            return None
        cached = self._cache.get(found)
        return cached if cached is not None else await in_thread(self._facts, found)

    @override
    async def load(self, source: Path, *, name: str | None = None) -> tuple[ImageFacts, ...]:
        async with self._lock:
            return await in_thread(self._load, source, name)

    @override
    async def import_rootfs(
        self, source: Path, *, name: str, config: dict[str, object] | None = None
    ) -> ImageFacts:
        reference = parse_reference(name)
        async with self._lock:
            return await in_thread(self._import, source, reference, config or {})

    @override
    async def pull(self, reference: str, *, progress: OnProgress | None = None) -> ImageFacts:
        settled = parse_reference(reference)
        key = str(settled)
        running = self._pulls.get(key)
        if running is None:
            # Whoever asks for the same image while it is fetched shares the fetching.
            running = asyncio.ensure_future(self._pull(settled, progress))
            self._pulls[key] = running
            running.add_done_callback(lambda _: self._pulls.pop(key, None))
        return await asyncio.shield(running)

    @override
    async def remove(self, reference: str) -> None:
        async with self._lock:
            names = dict(self._read_names())
            facts = await self.find(reference)
            if facts is None:
                raise NotFoundError("remove image", reference, "it is not in the store")
            try:
                key = str(parse_reference(reference))
            except InvalidError:
                key = ""
            gone = [key] if key in names else [n for n, one in names.items() if one == facts.id]
            if key not in names and len(gone) > 1:
                raise ConflictError(
                    "remove image", reference, f"it has several names: {', '.join(sorted(gone))}"
                )
            for one in gone:
                del names[one]
            self._write_names(names)
            await in_thread(self._collect)

    @override
    async def close(self) -> None:
        for task in tuple(self._pulls.values()):
            task.cancel()

    # ── taking in (blocking) ─────────────────────────────────────────────────────────────

    def _load(self, source: Path, name: str | None) -> tuple[ImageFacts, ...]:
        with open_bag(source) as bag:
            names = bag.names()
            if "index.json" in names:
                found = self._load_oci(bag, name)
            elif "manifest.json" in names:
                found = self._load_docker(bag, name)
            else:
                raise InvalidError(
                    "load image from",
                    str(source),
                    "it holds neither `index.json` nor `manifest.json`",
                    hint="for a root filesystem use `pyorch image import NAME PATH`",
                )
        if not found:
            raise InvalidError("load image from", str(source), "it holds no image")
        return found

    def _load_oci(self, bag: Bag, name: str | None) -> tuple[ImageFacts, ...]:
        with bag.open("index.json") as stream:
            top = parse_document(stream.read(MAX_DOCUMENT + 1), "index.json")
        if not isinstance(top, Index):
            raise InvalidError("load image from", "index.json", "it is no index")
        found = []
        for entry in top.manifests:
            given = entry.annotations.get("org.opencontainers.image.ref.name")
            given = entry.annotations.get("io.containerd.image.name", given)
            wanted = name or given
            if wanted is None:
                raise InvalidError(
                    "load image from", "archive", "it names no image", hint="give one with --name"
                )
            data = self._document(bag, entry.digest)
            document = parse_document(data, entry.digest)
            if isinstance(document, Index):
                chosen = choose_platform(document, wanted)
                data = self._document(bag, chosen.digest)
                document = parse_document(data, chosen.digest)
            if not isinstance(document, Manifest):
                raise InvalidError("load image from", wanted, "an index within an index")
            config_data = self._document(bag, document.config.digest)
            config = parse_config(config_data, document.config.digest)
            streams = [_opener(bag, _blob_name(layer.digest)) for layer in document.layers]
            digests = [layer.digest for layer in document.layers]
            self._unpack(config, streams, digests)
            found.append(self._commit(parse_reference(wanted), data, config_data))
        return tuple(found)

    def _load_docker(self, bag: Bag, name: str | None) -> tuple[ImageFacts, ...]:
        listing = read_document(bag, "manifest.json")
        found = []
        for entry in listing if isinstance(listing, list) else ():
            try:
                config_name, layers = str(entry["Config"]), [str(one) for one in entry["Layers"]]
                tags = entry.get("RepoTags") or []
            except (TypeError, KeyError) as error:
                raise InvalidError("load image from", "manifest.json", f"no {error}") from error
            wanted = name or (str(tags[0]) if tags else None)
            if wanted is None:
                raise InvalidError(
                    "load image from", "archive", "it names no image", hint="give one with --name"
                )
            with bag.open(config_name) as stream:
                config_data = stream.read(MAX_DOCUMENT + 1)
            config = parse_config(config_data, config_name)
            self._unpack(config, [_opener(bag, layer) for layer in layers], None)
            manifest = _manifest_for(config_data, config)
            found.append(self._commit(parse_reference(wanted), manifest, config_data))
        return tuple(found)

    def _import(
        self, source: Path, reference: Reference, settings: dict[str, object]
    ) -> ImageFacts:
        if source.is_dir():
            with self._stage() as folder:
                packed = folder / "layer.tar"
                with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as archive:
                    archive.add(source, arcname=".")
                diff = self._unpack_one(packed.open("rb"), None)
        elif source.is_file():
            diff = self._unpack_one(source.open("rb"), None)
        else:
            raise NotFoundError("import image from", str(source), "there is no such file")
        document = {
            "architecture": "amd64" if os.uname().machine == "x86_64" else os.uname().machine,
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [diff]},
        }
        config_data = json.dumps(document, sort_keys=True).encode()
        config = parse_config(config_data, str(reference))
        return self._commit(reference, _manifest_for(config_data, config), config_data)

    def _document(self, bag: Bag, digest: str) -> bytes:
        with bag.open(_blob_name(digest)) as stream:
            data = stream.read(MAX_DOCUMENT + 1)
        _verify(data, digest)
        return data

    def _unpack(
        self,
        config: Config,
        layers: Iterable[Callable[[], IO[bytes]]],
        digests: Iterable[str] | None,
    ) -> None:
        openers = list(layers)
        wanted = config.rootfs.diff_ids
        if len(openers) != len(wanted):
            raise InvalidError(
                "unpack", "image", f"{len(openers)} layers and {len(wanted)} diff ids"
            )
        expected = list(digests) if digests is not None else [None] * len(openers)
        for opener, diff, digest in zip(openers, wanted, expected, strict=True):
            if not self.has_layer(diff):
                self._unpack_one(opener(), diff, digest=digest)

    def has_layer(self, diff: str) -> bool:
        """Whether a layer is unpacked already."""
        return self._layer(diff).is_dir()

    def _unpack_one(self, source: IO[bytes], diff: str | None, *, digest: str | None = None) -> str:
        with self._stage() as folder, source:
            if digest is not None:
                _verify_stream(source, digest)
            content = folder / "content"
            content.mkdir(mode=0o755)
            found = unpack_layer(source, content)
            if diff is not None and found != diff:
                raise InvalidError(
                    "unpack", f"layer {diff[7:19]}", f"its content is {found}, not {diff}"
                )
            target = self._layer(found)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not target.exists():
                os.sync()
                content.rename(target)
        return found

    def _commit(self, reference: Reference, manifest: bytes, config: bytes) -> ImageFacts:
        document = parse_document(manifest, str(reference))
        if not isinstance(document, Manifest):
            raise InvalidError("store image", str(reference), "its manifest is an index")
        self.put_blob(config)
        image = self.put_blob(manifest)
        names = dict(self._read_names())
        names[str(reference)] = image
        self._write_names(names)
        self._cache.pop(image, None)
        self._collect()
        return self._facts(image)

    def put_blob(self, data: bytes) -> Digest:
        """Store a document under its digest."""
        digest = Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
        self._blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._blobs / digest[7:]
        if not path.exists():
            write_atomic(path, data, sync=True)
        return digest

    # ── pulling ──────────────────────────────────────────────────────────────────────────

    async def _pull(self, reference: Reference, progress: OnProgress | None) -> ImageFacts:
        async with Registry.open(reference) as registry:
            manifest_data = await registry.manifest()
            document = parse_document(manifest_data, str(reference))
            if isinstance(document, Index):
                chosen = choose_platform(document, str(reference))
                manifest_data = await registry.manifest(chosen.digest)
                document = parse_document(manifest_data, chosen.digest)
            if not isinstance(document, Manifest):
                raise InvalidError("pull image", str(reference), "an index within an index")
            config_data = await registry.document(document.config)
            config = parse_config(config_data, document.config.digest)
            if len(config.rootfs.diff_ids) != len(document.layers):
                raise InvalidError("pull image", str(reference), "layers and diff ids differ")

            async def fetch(number: int) -> None:
                layer, diff = document.layers[number], config.rootfs.diff_ids[number]
                if self.has_layer(diff):
                    return
                with self._stage() as folder:
                    path = folder / "blob"
                    await registry.fetch(layer, path, progress)
                    await in_thread(self._unpack_one, path.open("rb"), diff)

            limit = asyncio.Semaphore(3)

            async def limited(number: int) -> None:
                async with limit:
                    await fetch(number)

            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(len(document.layers)):
                        group.create_task(limited(number))
            except ExceptionGroup as errors:
                found = errors.subgroup(DriverError)
                if found is not None:
                    first: BaseException = found
                    while isinstance(first, BaseExceptionGroup):
                        first = first.exceptions[0]
                    raise first from None
                raise
        async with self._lock:
            return await in_thread(self._commit, reference, manifest_data, config_data)

    # ── inside ───────────────────────────────────────────────────────────────────────────

    def _facts(self, image: Digest) -> ImageFacts:
        cached = self._cache.get(image)
        if cached is not None:
            return cached
        manifest = parse_document(self._blob(image), image)
        if not isinstance(manifest, Manifest):
            raise InvalidError("read image", image, "its manifest is an index")
        config = parse_config(self._blob(parse_digest(manifest.config.digest)), image)
        facts = ImageFacts(
            id=image,
            references=tuple(
                sorted(name for name, found in self._read_names().items() if found == image)
            ),
            config=config.settle(),
            layers=tuple(self._layer(diff) for diff in config.rootfs.diff_ids),
            size=sum(layer.size for layer in manifest.layers),
            created_wall=(self._blobs / image[7:]).stat().st_mtime,
        )
        self._cache[image] = facts
        return facts

    def _blob(self, digest: Digest) -> bytes:
        try:
            return (self._blobs / digest[7:]).read_bytes()
        except FileNotFoundError:
            raise NotFoundError("read image", digest, "its document is gone") from None

    def _layer(self, diff: str) -> Path:
        return self._layers / parse_digest(diff)[7:]

    def _read_names(self) -> dict[str, Digest]:
        if self._names is None:
            found = cast("dict[str, Any]", (read_json(self._index) or {}).get("references", {}))
            self._names = {name: parse_digest(str(digest)) for name, digest in found.items()}
        return self._names

    def _write_names(self, names: dict[str, Digest]) -> None:
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._index, json.dumps({"references": names}).encode(), sync=True)
        self._names = names
        self._cache.clear()

    def _collect(self) -> None:
        """Remove documents and layers no name leads to any more."""
        keep_blobs: set[str] = set()
        keep_layers: set[str] = set()
        for image in set(self._read_names().values()):
            manifest = parse_document(self._blob(image), image)
            if isinstance(manifest, Manifest):
                keep_blobs |= {image[7:], manifest.config.digest[7:]}
                config = parse_config(self._blob(parse_digest(manifest.config.digest)), image)
                keep_layers |= {diff[7:] for diff in config.rootfs.diff_ids}
        for path in self._blobs.iterdir():
            if path.name not in keep_blobs:
                path.unlink(missing_ok=True)
        in_use = Path("/proc/self/mounts").read_text()
        for path in self._layers.iterdir() if self._layers.is_dir() else ():
            young = time.time() - path.stat().st_ctime < 3600
            if path.name not in keep_layers and path.name not in in_use and not young:
                shutil.rmtree(path, ignore_errors=True)

    def _stage(self) -> "_Staging":
        return _Staging(self._staging)


class _Staging:
    """A directory of one's own that is gone afterwards, whatever happens."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: Path | None = None

    def __enter__(self) -> Path:
        self._parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(dir=self._parent))
        return self._folder

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _opener(bag: Bag, name: str) -> Callable[[], IO[bytes]]:
    return lambda: bag.open(name)


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{parse_digest(digest)[7:]}"


def _verify(data: bytes, digest: str) -> None:
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != digest:
        raise InvalidError("read", digest, f"its content has the digest {found}")


def _verify_stream(source: IO[bytes], digest: str) -> None:
    found = hashlib.sha256()
    while data := source.read(CHUNK):
        found.update(data)
    if f"sha256:{found.hexdigest()}" != digest:
        raise InvalidError(
            "read layer", digest, f"its content has the digest sha256:{found.hexdigest()}"
        )
    source.seek(0)


def _manifest_for(config_data: bytes, config: Config) -> bytes:
    """Return the manifest of an image that came without one: its layers are known unpacked."""
    digest = f"sha256:{hashlib.sha256(config_data).hexdigest()}"
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest,
            "size": len(config_data),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": diff,
                "size": 0,
            }
            for diff in config.rootfs.diff_ids
        ],
    }
    return json.dumps(document, sort_keys=True).encode()
