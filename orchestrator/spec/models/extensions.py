"""What only pyorch understands: ``x-pyorch``, at the top and in services. Strict both ways."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.spec.models.base import Size

MOST_LOGS = 4 * 1024**3
"""Bytes of logs a stack keeps where its file does not say."""


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

    logs: Size = Field(
        default=MOST_LOGS,
        ge=0,
        description="What the logs of all replicas may take on the disk together; 0: no cap.",
    )
