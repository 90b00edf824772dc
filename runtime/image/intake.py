"""Images that are on this machine already: archives, layouts, root filesystems, taken in.

A layer is read once: hashed, copied for the store and unpacked as it passes. Blocking.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from runtime.errors import InvalidError, NotFoundError
from runtime.image.instructions import change_config
from runtime.image.layers import largest, unpack_layer
from runtime.image.manifest import (
    MAX_CONFIG,
    MAX_LAYERS,
    MAX_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Config,
    Descriptor,
    Index,
    Manifest,
    check_count,
    check_layers,
    choose_platform,
    parse_config,
    parse_document,
)
from runtime.image.reference import Reference, parse_digest, parse_reference
from runtime.image.registry import verify
from runtime.image.sources import Bag, open_bag, read_document
from runtime.image.store import Store
from runtime.image.streams import Tee, compression
from runtime.platforms import this_platform
from runtime.types import CommitConfig, Digest

PACKING_LEVEL = 1
OWN_KEYS = ("architecture", "author", "config", "created", "history", "os", "variant")
RUN_KEYS = (
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
)
"""What is kept of a builder's configuration: not the names of what it was made in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of the store, as a manifest and a configuration speak of it."""

    diff: str
    digest: str
    size: int
    suffix: str = ""
    """What its kind ends in: how it is compressed."""


def load(store: Store, source: Path, name: str | None) -> tuple[Digest, ...]:
    """Take in every image of an archive or a layout; nothing of it on failure."""
    with store.stage() as scratch, open_bag(source, scratch) as bag:
        names = bag.names()
        if "index.json" in names:
            found = _load_oci(store, bag, name)
        elif "manifest.json" in names:
            found = _load_docker(store, bag, name)
        else:
            raise InvalidError(
                "load image from",
                str(source),
                "it holds neither `index.json` nor `manifest.json`",
                hint="for a root filesystem use `pyorch image import PATH NAME`",
                code="archive",
            )
    if not found:
        raise InvalidError("load image from", str(source), "it holds no image", code="archive")
    images = []
    for reference, manifest, config in found:
        images.append(commit(store, reference, manifest, config))
    return tuple(dict.fromkeys(images))


def import_rootfs(
    store: Store, source: Path, reference: Reference, settings: Mapping[str, object]
) -> Digest:
    """Make an image of a root filesystem: a tarball, compressed or not, or a directory."""
    with ExitStack() as stack:
        if source.is_dir():
            folder = stack.enter_context(store.stage())
            packed = folder / "layer.tar"
            with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as archive:
                archive.add(source, arcname=".")
            stream = stack.enter_context(packed.open("rb"))
        elif source.is_file():
            stream = stack.enter_context(source.open("rb"))
        else:
            raise NotFoundError("import image from", str(source), "there is no such file")
        layer = take_layer(store, stream, size=os.fstat(stream.fileno()).st_size)
    return commit_layers(store, reference, {"config": dict(settings)}, [layer])


def commit_layers(
    store: Store,
    reference: Reference,
    document: Mapping[str, Any],
    layers: Sequence[Layer],
) -> Digest:
    """Name an image made of layers of the store: diff id, digest and size of each."""
    platform = this_platform()
    config_data = json.dumps(
        {
            "architecture": platform.architecture,
            "os": platform.os,
            **document,
            "rootfs": {"type": "layers", "diff_ids": [one.diff for one in layers]},
        },
        sort_keys=True,
    ).encode()
    parse_config(config_data, str(reference))
    return commit(store, reference, manifest_for(config_data, layers), config_data)


def add_layer(
    store: Store, base: Digest, changes: Path, reference: Reference, config: CommitConfig
) -> Digest:
    """Name an image made of another one and one layer more, a plain tarball."""
    manifest, known = store.read(base)
    document = json.loads(store.document(manifest.config.digest))
    document["config"] = change_config(document.get("config") or {}, config.changes)
    layers = [
        Layer(diff=diff, digest=one.digest, size=one.size, suffix=_suffix(one.mediaType))
        for one, diff in zip(manifest.layers, known.rootfs.diff_ids, strict=True)
    ]
    if len(layers) >= MAX_LAYERS:
        raise InvalidError("commit", str(reference), f"it would have more than {MAX_LAYERS} layers")
    with changes.open("rb") as stream:
        layers.append(take_layer(store, stream, size=os.fstat(stream.fileno()).st_size))
    document["created"] = now = datetime.now(UTC).isoformat()
    step = {"created": now, "created_by": "pyorch commit"}
    if config.comment:
        step["comment"] = config.comment
    if config.author:
        document["author"] = step["author"] = config.author
    document["history"] = [*(document.get("history") or []), step]
    return commit_layers(store, reference, document, layers)


def known_layers(store: Store) -> dict[str, Layer]:
    """Return the layers of every image that are unpacked and kept as blobs, by their diff id."""
    found: dict[str, Layer] = {}
    for image in store.catalog().images:
        try:
            manifest, config = store.read(image)
        except (NotFoundError, InvalidError):
            continue  # damage is for repair
        for one, diff in zip(manifest.layers, config.rootfs.diff_ids, strict=False):
            if diff not in found and store.has_layer(diff) and store.has_blob(one.digest):
                suffix = _suffix(one.mediaType)
                found[diff] = Layer(diff=diff, digest=one.digest, size=one.size, suffix=suffix)
    return found


def adopt(store: Store, layout: Path, config: bytes, references: Sequence[Reference]) -> Digest:
    """Name an image that was built here; layers that are known are not read from ``layout``."""
    known = known_layers(store)
    document = json.loads(config)
    wanted = parse_config(config, str(references[0])).rootfs.diff_ids
    with store.stage() as scratch, open_bag(layout, scratch) as bag:
        listed = _listed(bag, str(layout))
        if len(listed) != len(wanted):
            raise InvalidError("take in", str(references[0]), "its layers are not those it names")
        layers = []
        for one, diff in zip(listed, wanted, strict=True):
            if diff not in known:
                with bag.open(_blob_name(one.digest)) as stream:
                    known[diff] = take_layer(
                        store, stream, size=one.size, diff=diff, digest=one.digest
                    )
            layers.append(known[diff])
    kept = {key: value for key, value in document.items() if key in OWN_KEYS}
    kept["config"] = {
        key: value for key, value in (document.get("config") or {}).items() if key in RUN_KEYS
    }
    image = commit_layers(store, references[0], kept, layers)
    for reference in references[1:]:
        store.name(str(reference), image)
    return image


def _listed(bag: Bag, subject: str) -> Sequence[Descriptor]:
    """Return the layers of the one image of a layout."""
    with bag.open("index.json") as stream:
        top = parse_document(stream.read(MAX_MANIFEST + 1), subject)
    if not isinstance(top, Index) or len(top.manifests) != 1:
        raise InvalidError("take in", subject, "it does not hold one image", code="archive")
    entry = top.manifests[0]
    document = parse_document(_document(bag, entry.digest, entry.size), subject)
    if not isinstance(document, Manifest):
        raise InvalidError("take in", subject, "an index within an index", code="manifest")
    return document.layers


def _suffix(kind: str) -> str:
    """Return how a layer is compressed, from either family's name of its kind."""
    for word in ("gzip", "zstd", "xz"):
        if kind.endswith((f"+{word}", f".{word}")):
            return f"+{word}"
    return ""


def commit(store: Store, reference: Reference, manifest: bytes, config: bytes) -> Digest:
    """Store an image's documents, its layers being there, and give it a name."""
    store.put_document(config)
    image = store.put_document(manifest)
    store.name(str(reference), image)
    return image


def manifest_for(config: bytes, layers: Sequence[Layer]) -> bytes:
    """Return the manifest of an image whose layers are kept as they were made: uncompressed
    ones have the digest they have unpacked, whatever the store does to their bytes."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": OCI_CONFIG,
            "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
            "size": len(config),
        },
        "layers": [
            {"mediaType": OCI_LAYER + one.suffix, "digest": one.digest, "size": one.size}
            for one in layers
        ],
    }
    return json.dumps(document, sort_keys=True).encode()


def take_layer(
    store: Store,
    source: IO[bytes],
    *,
    size: int,
    diff: str | None = None,
    digest: str | None = None,
) -> Layer:
    """Unpack a layer and keep its blob.

    Raises InvalidError when it is not what ``diff`` and ``digest`` say.
    """
    with store.stage() as folder, (folder / "blob").open("wb") as blob:
        content = folder / "content"
        content.mkdir(mode=0o755)
        raw = Tee(source)
        suffix = compression(raw.peek(6))
        with ExitStack() as stack:
            if suffix:
                raw.follow(blob, hashed=True)
            else:
                # Packed beside the unpacking, by a thread of the compressor's own.
                packer = zstandard.ZstdCompressor(level=PACKING_LEVEL, threads=1)
                raw.follow(
                    stack.enter_context(packer.stream_writer(blob, closefd=False)), hashed=False
                )
            found = unpack_layer(cast("IO[bytes]", raw), content, limit=largest(size))
            # Of a plain layer every byte is in the one digest already.
            whole = raw.finish() or found
        blob.flush()
        if digest is not None and whole != digest:
            raise InvalidError(
                "read layer", digest, f"its content has the digest {whole}", code="digest"
            )
        if diff is not None and found != diff:
            raise InvalidError(
                "unpack",
                f"layer {diff[7:19]}",
                f"its content is {found}, not {diff}",
                code="digest",
            )
        store.adopt_layer(content, found)
        store.adopt_blob(folder / "blob", whole, packed=not suffix)
        return Layer(diff=found, digest=whole, size=raw.count, suffix=suffix)


def _load_oci(store: Store, bag: Bag, name: str | None) -> list[tuple[Reference, bytes, bytes]]:
    with bag.open("index.json") as stream:
        top = parse_document(stream.read(MAX_MANIFEST + 1), "index.json")
    if not isinstance(top, Index):
        raise InvalidError("load image from", "index.json", "it is no index", code="archive")
    found = []
    for entry in top.manifests:
        given = entry.annotations.get("org.opencontainers.image.ref.name")
        reference = _named(name or entry.annotations.get("io.containerd.image.name", given))
        data = _document(bag, entry.digest, entry.size)
        document = parse_document(data, entry.digest)
        if isinstance(document, Index):
            chosen = choose_platform(document, str(reference))
            data = _document(bag, chosen.digest, chosen.size)
            document = parse_document(data, chosen.digest)
        if not isinstance(document, Manifest):
            raise InvalidError(
                "load image from", str(reference), "an index within an index", code="manifest"
            )
        config_data = _document(bag, document.config.digest, document.config.size)
        config = parse_config(config_data, document.config.digest)
        check_layers(document, config, str(reference))
        for layer, diff in zip(document.layers, config.rootfs.diff_ids, strict=True):
            if not (store.has_layer(diff) and store.has_blob(layer.digest)):
                with bag.open(_blob_name(layer.digest)) as stream:
                    taken = take_layer(
                        store, stream, size=layer.size, diff=diff, digest=layer.digest
                    )
                if taken.size != layer.size:
                    raise InvalidError(
                        "read layer",
                        layer.digest,
                        f"it has {taken.size} bytes, not {layer.size}",
                        code="size",
                    )
        found.append((reference, data, config_data))
    return found


def _load_docker(store: Store, bag: Bag, name: str | None) -> list[tuple[Reference, bytes, bytes]]:
    listing = read_document(bag, "manifest.json")
    found = []
    for entry in listing if isinstance(listing, list) else ():
        try:
            config_name, layers = str(entry["Config"]), [str(one) for one in entry["Layers"]]
            tags = [str(tag) for tag in entry.get("RepoTags") or []]
        except (TypeError, KeyError) as error:
            raise InvalidError(
                "load image from", "manifest.json", f"no {error}", code="archive"
            ) from error
        references = [_named(name)] if name or not tags else [_named(tag) for tag in tags]
        with bag.open(config_name) as stream:
            config_data = stream.read(MAX_CONFIG + 1)
        config = parse_config(config_data, config_name)
        manifest = manifest_for(config_data, _take_docker(store, bag, layers, config))
        found += [(reference, manifest, config_data) for reference in references]
    return found


def _take_docker(store: Store, bag: Bag, layers: Sequence[str], config: Config) -> list[Layer]:
    wanted = config.rootfs.diff_ids
    if len(layers) != len(wanted):
        raise InvalidError(
            "unpack", "image", f"{len(layers)} layers and {len(wanted)} diff ids", code="archive"
        )
    check_count(len(layers), "image")
    taken: list[Layer] = []
    for layer, diff in zip(layers, wanted, strict=True):
        with bag.open(layer) as stream:
            taken.append(take_layer(store, stream, size=bag.size(layer), diff=diff))
    return taken


def _named(wanted: str | None) -> Reference:
    if wanted is None:
        raise InvalidError(
            "load image from", "archive", "it names no image", hint="give one with --name"
        )
    return parse_reference(wanted)


def _document(bag: Bag, digest: str, size: int) -> bytes:
    with bag.open(_blob_name(digest)) as stream:
        data = stream.read(MAX_CONFIG + 1)
    verify(data, digest)
    if len(data) != size:
        raise InvalidError("read", digest, f"it has {len(data)} bytes, not {size}", code="size")
    return data


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{parse_digest(digest)[7:]}"
