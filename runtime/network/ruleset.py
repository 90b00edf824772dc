"""Networks and an exposure → the whole firewall table, as one nft(8) transaction. Pure.

What it promises: networks cannot reach each other; internal ones reach nothing and are
reached by nobody; nobody outside reaches a container except through a published port, not
even by its address; what is published on 127.0.0.1 is unreachable from outside; a container
cannot speak under a foreign address; resolvers answer only their zone.

However many ports are published, a new connection meets one lookup and one rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address

from runtime.network.names import ANY_BRIDGE
from runtime.types import NetworkConfig, NetworkId, PublishedPort

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.0/8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """A resolver's address and the bridges from which it may be asked."""

    address: str
    bridges: tuple[str, ...]


def render_ruleset(
    table: str,
    networks: Sequence[NetworkConfig],
    bridges: Mapping[NetworkId, str],
    ports: Sequence[PublishedPort],
    resolvers: Sequence[Resolver],
    *,
    resolver_net: IPv4Network | None,
    close_forwarding: bool,
) -> str:
    """Return text for ``nft -f -`` that replaces ``table`` in one step.

    ``close_forwarding`` drops what is forwarded between links that are not ours: for hosts
    that were no routers before pyorch made them forward.
    """
    head = f"table inet {table} {{ }}\ndelete table inet {table}\n"
    if not networks:
        return head
    ours = sorted(networks, key=lambda one: one.id)
    chains = [
        _guard(ours, bridges),
        _publish(ports),
        _postrouting(ours, bridges),
        _forward(ours, bridges, close=close_forwarding),
        _input(resolvers, resolver_net),
    ]
    return f"{head}table inet {table} {{\n{''.join(chains)}}}\n"


def _chain(name: str, hook: str, rules: Sequence[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in ([hook] if hook else []) + list(rules))
    return f"  chain {name} {{\n{lines}  }}\n"


def _set(elements: Sequence[str]) -> str:
    return "{ " + ", ".join(sorted(elements)) + " }"


def _named(bridges: Sequence[str]) -> str:
    return _set([f'"{name}"' for name in bridges])


def _guard(networks: Sequence[NetworkConfig], bridges: Mapping[NetworkId, str]) -> str:
    # Before connection tracking: what is addressed like this from outside was never ours.
    ours = _named(list(bridges.values()))
    subnets = _set([str(network.subnet) for network in networks])
    homes = _set([f'"{bridges[network.id]}" . {network.subnet}' for network in networks])
    rules = [
        f'iifname != "lo" ip daddr {LOOPBACK} drop',
        f'iifname != {ours} iifname != "lo" ip daddr {subnets} drop',
        f"iifname {ours} iifname . ip saddr != {homes} drop",
    ]
    return _chain("guard", "type filter hook prerouting priority raw; policy accept;", rules)


def _publish(ports: Sequence[PublishedPort]) -> str:
    # A port without targets, and one of an IPv6 address, is left alone: the host refuses it.
    chains = []
    anywhere, somewhere = [], []
    for port in sorted(ports, key=lambda one: (one.protocol, one.host_port, one.host_ip)):
        if not port.targets or ip_address(port.host_ip).version != 4:
            continue
        key = f"{port.protocol} . {port.host_port}"
        name = f"{port.protocol}_{port.host_port}"
        if port.host_ip == ANY:
            anywhere.append(f"{key} : goto {name}")
        else:
            name += "_" + port.host_ip.replace(".", "_")
            somewhere.append(f"{port.host_ip} . {key} : goto {name}")
        chains.append(_chain(name, "", [_translation(port)]))
    rules = []
    if somewhere:
        rules.append(f"ip daddr . meta l4proto . th dport vmap {_set(somewhere)}")
    if anywhere:
        rules.append(f"meta l4proto . th dport vmap {_set(anywhere)}")
    chains.append(_chain("publish", "", rules))
    jump = ["meta nfproto ipv4 fib daddr type local jump publish"]
    return (
        "".join(chains)
        + _chain("prerouting", "type nat hook prerouting priority dstnat; policy accept;", jump)
        + _chain("output", "type nat hook output priority -100; policy accept;", jump)
    )


def _translation(port: PublishedPort) -> str:
    hosts = [str(address) for address, _ in port.targets]
    to = hosts[0]
    if len(hosts) > 1:
        choices = ", ".join(f"{number} : {host}" for number, host in enumerate(hosts))
        to = f"numgen inc mod {len(hosts)} map {{ {choices} }}"
    return f"meta l4proto {port.protocol} dnat ip to {to} : {port.targets[0][1]}"


def _postrouting(networks: Sequence[NetworkConfig], bridges: Mapping[NetworkId, str]) -> str:
    ours = _named(list(bridges.values()))
    rules = [f"oifname {ours} ip saddr {LOOPBACK} masquerade"]
    for network in networks:
        bridge = bridges[network.id]
        # A container that asks for its own published port must get the answer from there.
        rules.append(f'ip saddr {network.subnet} oifname "{bridge}" ct status dnat masquerade')
        if not network.internal:
            rules.append(f'ip saddr {network.subnet} oifname != "{bridge}" masquerade')
    return _chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", rules)


def _forward(
    networks: Sequence[NetworkConfig], bridges: Mapping[NetworkId, str], *, close: bool
) -> str:
    ours = _named(list(bridges.values()))
    within = _set([f'"{name}" . "{name}"' for name in bridges.values()])
    rules = ["ct state established,related accept", f"iifname . oifname {within} accept"]
    internal = [bridges[network.id] for network in networks if network.internal]
    if internal:
        rules += [f"iifname {_named(internal)} drop", f"oifname {_named(internal)} drop"]
    rules += [
        f"oifname {ours} ct status dnat accept",
        f"oifname {ours} drop",
        f"iifname {ours} accept",
    ]
    if close:
        # Other instances on this machine have tables of their own, which judge their links.
        rules += [f'{way} "{ANY_BRIDGE}" accept' for way in ("iifname", "oifname")]
        rules.append("meta nfproto ipv4 drop")
    return _chain("forward", "type filter hook forward priority filter; policy accept;", rules)


def _input(resolvers: Sequence[Resolver], net: IPv4Network | None) -> str:
    rules = []
    for one in sorted(resolvers, key=lambda found: found.address):
        asked = f"iifname {_named(one.bridges)} ip daddr {one.address}"
        rules += [f"{asked} {protocol} dport 53 accept" for protocol in ("tcp", "udp")]
    if net is not None:
        rules.append(f'iifname != "lo" ip daddr {net} drop')
    return _chain("input", "type filter hook input priority filter; policy accept;", rules)
