"""Networks and sandboxes as plain data for the run directory, and back."""

from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from runtime.types import (
    Attachment,
    ContainerId,
    GatewayMode,
    NetworkConfig,
    NetworkId,
    NetworkKind,
    SandboxConfig,
    Subnet,
)


def write_network(config: NetworkConfig) -> dict[str, Any]:
    """Return a network as it is written down."""
    return {
        "id": config.id,
        "subnets": [
            {
                "net": str(one.net),
                "gateway": str(one.gateway),
                "mode": one.mode.value,
                "masquerade": one.masquerade,
                "source": str(one.source) if one.source else None,
            }
            for one in config.subnets
        ],
        "internal": config.internal,
        "kind": config.kind.value,
        "parent": config.parent,
        "submode": config.submode,
        "bridge": config.bridge,
        "mtu": config.mtu,
        "between": config.between,
        "trusted": list(config.trusted),
        "labels": dict(config.labels),
    }


def read_network(document: dict[str, Any]) -> NetworkConfig:
    """Return the network a document was written from."""
    return NetworkConfig(
        id=NetworkId(document["id"]),
        subnets=tuple(
            Subnet(
                net=ip_network(one["net"]),
                gateway=ip_address(one["gateway"]),
                mode=GatewayMode(one["mode"]),
                masquerade=one["masquerade"],
                source=ip_address(one["source"]) if one["source"] else None,
            )
            for one in document["subnets"]
        ),
        internal=document["internal"],
        kind=NetworkKind(document["kind"]),
        parent=document["parent"],
        submode=document["submode"],
        bridge=document["bridge"],
        mtu=document["mtu"],
        between=document["between"],
        trusted=tuple(document["trusted"]),
        labels=document["labels"],
    )


def write_sandbox(config: SandboxConfig) -> dict[str, Any]:
    """Return a sandbox as it is written down."""
    return {
        "id": config.id,
        "attachments": [
            {
                "network": place.network,
                "addresses": [str(address) for address in place.addresses],
                "interface": place.interface,
                "mac": place.mac,
                "gateway_priority": place.gateway_priority,
                "further": [str(address) for address in place.further],
                "sysctls": [list(pair) for pair in place.sysctls],
            }
            for place in config.attachments
        ],
    }


def read_sandbox(document: dict[str, Any]) -> SandboxConfig:
    """Return the sandbox a document was written from."""
    return SandboxConfig(
        id=ContainerId(document["id"]),
        attachments=tuple(
            Attachment(
                network=NetworkId(place["network"]),
                addresses=tuple(ip_address(address) for address in place["addresses"]),
                interface=place["interface"],
                mac=place["mac"],
                gateway_priority=place["gateway_priority"],
                further=tuple(ip_interface(address) for address in place["further"]),
                sysctls=tuple((path, value) for path, value in place["sysctls"]),
            )
            for place in document["attachments"]
        ),
    )
