"""Networks and an exposure → the whole firewall table, as one nft(8) transaction. Pure.

What it promises: networks cannot reach each other; internal ones reach nothing; nobody
outside reaches a container except through a published port, not even by its address; what
is published on 127.0.0.1 is unreachable from outside; resolvers answer only their zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from runtime.network.names import ANY_BRIDGE
from runtime.types import NetworkConfig, NetworkId, PublishedPort

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.0/8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A resolver's address and the bridges from which it may be asked."""

    address: str
    bridges: tuple[str, ...]


def render_ruleset(
    table: str,
    networks: Sequence[NetworkConfig],
    bridges: Mapping[NetworkId, str],
    ports: Sequence[PublishedPort],
    zones: Sequence[Zone],
    *,
    resolvers: IPv4Network,
    close_forwarding: bool,
) -> str:
    """Return text for ``nft -f -`` that replaces ``table`` in one step.

    ``close_forwarding`` drops what is forwarded between links that are not ours: for hosts
    that were no routers before pyorch made them forward.
    """
    head = f"table inet {table} {{ }}\ndelete table inet {table}\n"
    if not networks:
        return head
    chains = [
        _guard(networks, bridges),
        _publish(ports),
        _postrouting(networks, bridges),
        _forward(networks, bridges, close=close_forwarding),
        _input(zones, resolvers),
    ]
    return f"{head}table inet {table} {{\n{''.join(chains)}}}\n"


def _chain(name: str, hook: str, rules: Sequence[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in ([hook] if hook else []) + list(rules))
    return f"  chain {name} {{\n{lines}  }}\n"


def _set(names: Sequence[str]) -> str:
    return "{ " + ", ".join(f'"{name}"' for name in sorted(names)) + " }"


def _guard(networks: Sequence[NetworkConfig], bridges: Mapping[NetworkId, str]) -> str:
    # Before connection tracking: what is addressed like this from outside was never ours.
    rules = [f'iifname != "lo" ip daddr {LOOPBACK} drop']
    ours = _set(list(bridges.values()))
    rules += [
        f'iifname != {ours} iifname != "lo" ip daddr {network.subnet} drop'
        for network in sorted(networks, key=lambda one: one.id)
    ]
    return _chain("guard", "type filter hook prerouting priority raw; policy accept;", rules)


def _publish(ports: Sequence[PublishedPort]) -> str:
    rules = []
    for port in sorted(ports, key=lambda one: (one.protocol, one.host_port, one.host_ip)):
        if not port.targets:
            continue
        where = "" if port.host_ip == ANY else f"ip daddr {port.host_ip} "
        hosts = [str(address) for address, _ in port.targets]
        target = hosts[0]
        if len(hosts) > 1:
            choices = ", ".join(f"{number} : {host}" for number, host in enumerate(hosts))
            target = f"numgen inc mod {len(hosts)} map {{ {choices} }}"
        rules.append(
            f"{where}{port.protocol} dport {port.host_port}"
            f" dnat ip to {target} : {port.targets[0][1]}"
        )
    jump = ["meta nfproto ipv4 fib daddr type local jump publish"]
    return (
        _chain("publish", "", rules)
        + _chain("prerouting", "type nat hook prerouting priority dstnat; policy accept;", jump)
        + _chain("output", "type nat hook output priority -100; policy accept;", jump)
    )


def _postrouting(networks: Sequence[NetworkConfig], bridges: Mapping[NetworkId, str]) -> str:
    ours = _set(list(bridges.values()))
    rules = [f"oifname {ours} ip saddr {LOOPBACK} masquerade"]
    for network in sorted(networks, key=lambda one: one.id):
        bridge = bridges[network.id]
        # A container that asks for its own published port must get the answer from there.
        rules.append(f'ip saddr {network.subnet} oifname "{bridge}" ct status dnat masquerade')
        if not network.internal:
            rules.append(f'ip saddr {network.subnet} oifname != "{bridge}" masquerade')
    return _chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", rules)


def _forward(
    networks: Sequence[NetworkConfig], bridges: Mapping[NetworkId, str], *, close: bool
) -> str:
    ours = _set(list(bridges.values()))
    rules = ["ct state established,related accept", f"oifname {ours} ct status dnat accept"]
    rules += [f'iifname "{name}" oifname "{name}" accept' for name in sorted(bridges.values())]
    internal = [bridges[network.id] for network in networks if network.internal]
    if internal:
        rules += [f"iifname {_set(internal)} drop"]
    rules += [f"oifname {ours} drop", f"iifname {ours} accept"]
    if close:
        # Other instances on this machine have tables of their own, which judge their links.
        rules += [f'{way} "{ANY_BRIDGE}" accept' for way in ("iifname", "oifname")]
        rules.append("meta nfproto ipv4 drop")
    return _chain("forward", "type filter hook forward priority filter; policy accept;", rules)


def _input(zones: Sequence[Zone], resolvers: IPv4Network) -> str:
    rules = []
    for zone in sorted(zones, key=lambda one: one.address):
        asked = f"iifname {_set(zone.bridges)} ip daddr {zone.address}"
        rules += [f"{asked} {protocol} dport 53 accept" for protocol in ("tcp", "udp")]
    rules.append(f'iifname != "lo" ip daddr {resolvers} drop')
    return _chain("input", "type filter hook input priority filter; policy accept;", rules)
