"""Indexes, manifests and configurations of images (image-spec), checked as they come in."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from runtime.errors import InvalidError
from runtime.image.reference import parse_digest
from runtime.types import Digest, ImageConfig, ImageHealthcheck

MAX_DOCUMENT = 8 * 1024 * 1024
MAX_LAYERS = 127
"""Overlay mounts take their lower directories in one page of options."""

_ARCHES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}


def _digest(value: object) -> Digest:
    try:
        return parse_digest(str(value))
    except InvalidError as error:
        raise ValueError(str(error)) from None


CheckedDigest = Annotated[str, BeforeValidator(_digest)]


def _empty(value: object) -> object:
    return () if value is None else value


class Platform(BaseModel):
    """What an image of an index is for."""

    os: str = ""
    architecture: str = ""
    variant: str = ""


class Descriptor(BaseModel):
    """A reference to content: what it is, its digest, its size."""

    mediaType: str = ""  # noqa: N815 - image-spec's own name
    digest: CheckedDigest
    size: int = Field(ge=0)
    platform: Platform | None = None
    annotations: dict[str, str] = {}


class Index(BaseModel):
    """Several images under one name, for several platforms."""

    manifests: list[Descriptor] = Field(max_length=1000)


class Manifest(BaseModel):
    """One image: its configuration and its layers, lowest first."""

    config: Descriptor
    layers: list[Descriptor] = Field(max_length=MAX_LAYERS)


class _Health(BaseModel):
    Test: list[str] | None = None
    Interval: int = 0
    Timeout: int = 0
    StartPeriod: int = 0
    StartInterval: int = 0
    Retries: int = 0


class _RunConfig(BaseModel):
    Env: Annotated[list[str], BeforeValidator(_empty)] = []
    Entrypoint: Annotated[list[str], BeforeValidator(_empty)] = []
    Cmd: Annotated[list[str], BeforeValidator(_empty)] = []
    User: str = ""
    WorkingDir: str = ""
    StopSignal: str = ""
    Volumes: dict[str, Any] | None = None
    ExposedPorts: dict[str, Any] | None = None
    Labels: dict[str, str] | None = None
    Shell: list[str] | None = None
    Healthcheck: _Health | None = None


class _RootFs(BaseModel):
    diff_ids: list[CheckedDigest] = []


class Config(BaseModel):
    """An image's configuration document."""

    config: Annotated[_RunConfig, BeforeValidator(lambda value: value or {})] = _RunConfig()
    rootfs: _RootFs = _RootFs()

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
    document = _load(data, subject)
    if "manifests" in document and "layers" in document:
        raise InvalidError("read manifest", subject, "it is an index and a manifest at once")
    try:
        if "manifests" in document:
            return Index.model_validate(document)
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise InvalidError("read manifest", subject, _first(error)) from error


def parse_config(data: bytes, subject: str) -> Config:
    """Return an image's configuration."""
    try:
        return Config.model_validate(_load(data, subject))
    except ValidationError as error:
        raise InvalidError("read image configuration", subject, _first(error)) from error


def choose_platform(index: Index, subject: str) -> Descriptor:
    """Return the image of an index for this machine; the first of several."""
    wanted = _ARCHES.get(os.uname().machine, os.uname().machine)
    offered = []
    for entry in index.manifests:
        platform = entry.platform
        if platform is None or (platform.os in ("", "linux") and platform.architecture == wanted):
            return entry
        offered.append(f"{platform.os}/{platform.architecture}")
    raise InvalidError(
        "choose image of", subject, f"there is none for linux/{wanted}, only {', '.join(offered)}"
    )


def _load(data: bytes, subject: str) -> Mapping[str, Any]:
    import json

    if len(data) > MAX_DOCUMENT:
        raise InvalidError("read document", subject, "it is larger than 8 MiB")
    try:
        document = json.loads(data)
    except ValueError as error:
        raise InvalidError("read document", subject, f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidError("read document", subject, "it is no object")
    return document


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"


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
