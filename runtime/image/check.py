"""Whether what is kept is still what was taken in. Blocking; changes nothing.

A layer is checked by unpacking its blob once more and comparing the trees: what counts is
what a container would see.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import DriverError, InvalidError, NotFoundError
from runtime.image.layers import largest, unpack_layer
from runtime.image.manifest import Descriptor
from runtime.image.store import Store
from runtime.image.streams import CHUNK
from runtime.types import Digest

GONE = "it is gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something of an image that is missing, or not what it should be."""

    image: Digest
    kind: str
    """``document``, ``layer`` or ``blob``."""
    digest: str
    cause: str
    missing: bool = False
    descriptor: Descriptor | None = None
    diff: str = ""


def find_damage(store: Store, image: Digest, *, deep: bool) -> Iterator[Damage]:
    """Yield what is wrong with an image; with ``deep`` every byte of it is read."""
    try:
        manifest, config = store.read(image)
    except (NotFoundError, InvalidError) as error:
        yield Damage(image=image, kind="document", digest=error.subject, cause=error.cause)
        return
    for layer, diff in zip(manifest.layers, config.rootfs.diff_ids, strict=True):

        def damage(kind: str, cause: str, layer: Descriptor = layer, diff: str = diff) -> Damage:
            digest = layer.digest if kind == "blob" else diff
            return Damage(
                image=image,
                kind=kind,
                digest=digest,
                cause=cause,
                missing=cause == GONE,
                descriptor=layer,
                diff=diff,
            )

        kept = store.has_blob(layer.digest)
        if deep and kept and (cause := _blob_cause(store, layer)):
            yield damage("blob", cause)
            kept = False
        elif deep and not kept:
            yield damage("blob", GONE)
        if not store.has_layer(diff):
            yield damage("layer", GONE)
        elif deep and kept and not _same_tree(store, layer, diff):
            yield damage("layer", "its files are not those it was unpacked with")


def unpack_again(store: Store, layer: Descriptor, diff: str, content: Path) -> None:
    """Unpack a kept blob into ``content``. Raises DriverError when that is not the layer."""
    content.mkdir(mode=0o755)
    with store.open_blob(layer.digest) as stream:
        found = unpack_layer(stream, content, limit=largest(layer.size))
    if found != diff:
        raise InvalidError("unpack", diff, f"its content is {found}", code="digest")


def _blob_cause(store: Store, layer: Descriptor) -> str:
    found = hashlib.sha256()
    try:
        with store.open_blob(layer.digest) as stream:
            while data := stream.read(CHUNK):
                found.update(data)
    except Exception as error:  # whatever a decompressor makes of damage
        return f"it cannot be read: {error}"
    digest = f"sha256:{found.hexdigest()}"
    return "" if digest == layer.digest else f"its content has the digest {digest}"


def _same_tree(store: Store, layer: Descriptor, diff: str) -> bool:
    with store.stage() as folder:
        content = folder / "content"
        try:
            unpack_again(store, layer, diff, content)
        except DriverError:
            return False
        return tree_digest(content) == tree_digest(store.layer(diff))


def tree_digest(root: Path) -> str:
    """Return one digest of everything below a directory, and of the directory itself."""
    found = hashlib.sha256()
    pending = [os.fsencode(root)]
    while pending:
        path = pending.pop()
        status = os.lstat(path)
        parts = [os.path.relpath(path, os.fsencode(root))]
        # A whiteout, and a folder no member is about, are as old as their unpacking.
        timeless = stat.S_ISDIR(status.st_mode) or stat.S_ISCHR(status.st_mode)
        moment = 0 if timeless else status.st_mtime_ns
        parts += [
            str(number).encode()
            for number in (status.st_mode, status.st_uid, status.st_gid, moment)
        ]
        parts += [
            name.encode() + b"=" + os.getxattr(path, name, follow_symlinks=False)
            for name in sorted(os.listxattr(path, follow_symlinks=False))
        ]
        if stat.S_ISLNK(status.st_mode):
            parts.append(os.readlink(path))
        elif stat.S_ISREG(status.st_mode):
            parts.append(_content_digest(path))
        elif stat.S_ISDIR(status.st_mode):
            pending += sorted(os.path.join(path, name) for name in os.listdir(path))
        else:
            parts.append(str(status.st_rdev).encode())
        for part in parts:
            found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


def _content_digest(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
