"""Networks and sandboxes as plain data for the run directory, and back."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from runtime.types import Attachment, ContainerId, NetworkConfig, NetworkId, SandboxConfig


def write_network(config: NetworkConfig) -> dict[str, Any]:
    """Return a network as it is written down."""
    return {
        "id": config.id,
        "subnet": str(config.subnet),
        "gateway": str(config.gateway),
        "internal": config.internal,
        "mtu": config.mtu,
        "labels": dict(config.labels),
    }


def read_network(document: dict[str, Any]) -> NetworkConfig:
    """Return the network a document was written from."""
    return NetworkConfig(
        id=NetworkId(document["id"]),
        subnet=IPv4Network(document["subnet"]),
        gateway=IPv4Address(document["gateway"]),
        internal=document["internal"],
        mtu=document["mtu"],
        labels=document["labels"],
    )


def write_sandbox(config: SandboxConfig) -> dict[str, Any]:
    """Return a sandbox as it is written down."""
    return {
        "id": config.id,
        "attachments": [
            {
                "network": place.network,
                "address": str(place.address),
                "interface": place.interface,
                "mac": place.mac,
            }
            for place in config.attachments
        ],
        "sysctls": dict(config.sysctls),
    }


def read_sandbox(document: dict[str, Any]) -> SandboxConfig:
    """Return the sandbox a document was written from."""
    return SandboxConfig(
        id=ContainerId(document["id"]),
        attachments=tuple(
            Attachment(
                network=NetworkId(place["network"]),
                address=IPv4Address(place["address"]),
                interface=place["interface"],
                mac=place["mac"],
            )
            for place in document["attachments"]
        ),
        sysctls=document["sysctls"],
    )
