"""``networks.*`` → what the planner and the driver are told of them.

What `driver_opts` mean stands here: options of Docker's bridge driver, under their names there.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from orchestrator.spec.models import Network, Service, StackFile
from orchestrator.translate import labels
from runtime.types import GatewayMode, NetworkConfig, NetworkId, NetworkKind, Subnet
from scheduler import revision_of
from scheduler.actions import CreateNetwork
from scheduler.desired import AddressRange, DesiredNetwork
from scheduler.ids import NetworkName, StackName

BRIDGE = "bridge"
OPTION = "com.docker.network."
DEFAULT_MTU = 1500


def desired_networks(model: StackFile) -> tuple[DesiredNetwork, ...]:
    """Return the networks a stack's services are on."""
    found = [
        DesiredNetwork(
            name=NetworkName(network.name),
            ranges=_ranges(network),
            internal=network.internal,
            external=network.external,
            revision=network_revision(network),
        )
        for network in model.networks.values()
        if network_mode_of(network) is None
    ]
    if any(service.network_mode == BRIDGE for service in model.services.values()):
        found.append(DesiredNetwork(name=nameless_network(model)))
    return tuple(found)


def network_mode_of(network: Network) -> str | None:
    """Return the network mode that being on a network comes to; None where it is a real one."""
    if network.driver in ("host", "none"):
        return network.driver
    if network.external and network.name in ("host", "none"):
        return network.name
    return None


def mode_of(model: StackFile, service: Service) -> str:
    """Return a service's network mode; being on the network `host` or `none` is one."""
    modes = [network_mode_of(model.networks[key]) for key in service.networks]
    return service.network_mode or next((mode for mode in modes if mode), "")


def nameless_network(model: StackFile) -> NetworkName:
    """Return the network of `network_mode: bridge`: a way out and no names, of this stack alone."""
    # A dot, which no name made of a stack's and a key's has between the two.
    return NetworkName(f"{model.name}.{BRIDGE}")


def network_revision(network: Network) -> str:
    """Return a hash of what of a network can change under its members."""
    options = network.model_dump(
        mode="json", include={"driver_opts", "labels", "internal"}, exclude_defaults=True
    )
    return revision_of(options) if options else ""


def build_network(model: StackFile, action: CreateNetwork, stack: StackName) -> NetworkConfig:
    """Return the configuration of a network that is to be made."""
    given = next((one for one in model.networks.values() if one.name == action.network), Network())
    options = given.driver_opts
    key = next((key for key, one in model.networks.items() if one is given), "")
    kind = NetworkKind(given.driver or BRIDGE)
    return NetworkConfig(
        id=NetworkId(action.network),
        subnets=tuple(
            Subnet(
                net=net,
                gateway=gateway,
                mode=GatewayMode(
                    _option(options, f"bridge.gateway_mode_ipv{net.version}") or "nat"
                ),
                masquerade=_is_on(options, "bridge.enable_ip_masquerade"),
                source=ip_address(source)
                if (source := _option(options, f"host_ipv{net.version}"))
                else None,
            )
            for net, gateway in action.subnets
        ),
        internal=action.internal,
        kind=kind,
        parent=options.get("parent", ""),
        submode=options.get(f"{kind.value}_mode", ""),
        bridge=_option(options, "bridge.name"),
        mtu=int(_option(options, "driver.mtu") or DEFAULT_MTU),
        between=_is_on(options, "bridge.enable_icc"),
        trusted=tuple(
            one for one in _option(options, "bridge.trusted_host_interfaces").split(":") if one
        ),
        labels={
            **given.labels,
            labels.STACK: stack,
            labels.REVISION: network_revision(given),
            labels.COMPOSE_PROJECT: stack,
            labels.COMPOSE_NETWORK: key,
        },
    )


def binding_of(network: Network) -> str:
    """Return the host's address ports of a network's members are published on by default."""
    return _option(network.driver_opts, "bridge.host_binding_ipv4")


def interface_prefix(network: Network) -> str:
    """Return what names of interfaces in a network begin with."""
    return _option(network.driver_opts, "container_iface_prefix") or "eth"


def _ranges(network: Network) -> tuple[AddressRange, ...]:
    found = {}
    for pool in network.ipam.config:
        subnet = ip_network(pool.subnet) if pool.subnet else None
        gateway = ip_address(pool.gateway) if pool.gateway else None
        within = ip_network(pool.ip_range) if pool.ip_range else None
        known = next((one for one in (subnet, gateway, within) if one is not None), None)
        version = known.version if known is not None else 4
        found[version] = AddressRange(
            version=version,
            subnet=subnet,
            gateway=gateway,
            within=within,
            reserved=tuple(ip_address(one) for one in pool.aux_addresses.values()),
        )
    if network.enable_ipv6:
        found.setdefault(6, AddressRange(version=6))
    if network.enable_ipv4 is False:
        found.pop(4, None)
    elif not found or network.enable_ipv6 or network.enable_ipv4 or 4 in found or 6 in found:
        found.setdefault(4, AddressRange())
    return tuple(one for _, one in sorted(found.items()))


def _option(options: Mapping[str, str], name: str) -> str:
    return options.get(OPTION + name, "")


def _is_on(options: Mapping[str, str], name: str) -> bool:
    return _option(options, name).lower() not in ("false", "0", "f")
