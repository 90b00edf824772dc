"""Stack files that are an artifact of a registry, as `docker compose publish` makes them."""

import hashlib
import json
import os
import re
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from orchestrator.errors import PyorchError
from orchestrator.remote.cache import Cache
from orchestrator.settings import Settings
from orchestrator.spec.reading.remote import Fetched, OciReference
from runtime.errors import DriverError
from runtime.image.credentials import Credentials
from runtime.image.manifest import MAX_LAYERS, CheckedDigest, Descriptor
from runtime.image.patience import Limits
from runtime.image.reference import Reference, parse_reference
from runtime.image.registries import Registries
from runtime.image.registry import Registry, verify

PROJECT = "application/vnd.docker.compose.project"
EMPTY_CONFIG = "application/vnd.docker.compose.config.empty.v1+json"
"""What registries that know no artifact types are told instead."""
STACK_FILE = "application/vnd.docker.compose.file+yaml"
ENV_FILE = "application/vnd.docker.compose.envfile"
FILE_NAME = "com.docker.compose.file"
ENV_NAME = "com.docker.compose.envfile"
EXTENDED = "com.docker.compose.extends"
"""On a stack file that others extend: it has a name of its own beside the main one."""

MAIN = "compose.yaml"
MAX_BYTES = 64 * 2**20
LIMITS = Limits(attempts=3, document=60.0, total=300.0)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


class _Part(Descriptor):
    artifactType: str = ""  # noqa: N815 - image-spec's own name


class _Artifact(BaseModel):
    artifactType: str = ""  # noqa: N815 - image-spec's own name
    config: Descriptor | None = None
    layers: list[Descriptor] = Field(default=[], max_length=MAX_LAYERS)
    manifests: list[_Part] = Field(default=[], max_length=1000)


async def fetch(reference: OciReference, cache: Cache, settings: Settings) -> Fetched:
    """Return where the files of an artifact are. Raises PyorchError."""
    try:
        image = parse_reference(reference.image)
        return await _fetch(image, cache, settings)
    except DriverError as error:
        raise PyorchError(f"{error}", hint=error.hint) from None


async def _fetch(image: Reference, cache: Cache, settings: Settings) -> Fetched:
    endpoint = Registries.read(settings.registries).endpoint(image)
    own = settings.data / "auth.json"
    # Logins of the daemon are root's: others have those of docker and podman.
    credentials = Credentials(own if os.access(own, os.R_OK) else Path(os.devnull, "none"))
    async with Registry.open(endpoint, credentials, LIMITS) as registry:
        data = await registry.manifest(image.digest or image.tag)
        artifact = _read(data)
        if artifact.manifests:
            data = await registry.manifest(_of_index(artifact))
            artifact = _read(data)
        _check(artifact)
        digest = hashlib.sha256(data).hexdigest()
        place = cache.place("oci", f"{image.registry}/{image.repository}", digest)
        root = place / image.repository.rpartition("/")[2]
        if not cache.has(place):
            with cache.workshop() as folder:
                tree = folder / "kept" / root.name
                tree.mkdir(parents=True, mode=0o700)
                for name, content in (await _files(registry, artifact)).items():
                    (tree / name).write_bytes(content)
                cache.keep(folder / "kept", place)
    return Fetched(root=root, path=root / MAIN)


def _read(data: bytes) -> _Artifact:
    try:
        return _Artifact.model_validate(json.loads(data))
    except (ValueError, ValidationError) as error:
        raise PyorchError(f"its manifest cannot be read: {str(error).splitlines()[0]}") from None


def _of_index(artifact: _Artifact) -> CheckedDigest:
    for part in artifact.manifests:
        if part.artifactType == PROJECT:
            return part.digest
    raise _no_stack("it is an index of images")


def _check(artifact: _Artifact) -> None:
    kind = artifact.artifactType
    if kind != PROJECT and (
        kind or not artifact.config or artifact.config.mediaType != EMPTY_CONFIG
    ):
        raise _no_stack(f"it is `{kind}`" if kind else "it is an image")


def _no_stack(why: str) -> PyorchError:
    hint = "`docker compose publish` makes such artifacts"
    return PyorchError(f"it holds no stack file: {why}", hint=hint)


async def _files(registry: Registry, artifact: _Artifact) -> dict[str, bytes]:
    """Return what is in an artifact, by name. Stack files that follow each other are one."""
    found: dict[str, bytes] = {}
    taken = 0
    for layer in artifact.layers:
        if layer.mediaType not in (STACK_FILE, ENV_FILE):
            continue
        name = _name(layer)
        taken += layer.size
        if taken > MAX_BYTES:
            raise PyorchError(f"its files are larger than {MAX_BYTES // 2**20} MiB")
        content = await registry.document(layer)
        verify(content, layer.digest)
        if name in found and layer.mediaType == STACK_FILE:
            content = found[name] + b"\n---\n" + content
        found[name] = content
    if MAIN not in found:
        raise _no_stack("none of its layers is one")
    return found


def _name(layer: Descriptor) -> str:
    """Return the name of a layer's file: one in the same folder, whatever the artifact says."""
    notes = layer.annotations
    if layer.mediaType == STACK_FILE and EXTENDED not in notes:
        return MAIN
    name = notes.get(ENV_NAME if layer.mediaType == ENV_FILE else FILE_NAME, "")
    if not _NAME.fullmatch(name) or name == MAIN:
        raise PyorchError(f"`{name[:80]}` is no name a file of an artifact may have")
    return name
