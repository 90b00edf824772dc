"""The whole stack, settled: what the client sends and what the daemon checks again."""

from typing import Annotated

from pydantic import Field

from orchestrator.spec.models.base import ResourceName, SpecModel, StackName
from orchestrator.spec.models.extensions import StackExtension
from orchestrator.spec.models.resources import AiModel, Config, Network, Secret, Volume
from orchestrator.spec.models.service import Service

MOST_REPLICAS = 1000


class StackFile(SpecModel):
    """A stack file with everything put in its place; long forms only."""

    name: StackName = Field(description="Name of the stack.")
    services: Annotated[dict[ResourceName, Service], Field(description="What runs.")]
    networks: dict[str, Network] = Field(default={}, description="Networks services share.")
    volumes: dict[ResourceName, Volume] = Field(default={}, description="Volumes services share.")
    configs: dict[ResourceName, Config] = Field(default={}, description="Files services can read.")
    secrets: dict[ResourceName, Secret] = Field(
        default={}, description="Files nobody else may read."
    )
    models: dict[str, AiModel] = Field(default={}, description="AI models services use.")
    x_pyorch: StackExtension = Field(
        default=StackExtension(), alias="x-pyorch", description="What only pyorch understands."
    )
    recreate: int = Field(
        default=0, description="Part of every revision: another number means new containers."
    )

    def image_of(self, service: str) -> str:
        """Return what a service's image is called; one that is built is named after both."""
        return self.services[service].image or f"{self.name}-{service}"
