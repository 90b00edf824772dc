"""Indexes, manifests and configurations of images (image-spec), checked as they come in."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from runtime.errors import ConflictError, InvalidError
from runtime.image.reference import parse_digest
from runtime.platforms import Platform, suits, this_platform
from runtime.signals import signal_number
from runtime.types import Digest, ImageConfig, ImageHealthcheck

MAX_MANIFEST = 4 * 1024 * 1024
MAX_CONFIG = 8 * 1024 * 1024
MAX_STEPS = 10_000
MAX_DOCUMENT = max(MAX_MANIFEST, MAX_CONFIG)
MAX_LAYERS = 127
"""Overlay mounts take their lower directories in one page of options."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
_INDEXES = (OCI_INDEX, DOCKER_LIST)
_FOREIGN = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)


def _digest(value: object) -> Digest:
    try:
        return parse_digest(str(value))
    except InvalidError as error:
        raise ValueError(str(error)) from None


CheckedDigest = Annotated[str, BeforeValidator(_digest)]


def _empty(value: object) -> object:
    return () if value is None else value


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("it has a NUL in it, which no process can be given")
    return value


def _signal(value: str) -> str:
    if value:
        try:
            signal_number(value)
        except ConflictError as error:
            raise ValueError(f"`{value[:80]}`: {error.cause}") from None
    return value


Text = Annotated[str, AfterValidator(_text)]


class Descriptor(BaseModel):
    """A reference to content: what it is, its digest, its size."""

    mediaType: str = ""  # noqa: N815 - image-spec's own name
    digest: CheckedDigest
    size: int = Field(ge=0)
    platform: Platform | None = None
    annotations: dict[str, str] = {}

    @property
    def foreign(self) -> bool:
        """Whether it is a layer whose content stands elsewhere: it is never fetched there."""
        return self.mediaType.startswith(_FOREIGN)


class Index(BaseModel):
    """Several images under one name, for several platforms."""

    mediaType: str = ""  # noqa: N815 - image-spec's own name
    manifests: list[Descriptor] = Field(max_length=1000)


class Manifest(BaseModel):
    """One image: its configuration and its layers, lowest first."""

    mediaType: str = ""  # noqa: N815 - image-spec's own name
    config: Descriptor
    layers: list[Descriptor] = Field(max_length=MAX_LAYERS)


class _Health(BaseModel):
    Test: list[Text] | None = None
    Interval: int = 0
    Timeout: int = 0
    StartPeriod: int = 0
    StartInterval: int = 0
    Retries: int = 0


class _RunConfig(BaseModel):
    Env: Annotated[list[Text], BeforeValidator(_empty)] = []
    Entrypoint: Annotated[list[Text], BeforeValidator(_empty)] = []
    Cmd: Annotated[list[Text], BeforeValidator(_empty)] = []
    User: Text = ""
    WorkingDir: Text = ""
    StopSignal: Annotated[str, AfterValidator(_signal)] = ""
    Volumes: dict[Text, Any] | None = None
    ExposedPorts: dict[str, Any] | None = None
    Labels: dict[str, str] | None = None
    Shell: list[Text] | None = None
    Healthcheck: _Health | None = None


class _Step(BaseModel):
    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class _RootFs(BaseModel):
    diff_ids: list[CheckedDigest] = []


class Config(BaseModel):
    """An image's configuration document."""

    config: Annotated[_RunConfig, BeforeValidator(lambda value: value or {})] = _RunConfig()
    rootfs: _RootFs = _RootFs()
    history: list[_Step] | None = Field(None, max_length=MAX_STEPS)
    os: str = ""
    architecture: str = ""
    variant: str = ""

    @property
    def platform(self) -> Platform:
        """What machines it is for, as far as it says."""
        return Platform(os=self.os, architecture=self.architecture, variant=self.variant)

    def settle(self) -> ImageConfig:
        """Return what it says about running the image."""
        run = self.config
        return ImageConfig(
            environment=tuple(line for line in run.Env if "=" in line),
            entrypoint=tuple(run.Entrypoint),
            command=tuple(run.Cmd),
            user=run.User,
            working_dir=run.WorkingDir,
            stop_signal=run.StopSignal,
            volumes=tuple(sorted(run.Volumes or {})),
            exposed=tuple(sorted(run.ExposedPorts or {})),
            labels=run.Labels or {},
            shell=tuple(run.Shell) if run.Shell else ("/bin/sh", "-c"),
            healthcheck=_healthcheck(run.Healthcheck),
        )


def parse_document(data: bytes, subject: str) -> Index | Manifest:
    """Return what ``data`` is; one that could be read as both is refused (CVE-2021-41190)."""
    document = _load(data, subject, MAX_MANIFEST)
    if "manifests" in document and ("layers" in document or "config" in document):
        raise _refused(subject, "it is an index and a manifest at once")
    if document.get("schemaVersion") == 1 or "fsLayers" in document:
        raise _refused(subject, "it is of schema 1, which nobody can verify")
    try:
        found = (Index if "manifests" in document else Manifest).model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "too_long" and "layers" in first["loc"]:
            check_count(len(document.get("layers", ())), subject)
        raise _refused(subject, _first(error)) from error
    if found.mediaType in ACCEPTED and isinstance(found, Index) != (found.mediaType in _INDEXES):
        raise _refused(subject, f"it calls itself {found.mediaType}, which it is not")
    return found


def check_type(data: bytes, content_type: str, subject: str) -> None:
    """Raise InvalidError when a document is not what the header around it says."""
    told = content_type.partition(";")[0].strip().lower()
    found = parse_document(data, subject)
    if told in ACCEPTED:
        agrees = isinstance(found, Index) == (told in _INDEXES)
        if not agrees or (found.mediaType and found.mediaType != told):
            raise _refused(subject, f"it is called {told} and is {found.mediaType or 'another'}")
    elif told not in ("", "application/json", "text/plain", "application/octet-stream"):
        raise _refused(subject, f"it is of the kind `{told[:80]}`")


def check_layers(manifest: Manifest, config: "Config", subject: str) -> None:
    """Raise InvalidError for layers that are not what the configuration says, or elsewhere."""
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise _refused(
            subject,
            f"it has {len(manifest.layers)} layers and {len(config.rootfs.diff_ids)} diff ids",
        )
    check_count(len(manifest.layers), subject)
    foreign = next((one for one in manifest.layers if one.foreign), None)
    if foreign is not None:
        raise _refused(
            subject, f"the layer {foreign.digest} is not in the registry but behind other addresses"
        )


def check_count(layers: int, subject: str) -> None:
    """Raise InvalidError for an image of so many layers that none or not all can be mounted."""
    if not layers:
        raise _refused(subject, "it has no layers: there is nothing to run")
    if layers > MAX_LAYERS:
        raise InvalidError(
            "read manifest",
            subject,
            f"it has {layers} layers, and at most {MAX_LAYERS} can be mounted",
            code="layer_count",
        )


def parse_config(data: bytes, subject: str) -> Config:
    """Return an image's configuration."""
    try:
        return Config.model_validate(_load(data, subject, MAX_CONFIG))
    except ValidationError as error:
        raise InvalidError(
            "read image configuration", subject, _first(error), code="image_config"
        ) from error


def choose_platform(index: Index, subject: str, wanted: Platform | None = None) -> Descriptor:
    """Return the image of an index for ``wanted``, else for this machine.

    The highest variant that machine runs, then one that names none; the first of several
    equal ones. Raises InvalidError naming what is offered.
    """
    wanted = wanted or this_platform()
    best: tuple[int, Descriptor] | None = None
    for entry in index.manifests:
        if entry.mediaType in _INDEXES:
            continue
        rank = suits(entry.platform, wanted)
        if rank is not None and (best is None or rank > best[0]):
            best = rank, entry
    if best is not None:
        return best[1]
    offered = sorted({str(entry.platform or "") for entry in index.manifests} - {""})
    listed = ", ".join(offered) or "nothing that says its platform"
    raise InvalidError(
        "choose image of",
        subject,
        f"there is none for {wanted}, only {listed}",
        code="platform",
    )


def _refused(subject: str, cause: str) -> InvalidError:
    return InvalidError("read manifest", subject, cause, code="manifest")


def _load(data: bytes, subject: str, limit: int) -> Mapping[str, Any]:
    import json

    if len(data) > limit:
        raise _refused(subject, f"it is larger than {limit // 1024**2} MiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused(subject, f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise _refused(subject, "it is no object")
    return document


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    # Keys and values are the image's own words: nothing of them may steer a terminal.
    where = ".".join(str(part) for part in found["loc"])
    told = f"{where[:200]}: {found['msg'].removeprefix('Value error, ')}"
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in told)


def _healthcheck(found: _Health | None) -> ImageHealthcheck | None:
    if found is None or not found.Test:
        return None
    return ImageHealthcheck(
        test=tuple(found.Test),
        interval=found.Interval / 1e9 or None,
        timeout=found.Timeout / 1e9 or None,
        retries=found.Retries or None,
        start_period=found.StartPeriod / 1e9 or None,
        start_interval=found.StartInterval / 1e9 or None,
    )
