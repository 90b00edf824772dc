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

    context: str = Field("", description="Directory or URL the build sees.")
    dockerfile: str = Field("", description="Path of the Dockerfile, relative to the context.")
    dockerfile_inline: str = Field("", description="The Dockerfile's text itself.")
    entitlements: Texts = Field((), description="Extra privileges the build is granted.")
    args: Pairs = Field({}, description="Variables of the build.")
    ssh: Agents = Field({}, description="SSH agents and keys the build may use.")
    labels: Labels = Field({}, description="Labels of the image.")
    cache_from: Texts = Field((), description="Where cached layers may be taken from.")
    cache_to: Texts = Field((), description="Where cached layers are written to.")
    no_cache: Truth = Field(default=False, description="Build every stage anew.")
    no_cache_filter: Texts = Field((), description="Stages that are always built anew.")
    additional_contexts: Labels = Field({}, description="Further contexts, by name.")
    pull: Truth = Field(default=False, description="Look for newer base images.")
    extra_hosts: Hosts = Field((), description="Host names the build can look up.")
    isolation: str = Field("", description="How the build is isolated (Windows).")
    network: str = Field("", description="Network of the build's steps.")
    target: str = Field("", description="Stage of the Dockerfile to build.")
    secrets: tuple[FileMount, ...] = Field((), description="Secrets the build can read.")
    shm_size: Size = Field(0, description="Size of the build's /dev/shm.")
    tags: Texts = Field((), description="Further names of the image.")
    ulimits: Ulimits = Field({}, description="Limits of the build's processes.")
    platforms: Texts = Field((), description="Platforms to build for.")
    privileged: Truth = Field(default=False, description="Build with all privileges.")
    provenance: Text = Field("", description="Attestation of how the image was built.")
    sbom: Text = Field("", description="Attestation of what is in the image.")


class Hook(SpecModel):
    """A command run at a point of a container's life (``post_start``, ``pre_stop``)."""

    command: Words | None = Field(None, description="What to run.")
    user: Text = Field("", description="Who runs it.")
    privileged: Truth = Field(default=False, description="Run it with all privileges.")
    working_dir: str = Field("", description="Where it runs.")
    environment: Pairs = Field({}, description="Its variables, besides the container's.")


class InitHook(Hook):
    """``services.*.pre_start[]``: a container that runs to its end before the service starts."""

    image: str = Field("", description="Its image; the service's own where none is given.")
    per_replica: Truth = Field(default=False, description="Run it for every replica.")


class WatchRule(SpecModel):
    """``services.*.develop.watch[]``: what to do when files change."""

    path: str = Field("", description="What is watched.")
    action: Literal["rebuild", "sync", "restart", "sync+restart", "sync+exec"] = Field(
        description="What is done."
    )
    target: str = Field("", description="Where files go in the container.")
    exec: Hook = Field(Hook(), description="What runs after files were copied.")
    ignore: Texts = Field((), description="Patterns of what is not watched.")
    include: Texts = Field((), description="Patterns of what is watched only.")
    initial_sync: Truth = Field(default=False, description="Copy files when watching begins.")


class Develop(SpecModel):
    """``services.*.develop``: help while the image is being worked on."""

    watch: tuple[WatchRule, ...] = Field((), description="What to do when files change.")
