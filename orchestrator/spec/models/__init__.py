"""The settled stack file: one model per mapping of the Compose Specification, long forms only.

These models are what the client sends and what the daemon checks again. Durations are
seconds, sizes bytes; contents of files are carried in them. What a value *means* is decided
further down.
"""

from orchestrator.spec.models.build import Build, Develop, Hook, InitHook, WatchRule
from orchestrator.spec.models.deploy import (
    Deploy,
    DeployRestart,
    Placement,
    Resource,
    Resources,
    UpdateConfig,
)
from orchestrator.spec.models.extensions import (
    CarriedExtension,
    ProbeExtension,
    ServiceExtension,
    StackExtension,
)
from orchestrator.spec.models.mounts import Device, DeviceRequest, FileMount, Mount, Ulimit
from orchestrator.spec.models.resources import AiModel, Config, Ipam, Network, Secret, Volume
from orchestrator.spec.models.service import (
    BlkioConfig,
    Dependency,
    Healthcheck,
    Logging,
    Port,
    Service,
    ServiceNetwork,
)
from orchestrator.spec.models.stack import Origin, StackFile

__all__ = [
    "AiModel",
    "BlkioConfig",
    "Build",
    "CarriedExtension",
    "Config",
    "Dependency",
    "Deploy",
    "DeployRestart",
    "Develop",
    "Device",
    "DeviceRequest",
    "FileMount",
    "Healthcheck",
    "Hook",
    "InitHook",
    "Ipam",
    "Logging",
    "Mount",
    "Network",
    "Origin",
    "Placement",
    "Port",
    "ProbeExtension",
    "Resource",
    "Resources",
    "Secret",
    "Service",
    "ServiceExtension",
    "ServiceNetwork",
    "StackExtension",
    "StackFile",
    "Ulimit",
    "UpdateConfig",
    "Volume",
    "WatchRule",
]
