"""The whole stack, settled: what the client sends and what the daemon checks again."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from orchestrator.spec.models.base import ResourceName, SpecModel, StackName
from orchestrator.spec.models.extensions import StackExtension
from orchestrator.spec.models.resources import AiModel, Config, Network, Secret, Volume
from orchestrator.spec.models.service import Service

MOST_REPLICAS = 1000


def _declared(value: Any) -> Any:
    """Read a resource that is only named as one with nothing to say."""
    if isinstance(value, dict):
        return {name: {} if entry is None else entry for name, entry in value.items()}
    return value


class Origin(SpecModel):
    """Where a stack was loaded from; the client tells the daemon, for programs that ask."""

    directory: str = Field(default="", description="Where relative paths begin.")
    files: tuple[str, ...] = Field(default=(), description="Its files.")
    env_files: tuple[str, ...] = Field(default=(), description="Files of its variables.")


class StackFile(SpecModel):
    """A stack file with everything put in its place; long forms only."""

    name: StackName = Field(description="Name of the stack.")
    services: Annotated[dict[ResourceName, Service], Field(description="What runs.")]
    networks: Annotated[dict[str, Network], BeforeValidator(_declared)] = Field(
        default={}, description="Networks services share."
    )
    volumes: Annotated[dict[ResourceName, Volume], BeforeValidator(_declared)] = Field(
        default={}, description="Volumes services share."
    )
    configs: dict[ResourceName, Config] = Field(default={}, description="Files services can read.")
    secrets: dict[ResourceName, Secret] = Field(
        default={}, description="Files nobody else may read."
    )
    models: dict[str, AiModel] = Field(default={}, description="AI models services use.")
    x_pyorch: StackExtension = Field(
        default=StackExtension(), alias="x-pyorch", description="What only pyorch understands."
    )
    origin: Origin = Field(
        default=Origin(), description="Where it was loaded from; part of no revision."
    )
    recreate: int = Field(
        default=0, description="Part of every revision: another number means new containers."
    )

    def image_of(self, service: str) -> str:
        """Return what a service's image is called; one that is built is named after both."""
        return self.services[service].image or f"{self.name}-{service}"
