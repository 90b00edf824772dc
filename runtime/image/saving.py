"""Images out of the store: as an archive or layout any program reads, or to a registry.

One form serves all: an OCI layout with docker's ``manifest.json`` beside it. Blobs leave as
they came, so an image keeps its digest wherever it goes. Writing is blocking.
"""

import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from runtime.drivers import OnProgress
from runtime.errors import AlreadyExistsError, NotFoundError
from runtime.image.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from runtime.image.reference import Reference, parse_reference
from runtime.image.registry import Registry
from runtime.image.store import Store
from runtime.image.streams import CHUNK
from runtime.types import Digest


def save(store: Store, images: Mapping[str, Digest], target: Path) -> None:
    """Write images, by the references they are to have, to ``target``.

    An archive, or a layout where ``target`` is a directory. It is there whole or not at all;
    a layout that is there already is refused with AlreadyExistsError.
    """
    if target.is_dir():
        if any(target.iterdir()):
            raise AlreadyExistsError(
                "save images to", str(target), "the directory is not empty", hint="name a new one"
            )
        _write(store, images, _Folder(target))
        return
    aside = target.with_name(f".{target.name}.writing-{os.getpid()}")
    fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _write(store, images, _Archive(archive))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


async def push(
    registry: Registry,
    store: Store,
    image: Digest,
    reference: Reference,
    progress: OnProgress | None,
) -> None:
    """Upload an image: blobs first, what leads to them last."""
    data = store.document(image)
    manifest, _ = store.read(image)
    for layer in manifest.layers:
        await registry.push_blob(layer, _opener(store, layer), progress)
    await registry.push_blob(manifest.config, _opener(store, manifest.config))
    kind = manifest.mediaType or OCI_MANIFEST
    await registry.push_manifest(reference.tag or image, data, kind)


class _Target(Protocol):
    def put(self, name: str, size: int, content: Callable[[], IO[bytes]]) -> None:
        """Take a file."""


@dataclass(frozen=True, slots=True)
class _Archive:
    archive: tarfile.TarFile

    def put(self, name: str, size: int, content: Callable[[], IO[bytes]]) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o644
        with content() as stream:
            self.archive.addfile(info, stream)


@dataclass(frozen=True, slots=True)
class _Folder:
    root: Path

    def put(self, name: str, size: int, content: Callable[[], IO[bytes]]) -> None:
        del size
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with content() as stream, path.open("xb") as file:
            while data := stream.read(CHUNK):
                file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _write(store: Store, images: Mapping[str, Digest], target: _Target) -> None:
    entries, listing = [], []
    written: set[str] = set()
    for name, image in images.items():
        data = store.document(image)
        manifest, _ = store.read(image)
        reference = parse_reference(name)
        entries.append(
            {
                "mediaType": manifest.mediaType or OCI_MANIFEST,
                "digest": image,
                "size": len(data),
                "annotations": {
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": reference.tag or name,
                },
            }
        )
        listing.append(
            {
                "Config": _place(manifest.config.digest),
                "RepoTags": [name.removeprefix("docker.io/library/").removeprefix("docker.io/")]
                if reference.tag
                else [],
                "Layers": [_place(layer.digest) for layer in manifest.layers],
            }
        )
        own = Descriptor(mediaType=OCI_MANIFEST, digest=image, size=len(data))
        for one in (*manifest.layers, manifest.config, own):
            if one.digest not in written:
                written.add(one.digest)
                target.put(_place(one.digest), one.size, _opener(store, one))
    _document(target, "oci-layout", {"imageLayoutVersion": "1.0.0"})
    _document(
        target, "index.json", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    )
    _document(target, "manifest.json", listing)


def _document(target: _Target, name: str, document: object) -> None:
    data = json.dumps(document).encode()
    target.put(name, len(data), lambda: io.BytesIO(data))


def _opener(store: Store, descriptor: Descriptor) -> Callable[[], IO[bytes]]:
    def open_it() -> IO[bytes]:
        try:
            return store.open_blob(descriptor.digest)
        except NotFoundError as error:
            raise NotFoundError(
                "read",
                descriptor.digest,
                "the store keeps it unpacked only",
                hint="pull, load or import the image once more",
            ) from error

    return open_it


def _place(digest: str) -> str:
    return f"blobs/sha256/{digest[7:]}"
