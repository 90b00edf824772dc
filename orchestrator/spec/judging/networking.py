"""What a stack may say of networks, addresses and ports and is not carried out. Pure."""

import re
from collections.abc import Callable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from orchestrator.spec.models import Network, Port, Service, ServiceNetwork, StackFile
from orchestrator.spec.models.resources import IpamConfig
from orchestrator.spec.tree import Path, Refusal

NETWORK_OPTIONS = {
    *(f"com.docker.network.bridge.gateway_mode_ipv{version}" for version in (4, 6)),
    *(f"com.docker.network.host_ipv{version}" for version in (4, 6)),
    "com.docker.network.bridge.enable_icc",
    "com.docker.network.bridge.enable_ip_masquerade",
    "com.docker.network.bridge.host_binding_ipv4",
    "com.docker.network.bridge.name",
    "com.docker.network.bridge.trusted_host_interfaces",
    "com.docker.network.container_iface_prefix",
    "com.docker.network.driver.mtu",
    "ipvlan_mode",
    "macvlan_mode",
    "parent",
}
"""Options of networks that are carried out."""
ENDPOINT_OPTIONS = {
    "com.docker.network.endpoint.ifname",
    "com.docker.network.endpoint.sysctls",
}
"""Options of a service's place in a network that are carried out."""
SHARED = ("macvlan", "ipvlan")
"""Drivers of networks whose members are on a link of the host's themselves."""

KINDS = ("", "bridge", "macvlan", "ipvlan")
SUBMODES = {
    "macvlan": ("bridge", "private", "vepa", "passthru"),
    "ipvlan": ("l2", "l3", "l3s"),
}
GATEWAY_MODES = ("nat", "nat-unprotected", "routed")
PROTOCOLS = ("tcp", "udp", "sctp")
INTERFACE = re.compile(r"[^/\s:%]{1,15}")
RESERVED_INTERFACES = (".", "..", "lo", "all", "default")
MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
SYSCTL = re.compile(r"net(\.[a-z0-9_-]+)+\.IFNAME(\.[a-z0-9_-]+)+=[^\s,]*")
SMALLEST_MTU, LARGEST_MTU = 68, 65535
SMALLEST_IPV6_MTU = 1280
OPTION = "com.docker.network."
ENDPOINT = "com.docker.network.endpoint."
TRUTH = ("true", "false", "1", "0", "t", "f")


def networking_refusals(stack: StackFile) -> Iterator[Refusal]:
    """Yield everything about networks, addresses and ports that cannot be carried out."""
    for name, service in stack.services.items():
        path = ("services", name)
        for number, port in enumerate(service.ports):
            yield from _port(port, (*path, "ports", str(number)))
        yield from _service(stack, service, path)
    for name, network in stack.networks.items():
        path = ("networks", name)
        if not network.external:
            yield from _network(network, path)


def networking_warnings(stack: StackFile) -> Iterator[str]:
    """Yield one sentence for everything that is accepted and of which nothing comes."""
    for name, network in stack.networks.items():
        for key in sorted(set(network.driver_opts) - NETWORK_OPTIONS):
            yield f"networks.{name}.driver_opts.{key}: accepted, but nothing is done about it"
        for key in sorted(network.ipam.options):
            yield f"networks.{name}.ipam.options.{key}: accepted, but nothing is done about it"
    for name, service in stack.services.items():
        path = f"services.{name}"
        for key, place in service.networks.items():
            for name_ in sorted(set(place.driver_opts) - ENDPOINT_OPTIONS):
                where = f"{path}.networks.{key}.driver_opts.{name_}"
                yield f"{where}: accepted, but nothing is done about it"
        networks = [stack.networks[key] for key in service.networks if key in stack.networks]
        if service.x_pyorch.rates.receive and any(one.driver in SHARED for one in networks):
            why = "what a macvlan or ipvlan network brings cannot be held back"
            yield f"{path}.x-pyorch.rates.receive: accepted, but {why}"
        if service.ports and networks and all(one.driver in SHARED for one in networks):
            why = "who has an address of its own is reached there, at every port"
            yield f"{path}.ports: accepted, but {why}"
        for number, port in enumerate(service.ports):
            if port.host_ip == "::1":
                why = "nothing that is sent to ::1 leaves the host: it is refused at once"
                yield f"{path}.ports.{number}.host_ip: accepted, but {why}"
            elif ":" in port.host_ip and not any(map(_has_ipv6, networks)):
                why = "the service is on no network with `enable_ipv6: true`"
                yield f"{path}.ports.{number}.host_ip: accepted, but {why}"


def _has_ipv6(network: Network) -> bool:
    subnets = (pool.subnet for pool in network.ipam.config)
    return bool(network.external or network.enable_ipv6 or any(":" in one for one in subnets))


# ── services ─────────────────────────────────────────────────────────────────────────────


def _port(port: Port, path: Path) -> Iterator[Refusal]:
    if not port.target:
        yield (*path, "target"), "must be a port of the container", "ports go from 1 to 65535"
    if port.protocol not in PROTOCOLS:
        yield (*path, "protocol"), f"`{port.protocol}` is not published", "use tcp, udp or sctp"
    first, dash, last = port.published.partition("-")
    numbers = [first, last] if dash else [first] if first else []
    if not all(one.isdigit() and 0 < int(one) < 65536 for one in numbers):
        yield (*path, "published"), f"`{port.published[:40]}` is no port", "write 8080, or 80-90"
    if port.host_ip and not _is(ip_address, port.host_ip):
        yield (*path, "host_ip"), f"`{port.host_ip[:40]}` is no IP address", None


def _service(stack: StackFile, service: Service, path: Path) -> Iterator[Refusal]:
    for server in service.dns:
        if not _is(ip_address, server):
            cause = f"`{server[:60]}` is no IP address"
            yield (*path, "dns"), cause, "name servers are asked by their addresses"
    if service.mac_address:
        yield from _mac(service.mac_address, (*path, "mac_address"))
    used: dict[str, str] = {}
    for key, place in service.networks.items():
        network = stack.networks.get(key, Network())
        where = (*path, "networks", key)
        yield from _place(place, network, where)
        for name in (place.interface_name, place.driver_opts.get(f"{ENDPOINT}ifname", "")):
            if name in used:
                cause = f"`{name}` is the interface of network `{used[name]}`"
                yield (*where, "interface_name"), cause, "use another name"
        name = place.interface_name or place.driver_opts.get(f"{ENDPOINT}ifname", "")
        if name:
            used[name] = key
        if service.replicas > 1 and (place.ipv4_address or place.ipv6_address or place.mac_address):
            cause = f"{service.replicas} replicas cannot have one address"
            yield where, cause, "leave the address out, or scale to 1"
        alone = network.driver in ("host", "none") or (
            network.external and network.name in ("host", "none")
        )
        if alone and len(service.networks) > 1:
            cause = f"network `{network.driver or network.name}` cannot be had beside others"
            yield where, cause, "leave the others out"
    first = min(service.networks.items(), key=lambda one: (-one[1].priority, one[0]), default=None)
    if first and service.mac_address and first[1].mac_address not in ("", service.mac_address):
        cause = f"`mac_address` and that of network `{first[0]}` differ"
        yield (*path, "mac_address"), cause, "keep one"
    if service.mac_address and service.replicas > 1:
        cause = f"{service.replicas} replicas cannot have one address"
        yield (*path, "mac_address"), cause, "leave it out, or scale to 1"


def _place(place: ServiceNetwork, network: Network, path: Path) -> Iterator[Refusal]:
    for key, kind, what in (
        ("ipv4_address", IPv4Address, "IPv4"),
        ("ipv6_address", IPv6Address, "IPv6"),
    ):
        text = getattr(place, key)
        if not text:
            continue
        if not _is(kind, text):
            yield (*path, key), f"`{text[:40]}` is no {what} address", None
            continue
        subnets = [one.subnet for one in network.ipam.config if _is(ip_network, one.subnet)]
        mine = [ip_network(one) for one in subnets if ip_network(one).version == int(what[-1])]
        if not network.external and not any(ip_address(text) in one for one in mine):
            cause = f"`{text}` is in no {what} subnet of the network"
            yield (*path, key), cause, "give the network such a subnet with `ipam.config`"
    for text in place.link_local_ips:
        if not _is(ip_address, text) or not ip_address(text).is_link_local:
            cause = f"`{text[:40]}` is no link-local address"
            yield (*path, "link_local_ips"), cause, "use some of 169.254.0.0/16 or fe80::/64"
    if place.mac_address:
        yield from _mac(place.mac_address, (*path, "mac_address"))
    names: list[tuple[Path, str]] = [
        (("interface_name",), place.interface_name),
        (("driver_opts", f"{ENDPOINT}ifname"), place.driver_opts.get(f"{ENDPOINT}ifname", "")),
    ]
    for where, name in names:
        if name and (not INTERFACE.fullmatch(name) or name in RESERVED_INTERFACES):
            cause = f"`{name[:40]}` is no name for an interface"
            yield (*path, *where), cause, "use at most 15 letters and digits"
    for entry in filter(None, place.driver_opts.get(f"{ENDPOINT}sysctls", "").split(",")):
        if not SYSCTL.fullmatch(entry.strip()):
            cause = f"`{entry[:60]}` is no setting of an interface"
            hint = "write it like net.ipv4.conf.IFNAME.log_martians=1"
            yield (*path, "driver_opts", f"{ENDPOINT}sysctls"), cause, hint


def _mac(text: str, path: Path) -> Iterator[Refusal]:
    if not MAC.fullmatch(text):
        yield path, f"`{text[:40]}` is no hardware address", "write one like 02:42:ac:11:00:02"
    elif int(text[:2], 16) & 1:
        cause = f"`{text}` is an address of several"
        yield path, cause, "the first number must be even"


# ── networks ─────────────────────────────────────────────────────────────────────────────


def _network(network: Network, path: Path) -> Iterator[Refusal]:
    if network.driver in ("host", "none"):
        return
    if network.driver not in KINDS:
        hint = f"use one of {', '.join(filter(None, KINDS))}, host, none"
        yield (*path, "driver"), f"there is no driver `{network.driver}`", hint
    if network.driver in SHARED:
        yield from _shared(network, path)
    if network.ipam.driver not in ("", "default"):
        cause = f"there is no driver of addresses `{network.ipam.driver}`"
        yield (*path, "ipam", "driver"), cause, "leave it out"
    six = network.enable_ipv6 or any(_version(pool) == 6 for pool in network.ipam.config)
    if network.enable_ipv4 is False and not six:
        cause = "a network without IPv4 and without IPv6 has no addresses"
        yield (*path, "enable_ipv4"), cause, "set `enable_ipv6: true`"
    seen: set[int] = set()
    for number, pool in enumerate(network.ipam.config):
        where = (*path, "ipam", "config", str(number))
        yield from _pool(pool, where)
        version = _version(pool)
        if version in seen:
            cause = f"a network has one IPv{version} subnet only"
            yield where, cause, "make another network for the second"
        seen.add(version)
        if version == 6 and network.enable_ipv6 is False:
            yield where, "the network has no IPv6", "leave `enable_ipv6: false` out"
        if version == 4 and network.enable_ipv4 is False:
            yield where, "the network has no IPv4", "leave `enable_ipv4: false` out"
    yield from _options(network, path)


def _shared(network: Network, path: Path) -> Iterator[Refusal]:
    options = (*path, "driver_opts")
    kind = network.driver
    parent = network.driver_opts.get("parent", "")
    if not parent:
        yield options, f"`{kind}` needs the host's link it is on", "write {parent: eth0}"
    elif not INTERFACE.fullmatch(parent):
        yield (*options, "parent"), f"`{parent[:40]}` is no name for a link", None
    mode = network.driver_opts.get(f"{kind}_mode", "")
    if mode and mode not in SUBMODES[kind]:
        hint = f"use one of {', '.join(SUBMODES[kind])}"
        yield (*options, f"{kind}_mode"), f"there is no mode `{mode[:40]}`", hint


def _pool(pool: IpamConfig, path: Path) -> Iterator[Refusal]:
    if pool.subnet and not (_is(IPv4Network, pool.subnet) or _is(IPv6Network, pool.subnet)):
        cause = f"`{pool.subnet[:40]}` is no subnet"
        yield (*path, "subnet"), cause, "write one like 10.5.0.0/24, without bits of a host"
        return
    subnet = ip_network(pool.subnet) if pool.subnet else None
    if subnet is not None and subnet.num_addresses < 4:
        yield (*path, "subnet"), f"`{pool.subnet}` has no room for containers", "make it larger"
    addresses: list[tuple[Path, str]] = [(("gateway",), pool.gateway)]
    addresses += [(("aux_addresses", name), one) for name, one in pool.aux_addresses.items()]
    for key, text in addresses:
        if text and not _is(ip_address, text):
            yield (*path, *key), f"`{text[:40]}` is no IP address", None
        elif text and (subnet is None or ip_address(text) not in subnet):
            yield (*path, *key), f"`{text}` is not in the subnet", "give the `subnet` it is in"
    if pool.ip_range and not _is(ip_network, pool.ip_range):
        yield (*path, "ip_range"), f"`{pool.ip_range[:40]}` is no subnet", None
    elif pool.ip_range and (subnet is None or not _within(pool.ip_range, pool.subnet)):
        cause = f"`{pool.ip_range}` is no part of the subnet"
        yield (*path, "ip_range"), cause, "give the `subnet` it is a part of"


def _options(network: Network, path: Path) -> Iterator[Refusal]:
    options = network.driver_opts
    where = (*path, "driver_opts")
    mtu = options.get(f"{OPTION}driver.mtu", "")
    six = network.enable_ipv6 or any(_version(pool) == 6 for pool in network.ipam.config)
    least = SMALLEST_IPV6_MTU if six else SMALLEST_MTU
    if mtu and not (mtu.isdigit() and least <= int(mtu) <= LARGEST_MTU):
        hint = f"use a number of {least} to {LARGEST_MTU}"
        yield (*where, f"{OPTION}driver.mtu"), f"`{mtu[:40]}` is no size of packets", hint
    for key in ("bridge.name", "container_iface_prefix"):
        name = options.get(OPTION + key, "")
        if name and (not INTERFACE.fullmatch(name) or name in RESERVED_INTERFACES):
            yield (*where, OPTION + key), f"`{name[:40]}` is no name for a link", None
    for key in ("bridge.enable_icc", "bridge.enable_ip_masquerade"):
        text = options.get(OPTION + key, "true")
        if text.lower() not in TRUTH:
            yield (*where, OPTION + key), f"`{text[:40]}` is neither true nor false", None
    for key, kind in (
        ("bridge.host_binding_ipv4", ip_address),
        ("host_ipv4", IPv4Address),
        ("host_ipv6", IPv6Address),
    ):
        text = options.get(OPTION + key, "")
        if text and not _is(kind, text):
            yield (*where, OPTION + key), f"`{text[:40]}` is no such address", None
    for version in (4, 6):
        key = f"{OPTION}bridge.gateway_mode_ipv{version}"
        mode = options.get(key, "nat")
        if mode not in GATEWAY_MODES:
            hint = f"use one of {', '.join(GATEWAY_MODES)}"
            yield (*where, key), f"there is no gateway mode `{mode[:40]}`", hint
    for name in filter(None, options.get(f"{OPTION}bridge.trusted_host_interfaces", "").split(":")):
        if not INTERFACE.fullmatch(name):
            key = f"{OPTION}bridge.trusted_host_interfaces"
            yield (*where, key), f"`{name[:40]}` is no name for a link", "write eth1:eth2"


def _version(pool: IpamConfig) -> int:
    for text in (pool.subnet, pool.gateway, pool.ip_range):
        if text:
            return 6 if ":" in text else 4
    return 4


def _within(inner: str, outer: str) -> bool:
    if ":" in inner:
        return ":" in outer and IPv6Network(inner).subnet_of(IPv6Network(outer))
    return ":" not in outer and IPv4Network(inner).subnet_of(IPv4Network(outer))


def _is(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
