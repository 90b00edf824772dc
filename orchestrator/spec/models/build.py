"""How an image is built, and what is watched while it is being worked on."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from orchestrator.spec.models.base import (
    Hosts,
    Labels,
    Pairs,
    Size,
    SpecModel,
    Text,
    Texts,
    Truth,
    Words,
)
from orchestrator.spec.models.mounts import FileMount, Ulimits


def _agents(value: Any) -> Any:
    if isinstance(value, list | tuple):
        pairs = (str(entry).partition("=") for entry in value)
        return {key: path if given else None for key, given, path in pairs}
    return value


def _agent_lines(agents: dict[str, str | None]) -> list[str]:
    return [name if path is None else f"{name}={path}" for name, path in agents.items()]


Agents = Annotated[
    dict[str, str | None],
    BeforeValidator(_agents),
    PlainSerializer(_agent_lines, return_type=list[str], when_used="json"),
]


class Build(SpecModel):
    """``services.*.build``: how to make the service's image."""

    context: str = Field(default="", description="Directory or URL the build sees.")
    dockerfile: str = Field(
        default="", description="Path of the Dockerfile, relative to the context."
    )
    dockerfile_inline: str = Field(default="", description="The Dockerfile's text itself.")
    entitlements: Texts = Field(default=(), description="Extra privileges the build is granted.")
    args: Pairs = Field(default={}, description="Variables of the build.")
    ssh: Agents = Field(default={}, description="SSH agents and keys the build may use.")
    labels: Labels = Field(default={}, description="Labels of the image.")
    cache_from: Texts = Field(default=(), description="Where cached layers may be taken from.")
    cache_to: Texts = Field(default=(), description="Where cached layers are written to.")
    no_cache: Truth = Field(default=False, description="Build every stage anew.")
    no_cache_filter: Texts = Field(default=(), description="Stages that are always built anew.")
    additional_contexts: Labels = Field(default={}, description="Further contexts, by name.")
    pull: Truth = Field(default=False, description="Look for newer base images.")
    extra_hosts: Hosts = Field(default=(), description="Host names the build can look up.")
    isolation: str = Field(default="", description="How the build is isolated (Windows).")
    network: str = Field(default="", description="Network of the build's steps.")
    target: str = Field(default="", description="Stage of the Dockerfile to build.")
    secrets: tuple[FileMount, ...] = Field(default=(), description="Secrets the build can read.")
    shm_size: Size = Field(default=0, description="Size of the build's /dev/shm.")
    tags: Texts = Field(default=(), description="Further names of the image.")
    ulimits: Ulimits = Field(default={}, description="Limits of the build's processes.")
    platforms: Texts = Field(default=(), description="Platforms to build for.")
    privileged: Truth = Field(default=False, description="Build with all privileges.")
    provenance: Text = Field(default="", description="Attestation of how the image was built.")
    sbom: Text = Field(default="", description="Attestation of what is in the image.")


class Hook(SpecModel):
    """A command run at a point of a container's life (``post_start``, ``pre_stop``)."""

    command: Words | None = Field(default=None, description="What to run.")
    user: Text = Field(default="", description="Who runs it.")
    privileged: Truth = Field(default=False, description="Run it with all privileges.")
    working_dir: str = Field(default="", description="Where it runs.")
    environment: Pairs = Field(default={}, description="Its variables, besides the container's.")


class InitHook(Hook):
    """``services.*.pre_start[]``: a container that runs to its end before the service starts."""

    image: str = Field(default="", description="Its image; the service's own where none is given.")
    per_replica: Truth = Field(default=False, description="Run it for every replica.")


class WatchRule(SpecModel):
    """``services.*.develop.watch[]``: what to do when files change."""

    path: str = Field(default="", description="What is watched.")
    action: Literal["rebuild", "sync", "restart", "sync+restart", "sync+exec"] = Field(
        description="What is done."
    )
    target: str = Field(default="", description="Where files go in the container.")
    exec: Hook = Field(default=Hook(), description="What runs after files were copied.")
    ignore: Texts = Field(default=(), description="Patterns of what is not watched.")
    include: Texts = Field(default=(), description="Patterns of what is watched only.")
    initial_sync: Truth = Field(default=False, description="Copy files when watching begins.")


class Develop(SpecModel):
    """``services.*.develop``: help while the image is being worked on."""

    watch: tuple[WatchRule, ...] = Field(default=(), description="What to do when files change.")
