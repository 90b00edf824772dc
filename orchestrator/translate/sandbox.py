"""A replica's addresses → the sandbox it lives in: interfaces, their names and what is on them."""

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from orchestrator.spec import models
from orchestrator.translate.limits import rates_of
from orchestrator.translate.network import interface_prefix
from runtime.types import Attachment, ContainerId, NetworkId, SandboxConfig
from scheduler.actions import Addresses
from scheduler.desired import DesiredService, Membership
from scheduler.ids import Address, ReplicaId, StackName, container_name

ENDPOINT = "com.docker.network.endpoint."
HERE = "IFNAME"
"""How settings of an endpoint call its interface."""


def build_sandbox(
    model: models.StackFile,
    service: DesiredService,
    stack: StackName,
    replica: ReplicaId,
    addresses: Addresses,
) -> SandboxConfig:
    """Return the sandbox of a replica."""
    given = model.services[service.name]
    places = [_given(model, given, place) for place in service.networks]
    names = _interfaces(places)
    found = []
    for number, (membership, (_, place)) in enumerate(zip(service.networks, places, strict=True)):
        mac = place.mac_address or (given.mac_address if number == 0 else "")
        found.append(
            Attachment(
                network=NetworkId(membership.network),
                addresses=_of(membership, addresses),
                interface=names[number],
                mac=mac.lower().replace("-", ":") or None,
                gateway_priority=membership.gateway_priority,
                further=tuple(_link_local(one) for one in place.link_local_ips),
                sysctls=_sysctls(place, names[number]),
            )
        )
    return SandboxConfig(
        id=ContainerId(container_name(stack, replica)),
        # A network that nobody could make yet has given no address.
        attachments=tuple(place for place in found if place.addresses),
        rates=rates_of(given),
    )


def _given(
    model: models.StackFile, service: models.Service, membership: Membership
) -> tuple[models.Network, models.ServiceNetwork]:
    for key, place in service.networks.items():
        if model.networks[key].name == membership.network:
            return model.networks[key], place
    return models.Network(), models.ServiceNetwork()


def _interfaces(places: Iterable[tuple[models.Network, models.ServiceNetwork]]) -> list[str]:
    """Return a name for each: its own, else the next of its network's that nobody has."""
    wanted = [
        place.interface_name or place.driver_opts.get(f"{ENDPOINT}ifname", "")
        for _, place in places
    ]
    found: list[str] = []
    for name, (network, _) in zip(wanted, places, strict=True):
        prefix = interface_prefix(network)
        numbers = (f"{prefix}{number}" for number in range(len(wanted)))
        free = (one for one in numbers if one not in found and one not in wanted)
        found.append(name or next(free))
    return found


def _of(membership: Membership, addresses: Addresses) -> tuple[Address, ...]:
    return tuple(address for network, address in addresses if network == membership.network)


def _link_local(text: str) -> IPv4Interface | IPv6Interface:
    return ip_interface(f"{text}/{16 if ip_address(text).version == 4 else 64}")


def _sysctls(place: models.ServiceNetwork, interface: str) -> tuple[tuple[str, str], ...]:
    found = []
    for entry in place.driver_opts.get(f"{ENDPOINT}sysctls", "").split(","):
        name, _, value = entry.strip().partition("=")
        if name:
            parts = [interface if part == HERE else part for part in name.split(".")]
            found.append(("/".join(parts), value))
    return tuple(found)
