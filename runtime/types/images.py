"""Images, and what happens to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime.types.names import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHealthcheck:
    """``HEALTHCHECK`` of an image; durations in seconds, ``None`` where it does not say."""

    test: tuple[str, ...]
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image says about running it (image-spec, config.md)."""

    environment: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    healthcheck: ImageHealthcheck | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An image in the store. ``layers`` are directories, lowest first, shared by images."""

    id: Digest
    references: tuple[str, ...]
    config: ImageConfig
    layers: tuple[Path, ...]
    size: int
    created_wall: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitConfig:
    """What is said of an image a container's changes become: ``changes`` are instructions."""

    name: str
    comment: str = ""
    author: str = ""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """What a collection took away: images, and bytes of the disk."""

    images: tuple[Digest, ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDamage:
    """Something of an image that is missing or damaged, and what was done about it."""

    image: Digest
    references: tuple[str, ...]
    subject: str
    cause: str
    repaired: bool = False
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull is: one layer, ``done`` of ``total`` bytes."""

    subject: str
    done: int
    total: int
