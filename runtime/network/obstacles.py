"""Which chains of other firewalls stop what pyorch needs to pass, and what would let it. Pure.

Judged is what can be judged without a packet: a chain that drops or rejects whatever none
of its rules accepts, and none of whose rules speaks of pyorch's bridges.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.network.names import ANY_BRIDGE
from runtime.network.passages import IN, NAMES_UDP, OUT, PASSAGES, TABLE

Objects = Sequence[Mapping[str, Any]]

FAMILIES = ("ip", "inet")
OURS = "pyorch"
"""What the name of every instance's table begins with."""
FINAL = {"drop", "reject"}
PASSIVE = {"counter", "log"}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that does not get through, where it ends, and how it would."""

    where: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Need:
    hook: str
    key: str
    """How a rule that lets it through tells pyorch's bridges."""
    passage: str
    what: str
    rule: str


NEEDS = (
    _Need("forward", "iifname", OUT, "containers do not reach the outside", "accept"),
    _Need(
        "forward",
        "oifname",
        IN,
        "published ports are not reachable from other machines",
        "ct status dnat accept",
    ),
    _Need(
        "input",
        "iifname",
        NAMES_UDP,
        "containers cannot resolve names",
        "meta l4proto { tcp, udp } th dport 53 accept",
    ),
)


def find_obstacles(objects: Objects) -> tuple[Obstacle, ...]:
    """Return what blocks, of a whole ruleset as libnftables-json(5) objects."""
    return tuple(_find(objects))


def _find(objects: Objects) -> Iterator[Obstacle]:
    for chain in (one["chain"] for one in objects if "chain" in one):
        family, table, name = chain["family"], chain["table"], chain["name"]
        if family not in FAMILIES or table.startswith(OURS) or chain.get("type") != "filter":
            continue
        reached = tuple(_reached(objects, (family, table, name), seen=set()))
        rules = [rule for one in reached for rule in _rules(objects, one)]
        always = _always(objects, (family, table, name))
        if chain.get("policy") != "drop" and not FINAL & always:
            continue
        for need in NEEDS:
            if chain.get("hook") != need.hook or any(_speaks(rule, need.key) for rule in rules):
                continue
            if any(_is_passage(one, need.passage) for one in reached):
                continue
            yield Obstacle(
                where=f"chain `{name}` of table `{family} {table}`",
                what=f"drops what none of its rules accepts: {need.what}",
                remedy=_remedy((family, table, name), reached, need),
            )


def _remedy(
    chain: tuple[str, str, str], reached: Sequence[tuple[str, str, str]], need: _Need
) -> str:
    if any(name.startswith("ufw-") for _, _, name in reached):
        return "ufw route allow to any port PORT, with the container's own port"
    if chain[1] == "firewalld":
        return "firewall-cmd --permanent --zone=trusted --add-source=SUBNET for each network"
    return f"nft insert rule {' '.join(chain)} '{need.key} \"{ANY_BRIDGE}\" {need.rule}'"


def _rules(objects: Objects, chain: tuple[str, str, str]) -> Iterator[Mapping[str, Any]]:
    for one in objects:
        rule = one.get("rule")
        if rule is not None and (rule["family"], rule["table"], rule["chain"]) == chain:
            yield rule


def _reached(
    objects: Objects, chain: tuple[str, str, str], seen: set[tuple[str, str, str]]
) -> Iterator[tuple[str, str, str]]:
    if chain in seen:
        return
    seen.add(chain)
    yield chain
    for rule in _rules(objects, chain):
        for part in rule["expr"]:
            for way in ("jump", "goto"):
                if way in part:
                    target = (chain[0], chain[1], part[way]["target"])
                    yield from _reached(objects, target, seen)


def _always(objects: Objects, chain: tuple[str, str, str]) -> set[str]:
    """Return the kinds of statements that every packet meets in the chain itself."""
    kinds: set[str] = set()
    for rule in _rules(objects, chain):
        found = [next(iter(part)) for part in rule["expr"]]
        active = [kind for kind in found if kind not in PASSIVE]
        if len(active) == 1:
            kinds.add(active[0])
    return kinds


def _speaks(rule: Mapping[str, Any], key: str) -> bool:
    prefix = ANY_BRIDGE.rstrip("*")
    return any(
        part.get("match", {}).get("left") == {"meta": {"key": key}}
        and str(part["match"]["right"]).startswith(prefix)
        for part in rule["expr"]
    )


def _is_passage(chain: tuple[str, str, str], passage: str) -> bool:
    return chain[:2] == TABLE and passage in PASSAGES.get(chain[2], ())
