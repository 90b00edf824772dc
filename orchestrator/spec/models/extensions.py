"""What only pyorch understands: ``x-pyorch``, at the top and in services. Strict both ways."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Extension(BaseModel):
    """Closed to the last key: a spelling mistake here is noticed by nobody else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServiceExtension(Extension):
    """``services.*.x-pyorch``."""

    dns: Literal["ready", "all"] = Field(
        default="ready",
        description="Which replicas answer to its name: those that are ready, or all.",
    )


class StackExtension(Extension):
    """Top-level ``x-pyorch``."""
