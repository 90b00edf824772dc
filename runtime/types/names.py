"""How things are named and addressed on this host."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NewType

ContainerId = NewType("ContainerId", str)
"""Names a container and its sandbox on this host, e.g. ``shop.web.2``. Safe as a file name."""

NetworkId = NewType("NetworkId", str)
"""Names a network on this host, e.g. ``shop_front``."""

VolumeId = NewType("VolumeId", str)
"""Names a volume on this host, e.g. ``shop_data``."""

Address = IPv4Address | IPv6Address
Net = IPv4Network | IPv6Network


def overlap(one: Net, other: Net) -> bool:
    """Whether two nets, of whatever families, have addresses in common."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


Digest = NewType("Digest", str)
"""``sha256:<64 hex digits>``, checked before it is made."""
