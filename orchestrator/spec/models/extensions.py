"""What only pyorch understands: ``x-pyorch``, at the top and in services. Strict both ways."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.spec.models.base import Duration, Size, Whole

MOST_LOGS = 4 * 1024**3
"""Bytes of logs a stack keeps where its file does not say."""


class Extension(BaseModel):
    """Closed to the last key: a spelling mistake here is noticed by nobody else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BackoffExtension(Extension):
    """``services.*.x-pyorch.backoff``."""

    delay: Duration = Field(
        default=0.1, description="The pause before the second restart in a row; it doubles."
    )
    max_delay: Duration = Field(default=60.0, description="What no pause is longer than.")
    reset_after: Duration = Field(
        default=10.0, description="How long a run must last for restarts to be counted anew."
    )


class Ceiling(Extension):
    """``x-pyorch.resources``."""

    cpus: float = Field(default=0, allow_inf_nan=False, description="Cores they may use together.")
    memory: Size = Field(default=0, description="Memory they may have together.")
    pids: Whole = Field(default=0, description="Processes they may have together.")


class RatesExtension(Extension):
    """``services.*.x-pyorch.rates``: bytes a second, on each network of each replica."""

    receive: Size = Field(default=0, ge=0, description="What a replica may receive in a second.")
    send: Size = Field(default=0, ge=0, description="What a replica may send in a second.")


class ServiceExtension(Extension):
    """``services.*.x-pyorch``."""

    dns: Literal["ready", "all"] = Field(
        default="ready",
        description="Which replicas answer to its name: those that are ready, or all.",
    )

    backoff: BackoffExtension = Field(
        default=BackoffExtension(), description="The pauses before restarts in a row."
    )
    quarantine: int | None = Field(
        default=None, ge=1, description="Restarts in a row after which it is left alone."
    )
    rates: RatesExtension = Field(
        default=RatesExtension(), description="What goes over the network, at most."
    )
    priority: Whole = Field(
        default=0,
        description="Who is started first where reservations do not all fit: the higher one.",
    )


class StackExtension(Extension):
    """Top-level ``x-pyorch``."""

    logs: Size = Field(
        default=MOST_LOGS,
        ge=0,
        description="What the logs of all replicas may take on the disk together; 0: no cap.",
    )
    resources: Ceiling = Field(
        default=Ceiling(), description="What all containers of the stack may use together."
    )
