"""Which port of the host serves each published port of a service."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.actions import LeasePort
from scheduler.desired import DesiredService, Port
from scheduler.ids import StackName
from scheduler.observed import HostListener, ObservedStack, PortLease

EPHEMERAL = range(49153, 65536)
ANY = {"", "0.0.0.0", "::"}


@dataclass(frozen=True, slots=True)
class PortTaken:
    """A published port that cannot be had, and who has it; nobody where there is none such."""

    port: int
    holder: str

    def __str__(self) -> str:
        if not self.holder:
            return f"port {self.port} cannot be published: this kernel has no SCTP"
        return f"port {self.port} is in use by {self.holder}"


def lease_ports(
    stack: StackName,
    service: DesiredService,
    observed: ObservedStack,
    promised: Iterable[PortLease],
) -> tuple[list[LeasePort], list[PortTaken]]:
    """Return the leases to take for ``service``, and what stands in the way of others.

    Ports leased before are kept. ``promised`` are those this plan hands out already.
    """
    leases: list[LeasePort] = []
    refused: list[PortTaken] = []
    mine = [
        lease for lease in observed.ports if (lease.stack, lease.service) == (stack, service.name)
    ]
    held: list[PortLease] = [*observed.ports, *promised]
    for port in service.ports:
        if port.protocol not in observed.protocols:
            refused.append(PortTaken(port.target, ""))
            continue
        kept = next((lease for lease in mine if _serves(lease, port)), None)
        if kept is not None:
            mine.remove(kept)
            continue
        chosen, holder = _choose(stack, service, port, held, observed.listeners)
        if chosen is None:
            refused.append(PortTaken(port.host_ports[0] if port.host_ports else 0, holder))
            continue
        leases.append(
            LeasePort(
                service=service.name,
                target=port.target,
                protocol=port.protocol,
                host_ip=port.host_ip,
                host_port=chosen,
            )
        )
        held.append(
            PortLease(
                stack=stack,
                service=service.name,
                host_ip=port.host_ip,
                host_port=chosen,
                protocol=port.protocol,
                target=port.target,
            )
        )
    return leases, refused


def _serves(lease: PortLease, port: Port) -> bool:
    return (lease.target, lease.protocol, lease.host_ip) == (
        port.target,
        port.protocol,
        port.host_ip,
    ) and (not port.host_ports or lease.host_port in port.host_ports)


def _choose(
    stack: StackName,
    service: DesiredService,
    port: Port,
    held: Iterable[PortLease],
    listeners: Iterable[HostListener],
) -> tuple[int | None, str]:
    taken: dict[int, str] = {}
    for listener in listeners:
        if listener.protocol == port.protocol and _meets(listener.address, port.host_ip):
            taken[listener.port] = listener.holder
    for lease in held:
        if lease.protocol == port.protocol and _overlap(lease.host_ip, port.host_ip):
            taken[lease.host_port] = f"service `{lease.service}` of stack `{lease.stack}`"
    candidates: Iterable[int] = port.host_ports
    if not port.host_ports:
        name = f"{stack}.{service.name}.{port.target}/{port.protocol}"
        start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        count = len(EPHEMERAL)
        candidates = (EPHEMERAL[(start + step) % count] for step in range(count))
    holder = "every port of the range is in use"
    for candidate in candidates:
        if candidate not in taken:
            return candidate, ""
        holder = taken[candidate]
    return None, holder


def _overlap(one: str, other: str) -> bool:
    """Whether two addresses that ports are published on have any in common."""
    if one == other or not (one and other):
        return True
    return (":" in one) == (":" in other) and bool(ANY & {one, other})


def _meets(listener: str, host_ip: str) -> bool:
    # A socket of all IPv6 addresses has those of IPv4 as well, unless it was told not to.
    return listener == "::" or _overlap(listener, host_ip)
