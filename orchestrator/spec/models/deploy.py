"""How many replicas of a service there are, what they may use, and how they are replaced."""

from typing import Literal

from pydantic import Field

from orchestrator.spec.models.base import Duration, Labels, Size, SpecModel, Texts, Whole
from orchestrator.spec.models.mounts import DeviceRequest

EVERYWHERE = ("global", "global-job")
JOBS = ("replicated-job", "global-job")
MODES = ("replicated", "global", *JOBS)


class DiscreteResource(SpecModel):
    """``generic_resources[].discrete_resource_spec``."""

    kind: str = Field(default="", description="Name of the resource.")
    value: Whole = Field(default=0, description="How much of it.")


class GenericResource(SpecModel):
    """``deploy.resources.reservations.generic_resources[]``."""

    discrete_resource_spec: DiscreteResource | None = Field(
        default=None, description="A resource that is counted."
    )


class Resource(SpecModel):
    """``deploy.resources.limits`` and ``deploy.resources.reservations``."""

    cpus: float = Field(default=0, allow_inf_nan=False, description="Cores.")
    memory: Size = Field(default=0, description="Bytes.")
    pids: Whole = Field(default=0, description="Processes; limits only.")
    devices: tuple[DeviceRequest, ...] = Field(
        default=(), description="Devices; reservations only."
    )
    generic_resources: tuple[GenericResource, ...] = Field(
        default=(), description="Whatever else is counted; reservations only."
    )


class Resources(SpecModel):
    """``deploy.resources``."""

    limits: Resource | None = Field(default=None, description="What a replica may not exceed.")
    reservations: Resource | None = Field(
        default=None, description="What is set aside for a replica."
    )


class UpdateConfig(SpecModel):
    """``deploy.update_config`` and ``deploy.rollback_config``."""

    parallelism: Whole | None = Field(default=None, description="Replicas replaced at a time.")
    delay: Duration = Field(default=0.0, description="Time between one and the next.")
    failure_action: str = Field(default="", description="What happens when one fails.")
    monitor: Duration | None = Field(
        default=None, description="How long a new replica is watched before it takes part."
    )
    max_failure_ratio: float = Field(
        default=0, allow_inf_nan=False, description="Share of failures that is put up with."
    )
    order: Literal["", "start-first", "stop-first"] = Field(
        default="", description="Whether the new one starts before the old one stops."
    )


class DeployRestart(SpecModel):
    """``deploy.restart_policy``."""

    condition: str = Field(default="", description="`none`, `on-failure` or `any`.")
    delay: Duration | None = Field(default=None, description="The least pause before a restart.")
    max_attempts: Whole | None = Field(default=None, description="How often before giving up.")
    window: Duration | None = Field(
        default=None, description="Time in which attempts are counted; all without."
    )


class Preference(SpecModel):
    """``deploy.placement.preferences[]``."""

    spread: str = Field(default="", description="Label of nodes to spread over.")


class Placement(SpecModel):
    """``deploy.placement``."""

    constraints: Texts = Field(default=(), description="Which nodes are possible.")
    preferences: tuple[Preference, ...] = Field(default=(), description="Which nodes are liked.")
    max_replicas_per_node: Whole = Field(default=0, description="Replicas one node may hold.")


class Deploy(SpecModel):
    """``services.*.deploy``."""

    mode: str = Field(default="", description="`replicated` or `global`, and their jobs.")
    replicas: Whole | None = Field(default=None, description="How many replicas.")
    labels: Labels = Field(default={}, description="Labels of the service, not of its containers.")
    update_config: UpdateConfig | None = Field(
        default=None, description="How replicas are replaced."
    )
    rollback_config: UpdateConfig | None = Field(default=None, description="How that is undone.")
    resources: Resources = Field(default=Resources(), description="What a replica may use.")
    restart_policy: DeployRestart | None = Field(
        default=None, description="When a replica is started again; overrides `restart`."
    )
    placement: Placement = Field(default=Placement(), description="Where replicas may run.")
    endpoint_mode: str = Field(default="", description="`vip` or `dnsrr`.")

    @property
    def is_job(self) -> bool:
        """Whether its replicas run to their end, and are not started again when they succeed."""
        return self.mode in JOBS

    @property
    def everywhere(self) -> bool:
        """Whether there is one replica on every machine: one, here."""
        return self.mode in EVERYWHERE
