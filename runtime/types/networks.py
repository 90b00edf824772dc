"""Networks, sandboxes, and who is reached under which name and port."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from runtime.types.names import Address, ContainerId, Net, NetworkId


class NetworkKind(StrEnum):
    """What joins the members of a network."""

    BRIDGE = "bridge"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


class GatewayMode(StrEnum):
    """How addresses of a network get on with the world outside."""

    NAT = "nat"
    """Under the host's address; reached by published ports alone."""
    UNPROTECTED = "nat-unprotected"
    """As before, and every port of every member is reached by its own address."""
    ROUTED = "routed"
    """Under their own addresses; published ports are reached there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A network's addresses of one family, which of them the host has, and how they get out."""

    net: Net
    gateway: Address
    mode: GatewayMode = GatewayMode.NAT
    masquerade: bool = True
    source: Address | None = None
    """The host's address under which members are seen; whichever fits where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """One network. ``labels`` are kept in its record and reported back.

    A bridge has one subnet of each family at most. Members of the other kinds are on
    ``parent``, a link of the host's, themselves, and the host is none of them.
    """

    id: NetworkId
    subnets: tuple[Subnet, ...]
    internal: bool = False
    kind: NetworkKind = NetworkKind.BRIDGE
    parent: str = ""
    submode: str = ""
    """``private``, ``vepa``, ``bridge``, ``passthru``; ``l2``, ``l3``, ``l3s``."""
    bridge: str = ""
    """Name of its link on the host; derived where there is none."""
    mtu: int = 1500
    between: bool = True
    """Whether members reach each other."""
    trusted: tuple[str, ...] = ()
    """Links of the host's from which members are reached by their own addresses."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def of_version(self, version: int) -> Subnet | None:
        """Return the subnet of a family: 4 or 6."""
        return next((one for one in self.subnets if one.net.version == version), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """A network found on the host. ``intact`` is false when its bridge is gone or down."""

    config: NetworkConfig
    intact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A sandbox's place in one network.

    Of those that lead outside the one with the highest ``gateway_priority`` carries the
    default route of each family it has, the first by the network's name where several have it.
    """

    network: NetworkId
    addresses: tuple[Address, ...]
    interface: str
    """Name inside the sandbox, e.g. ``eth0``."""
    mac: str | None = None
    gateway_priority: int = 0
    further: tuple[IPv4Interface | IPv6Interface, ...] = ()
    """Addresses besides, that lead no further than the link."""
    sysctls: tuple[tuple[str, str], ...] = ()
    """Of the interface: a path below ``/proc/sys`` and the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How many bytes a second go each way over each link of a sandbox; None: all that can."""

    receive: int | None = None
    send: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """A network namespace of its own, named after the container it is for."""

    id: ContainerId
    attachments: tuple[Attachment, ...]
    rates: Rates = Rates()
    """They change without another namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFacts:
    """A sandbox found on the host. ``intact`` is false when a link of it is missing."""

    config: SandboxConfig
    netns: Path
    intact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of the host that leads to one of several targets, chosen per connection."""

    host_ip: str
    """``0.0.0.0`` or ``::`` for all addresses of a family, else one address of the host."""
    host_port: int
    protocol: str
    """``tcp``, ``udp`` or ``sctp``."""
    targets: tuple[tuple[Address, int], ...]
    """In order; empty means: refuse until somebody is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAddresses:
    """What one name answers in one network."""

    network: NetworkId
    name: str
    addresses: tuple[Address, ...]
    owner: str = ""
    """Who gave it; the same name may be given by several."""
    primary: bool = False
    """It is what its addresses are called when they are asked for their name."""


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Alias:
    """A further name, and the one it stands for: anybody's, or that of one owner."""

    name: str
    of: str
    owner: str | None = None


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Zone:
    """Whom one resolver answers, and what: members of exactly these networks, their names.

    ``servers`` are asked, in order, for what nobody here is called; where there are none,
    those of the host are.
    """

    networks: tuple[NetworkId, ...]
    servers: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAddress:
    """An address in a network that is nobody's and leads to one of several, by connection."""

    network: NetworkId
    address: Address
    targets: tuple[Address, ...]
    """In order; empty means: refuse until somebody is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Everything that is reachable under a port or a name, in all stacks, at one moment.

    The network driver turns it into one nftables table and the resolvers' files, each
    replaced as a whole. Each of ``zones`` gets a resolver of its own.
    """

    ports: tuple[PublishedPort, ...] = ()
    names: tuple[NamedAddresses, ...] = ()
    zones: tuple[Zone, ...] = ()
    virtual: tuple[VirtualAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A socket on the host that listens, and who holds it (pid 0 where unknown)."""

    protocol: str
    address: str
    port: int
    pid: int
    command: str
