"""Names of links within the kernel's 15 characters, told apart by instance."""

import hashlib
from ipaddress import IPv4Network

from runtime.types import ContainerId, Instance, NetworkId

LINK_LOCAL = IPv4Network("169.254.0.0/16")
"""Where the resolvers of every instance have their addresses."""

ANY_BRIDGE = "pob*"
"""Every instance's bridges, as nft(8) matches names of links."""


def bridge_prefix(instance: Instance) -> str:
    """Return what the name of every bridge of this instance starts with."""
    return f"pob{_hash(instance.name, 3)}"


def bridge_name(instance: Instance, network: NetworkId) -> str:
    """Return the name of a network's bridge."""
    return bridge_prefix(instance) + _hash(network, 8)


def veth_name(instance: Instance, container: ContainerId, network: NetworkId) -> str:
    """Return the name of the host's end of a sandbox's link into a network."""
    return f"pov{_hash(f'{instance.name}/{container}/{network}', 12)}"


def resolver_link(instance: Instance) -> str:
    """Return the name of the link that holds the resolvers' addresses."""
    return f"pod{_hash(instance.name, 8)}"


def _hash(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
