"""Networks and an exposure → the whole firewall table, as one nft(8) transaction. Pure.

What it promises: networks cannot reach each other; internal ones reach nothing and are
reached by nobody; nobody outside reaches a container except through a published port, not
even by its address, unless its network asks for that; what is published on 127.0.0.1 is
unreachable from outside; a container cannot speak under a foreign address; resolvers answer
only their zone. In both families alike.

However many ports are published, a new connection meets one lookup and one rule.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from runtime.network.names import ANY_BRIDGE
from runtime.types import (
    Address,
    GatewayMode,
    Net,
    NetworkConfig,
    NetworkId,
    PublishedPort,
    Subnet,
    VirtualAddress,
)

ANY = {4: "0.0.0.0", 6: "::"}
"""How a published port names every address of a family."""
LOOPBACK = "127.0.0.0/8"
UNSETTLED = "{ ::, fe80::/10 }"
"""What a link's addresses of its own are before, and beside, the network's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """A resolver's address and the bridges from which it may be asked."""

    address: Address
    bridges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """One family of one network."""

    network: NetworkConfig
    subnet: Subnet
    bridge: str

    @property
    def family(self) -> str:
        return _family(self.subnet.net)


def render_ruleset(
    table: str,
    networks: Sequence[NetworkConfig],
    bridges: Mapping[NetworkId, str],
    ports: Sequence[PublishedPort],
    resolvers: Sequence[Resolver],
    *,
    virtual: Sequence[VirtualAddress] = (),
    resolver_nets: Sequence[Net],
    close_forwarding: Collection[int],
) -> str:
    """Return text for ``nft -f -`` that replaces ``table`` in one step.

    ``close_forwarding`` are the families of which what is forwarded between links that are
    not ours is dropped: for hosts that were no routers before pyorch made them forward.
    """
    head = f"table inet {table} {{ }}\ndelete table inet {table}\n"
    if not networks:
        return head
    ours = sorted(networks, key=lambda one: one.id)
    places = [_Place(one, subnet, bridges[one.id]) for one in ours for subnet in one.subnets]
    chains = [
        _guard(ours, bridges, places),
        _publish(ports, places, _lead(virtual, bridges)),
        _postrouting(bridges, places),
        _forward(ours, bridges, places, ports, close=close_forwarding),
        _input(resolvers, resolver_nets, virtual),
    ]
    return f"{head}table inet {table} {{\n{''.join(chains)}}}\n"


def _chain(name: str, hook: str, rules: Sequence[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in ([hook] if hook else []) + list(rules))
    return f"  chain {name} {{\n{lines}  }}\n"


def _set(elements: Collection[str]) -> str:
    return "{ " + ", ".join(sorted(elements)) + " }"


def _named(links: Collection[str]) -> str:
    return _set([f'"{name}"' for name in links])


def _family(of: Address | Net) -> str:
    return "ip" if of.version == 4 else "ip6"


# ── before connection tracking ───────────────────────────────────────────────────────────


def _guard(
    networks: Sequence[NetworkConfig], bridges: Mapping[NetworkId, str], places: Sequence[_Place]
) -> str:
    # What is addressed like this from outside was never ours to translate.
    ours = _named(bridges.values())
    rules = [f'iifname != "lo" ip daddr {LOOPBACK} drop']
    for network in networks:
        if network.trusted:
            links = _named(network.trusted)
            rules += [
                f"iifname {links} {_family(one.net)} daddr {one.net} accept"
                for one in network.subnets
            ]
    for family in ("ip", "ip6"):
        mine = [place for place in places if place.family == family]
        # Those that go out under their own addresses get answers there.
        shut = [
            str(one.subnet.net)
            for one in mine
            if one.subnet.mode is GatewayMode.NAT and one.subnet.masquerade
        ]
        if shut:
            rules.append(f'iifname != {ours} iifname != "lo" {family} daddr {_set(shut)} drop')
        if mine:
            homes = _set([f'"{place.bridge}" . {place.subnet.net}' for place in mine])
            settled = f"ip6 saddr != {UNSETTLED} " if family == "ip6" else ""
            rules.append(f"iifname {ours} {settled}iifname . {family} saddr != {homes} drop")
        elif family == "ip":
            rules.append(f"iifname {ours} meta nfproto ipv4 drop")
    return _chain("guard", "type filter hook prerouting priority raw; policy accept;", rules)


# ── ports ────────────────────────────────────────────────────────────────────────────────


def _lead(
    virtual: Sequence[VirtualAddress], bridges: Mapping[NetworkId, str]
) -> list[tuple[str, str]]:
    """Return what leads to the replicas behind an address: from which link, and the rest."""
    found = []
    for one in virtual:
        if one.targets and one.network in bridges:
            family = _family(one.address)
            to = f"{family} daddr {one.address} dnat {family} to {_choice(one.targets)}"
            found.append((f'iifname "{bridges[one.network]}"', to))
    return found


def _publish(
    ports: Sequence[PublishedPort], places: Sequence[_Place], leading: Sequence[tuple[str, str]]
) -> str:
    # A port without targets is left alone: the host refuses it.
    text, jumps = "", []
    for version, family in ((4, "ip"), (6, "ip6")):
        chains, anywhere, somewhere = [], [], []
        for port in _in_order(ports):
            if not port.targets or ip_address(port.host_ip).version != version:
                continue
            if _mode_of(port, places) is GatewayMode.ROUTED:
                continue
            key = f"{port.protocol} . {port.host_port}"
            name = f"{port.protocol}{'6' if version == 6 else ''}_{port.host_port}"
            if port.host_ip == ANY[version]:
                anywhere.append(f"{key} : goto {name}")
            else:
                name += "_" + port.host_ip.replace(".", "_").replace(":", "_")
                somewhere.append(f"{port.host_ip} . {key} : goto {name}")
            chains.append(_chain(name, "", [_translation(port, family)]))
        rules = []
        if somewhere:
            rules.append(f"{family} daddr . meta l4proto . th dport vmap {_set(somewhere)}")
        if anywhere:
            rules.append(f"meta l4proto . th dport vmap {_set(anywhere)}")
        if version == 4 or rules:
            entry = "publish" if version == 4 else "publish6"
            # Nothing that is sent to ::1 can leave the host: it is refused at once instead.
            but = "" if version == 4 else " ip6 daddr != ::1"
            jumps.append(f"meta nfproto ipv{version}{but} fib daddr type local jump {entry}")
            text += "".join(chains) + _chain(entry, "", rules)
    return (
        text
        + _chain(
            "prerouting",
            "type nat hook prerouting priority dstnat; policy accept;",
            [*(f"{link} {to}" for link, to in leading), *jumps],
        )
        + _chain(
            "output",
            "type nat hook output priority -100; policy accept;",
            [*(to for _, to in leading), *jumps],
        )
    )


def _in_order(ports: Sequence[PublishedPort]) -> list[PublishedPort]:
    return sorted(ports, key=lambda one: (one.protocol, one.host_port, one.host_ip))


def _translation(port: PublishedPort, family: str) -> str:
    to = _choice([address for address, _ in port.targets])
    return f"meta l4proto {port.protocol} dnat {family} to {to} : {port.targets[0][1]}"


def _choice(hosts: Sequence[Address]) -> str:
    if len(hosts) == 1:
        return str(hosts[0])
    choices = ", ".join(f"{number} : {host}" for number, host in enumerate(hosts))
    return f"numgen inc mod {len(hosts)} map {{ {choices} }}"


def _mode_of(port: PublishedPort, places: Sequence[_Place]) -> GatewayMode:
    address = port.targets[0][0]
    return next((one.subnet.mode for one in places if address in one.subnet.net), GatewayMode.NAT)


def _postrouting(bridges: Mapping[NetworkId, str], places: Sequence[_Place]) -> str:
    rules = [f"oifname {_named(bridges.values())} ip saddr {LOOPBACK} masquerade"]
    for place in places:
        subnet, bridge = place.subnet, place.bridge
        mine = f"{place.family} saddr {subnet.net}"
        # A container that asks for its own published port must get the answer from there.
        rules.append(f'{mine} oifname "{bridge}" ct status dnat masquerade')
        if place.network.internal or subnet.mode is GatewayMode.ROUTED or not subnet.masquerade:
            continue
        how = f"snat {place.family} to {subnet.source}" if subnet.source else "masquerade"
        rules.append(f'{mine} oifname != "{bridge}" {how}')
    return _chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", rules)


# ── what passes ──────────────────────────────────────────────────────────────────────────


def _forward(
    networks: Sequence[NetworkConfig],
    bridges: Mapping[NetworkId, str],
    places: Sequence[_Place],
    ports: Sequence[PublishedPort],
    *,
    close: Collection[int],
) -> str:
    ours = _named(bridges.values())
    rules = ["ct state established,related accept"]
    within = [f'"{bridges[one.id]}" . "{bridges[one.id]}"' for one in networks if one.between]
    if within:
        rules.append(f"iifname . oifname {_set(within)} accept")
    internal = [bridges[one.id] for one in networks if one.internal]
    if internal:
        rules += [f"iifname {_named(internal)} drop", f"oifname {_named(internal)} drop"]
    rules += _direct(networks, bridges, places, ports)
    rules += [
        f"oifname {ours} ct status dnat accept",
        f"oifname {ours} drop",
        f"iifname {ours} accept",
    ]
    if close:
        # Other instances on this machine have tables of their own, which judge their links.
        rules += [f'{way} "{ANY_BRIDGE}" accept' for way in ("iifname", "oifname")]
        rules += [f"meta nfproto ipv{version} drop" for version in sorted(close)]
    return _chain("forward", "type filter hook forward priority filter; policy accept;", rules)


def _direct(
    networks: Sequence[NetworkConfig],
    bridges: Mapping[NetworkId, str],
    places: Sequence[_Place],
    ports: Sequence[PublishedPort],
) -> Iterator[str]:
    """Yield what lets others reach containers by their own addresses, where that is asked for."""
    for network in networks:
        if network.trusted:
            yield f'iifname {_named(network.trusted)} oifname "{bridges[network.id]}" accept'
    # Our own networks stay apart all the same.
    outside = f"iifname != {_named(bridges.values())}"
    for place in places:
        if place.subnet.mode is GatewayMode.UNPROTECTED:
            target = f"{place.family} daddr {place.subnet.net}"
            yield f'{outside} oifname "{place.bridge}" {target} accept'
    served: dict[str, set[str]] = {}
    for port in ports:
        if port.targets and _mode_of(port, places) is GatewayMode.ROUTED:
            for address, number in port.targets:
                target = f"{address} . {port.protocol} . {number}"
                served.setdefault(_family(address), set()).add(target)
    for family, targets in sorted(served.items()):
        yield f"{outside} {family} daddr . meta l4proto . th dport {_set(targets)} accept"


def _input(
    resolvers: Sequence[Resolver], nets: Sequence[Net], virtual: Sequence[VirtualAddress]
) -> str:
    # Who asks a service nobody is ready of must not come to the host instead.
    rules = [
        f"{_family(one.address)} daddr {one.address} {how}"
        for one in virtual
        for how in ("meta l4proto tcp reject with tcp reset", "reject")
    ]
    for one in sorted(resolvers, key=lambda found: (found.address.version, found.address)):
        asked = f"iifname {_named(one.bridges)} {_family(one.address)} daddr {one.address}"
        rules += [f"{asked} {protocol} dport 53 accept" for protocol in ("tcp", "udp")]
    rules += [f'iifname != "lo" {_family(net)} daddr {net} drop' for net in nets]
    return _chain("input", "type filter hook input priority filter; policy accept;", rules)
