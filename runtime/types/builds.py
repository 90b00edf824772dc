"""Builds of images."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """How to make one image from a Dockerfile and the contexts that come with it."""

    names: tuple[str, ...]
    """References the image gets; the first one is what it is called."""
    dockerfile: str
    """The text itself."""
    contexts: tuple[str, ...] = ("",)
    """Names of the contexts that are sent, in the order of their folders; the main one has none."""
    image_contexts: Mapping[str, str] = field(default_factory=dict)
    """Further contexts that are images: name and reference."""
    platforms: tuple[str, ...] = ()
    """``os/architecture[/variant]`` it may be built for; anything where none is named."""
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Private keys for ``RUN --mount=type=ssh``, by id."""
    no_cache: bool = False
    pull: bool = False
    """Ask the registries for the base images although they are here."""
    hosts: tuple[str, ...] = ()
    """Further names steps can look up: ``name:address``."""
    shm_size: int | None = None
    memory: int | None = None
    ulimits: tuple[str, ...] = ()
    """``name=soft[:hard]``."""
    netns: str = ""
    """Path of the network namespace of its steps; nothing for the host's own."""
    offline: bool = False
    """Its steps reach nobody; ``netns`` counts for nothing then."""
    nameservers: tuple[str, ...] = ()
    """Whom its steps ask for names; none for the host's own servers."""
