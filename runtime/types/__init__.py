"""The runtime's own nouns: what a driver is given, and what it reports.

Plain frozen values. Times are seconds on ``CLOCK_BOOTTIME`` unless a name says ``wall``
(seconds since the epoch, for display only); sizes are bytes; addresses are the standard
library's :mod:`ipaddress` objects.
"""

from runtime.types.builds import BuildConfig
from runtime.types.containers import (
    MONITOR_DIED,
    ContainerConfig,
    ContainerFacts,
    ContainerPhase,
    Created,
    Device,
    ExecConfig,
    Exited,
    IoKind,
    IoRate,
    Limits,
    LogConfig,
    LogDriver,
    Mount,
    MountKind,
    ProbeOutput,
    Running,
)
from runtime.types.images import (
    Freed,
    ImageConfig,
    ImageDamage,
    ImageFacts,
    ImageHealthcheck,
    PullProgress,
)
from runtime.types.instance import Instance
from runtime.types.machine import Finding, HostFacts, Verdict
from runtime.types.names import Address, ContainerId, Digest, Net, NetworkId, VolumeId, overlap
from runtime.types.networks import (
    Alias,
    Attachment,
    Exposure,
    GatewayMode,
    Listener,
    NamedAddresses,
    NetworkConfig,
    NetworkFacts,
    NetworkKind,
    PublishedPort,
    SandboxConfig,
    SandboxFacts,
    Subnet,
    Zone,
)
from runtime.types.volumes import VolumeConfig, VolumeFacts

__all__ = [
    "MONITOR_DIED",
    "Address",
    "Alias",
    "Attachment",
    "BuildConfig",
    "ContainerConfig",
    "ContainerFacts",
    "ContainerId",
    "ContainerPhase",
    "Created",
    "Device",
    "Digest",
    "ExecConfig",
    "Exited",
    "Exposure",
    "Finding",
    "Freed",
    "GatewayMode",
    "HostFacts",
    "ImageConfig",
    "ImageDamage",
    "ImageFacts",
    "ImageHealthcheck",
    "Instance",
    "IoKind",
    "IoRate",
    "Limits",
    "Listener",
    "LogConfig",
    "LogDriver",
    "Mount",
    "MountKind",
    "NamedAddresses",
    "Net",
    "NetworkConfig",
    "NetworkFacts",
    "NetworkId",
    "NetworkKind",
    "ProbeOutput",
    "PublishedPort",
    "PullProgress",
    "Running",
    "SandboxConfig",
    "SandboxFacts",
    "Subnet",
    "Verdict",
    "VolumeConfig",
    "VolumeFacts",
    "VolumeId",
    "Zone",
    "overlap",
]
