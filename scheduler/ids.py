"""Names, and how every host-side name follows from stack, service and slot.

Names are derived and never drawn: repeating a half-done action finds its own leftovers.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NewType

Address = IPv4Address | IPv6Address
Net = IPv4Network | IPv6Network

StackName = NewType("StackName", str)
ServiceName = NewType("ServiceName", str)
NetworkName = NewType("NetworkName", str)
"""A network's name on the host, e.g. ``shop_front``."""
VolumeName = NewType("VolumeName", str)
"""A volume's name on the host, e.g. ``shop_data``."""
Revision = NewType("Revision", str)
"""Hash of a settled service; it changes exactly when a new container is needed."""


@dataclass(frozen=True, slots=True, order=True)
class ReplicaId:
    """One numbered slot of a service, 1…N; survives restarts and replacements."""

    service: ServiceName
    slot: int

    def __str__(self) -> str:
        return f"{self.service}.{self.slot}"


def service_slot(service: ServiceName) -> ReplicaId:
    """Return what the addresses of a service as a whole are held by: a slot nobody is in."""
    return ReplicaId(service, 0)


def container_name(stack: StackName, replica: ReplicaId) -> str:
    """Return the host-wide name of what fills a slot, e.g. ``shop.web.2``."""
    return f"{stack}.{replica.service}.{replica.slot}"


def parse_container_name(name: str) -> tuple[StackName, ReplicaId]:
    """Undo :func:`container_name`; stack names hold no dot, slots are the last part.

    Raises ValueError for a name that is none of ours.
    """
    stack, _, rest = name.partition(".")
    service, _, slot = rest.rpartition(".")
    if not (stack and service and slot.isdigit()):
        raise ValueError(f"not a container name: {name!r}")
    return StackName(stack), ReplicaId(ServiceName(service), int(slot))
