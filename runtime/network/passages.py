"""Let our traffic through other firewalls, by the hooks they document for that.

An accept in our own table does not overrule a drop in another one. Where another firewall
drops by default it has a chain for exceptions; ours stand at the end of it, behind whatever
the host's administrator wrote, so that the host's own rules are obeyed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.network import nftables
from runtime.network.names import LINK_LOCAL, bridge_prefix
from runtime.types import Instance

TABLE = ("ip", "filter")
"""Where iptables(8), and with it Docker and ufw, keep their chains."""

OUT = "containers out"
IN = "published ports in"
NAMES_UDP = "names over udp"
NAMES_TCP = "names over tcp"

PASSAGES: Mapping[str, tuple[str, ...]] = {
    # Docker sets FORWARD to drop, for itself: what is published here is let in as well.
    "DOCKER-USER": (OUT, IN),
    # ufw drops for the host's sake: who may come in is for `ufw route allow` to say.
    "ufw-user-forward": (OUT,),
    "ufw-user-input": (NAMES_UDP, NAMES_TCP),
}
"""Chains for exceptions, and ours in each."""


@dataclass(frozen=True, slots=True)
class _Rule:
    handle: int
    comment: str
    returns: bool
    """It does nothing but end the chain, as the last rule of DOCKER-USER does."""


class Passages:
    """One instance's rules in the chains of others."""

    def __init__(self, instance: Instance) -> None:
        """Touch nothing yet."""
        self._instance = instance
        self._prefix = bridge_prefix(instance)
        self.bridges: tuple[str, ...] = ()
        """Those whose names a person chose, besides those named by us."""

    async def open(self) -> tuple[str, ...]:
        """Have every chain that is there let us through; name those that had to change."""
        objects = await nftables.read_objects("table", *TABLE)
        changed = []
        for chain, wanted in PASSAGES.items():
            if not _exists(objects, chain):
                continue
            rules = list(_rules(objects, chain))
            if self._stands(rules, wanted):
                continue
            last = rules[-1] if rules and rules[-1].returns else None
            lines = [self._delete(chain, rule) for rule in rules if self._is_ours(rule)]
            lines += [self._add(chain, *one, before=last) for one in self._each(wanted)]
            await nftables.change("\n".join(lines) + "\n", subject=chain)
            changed.append(chain)
        return tuple(changed)

    async def close(self) -> None:
        """Take our rules out again."""
        objects = await nftables.read_objects("table", *TABLE)
        for chain in PASSAGES:
            lines = [self._delete(chain, r) for r in _rules(objects, chain) if self._is_ours(r)]
            if lines:
                await nftables.change("\n".join(lines) + "\n", subject=chain)

    def _stands(self, rules: Sequence[_Rule], wanted: Sequence[str]) -> bool:
        found = rules[:-1] if rules and rules[-1].returns else rules
        ours = [rule for rule in rules if self._is_ours(rule)]
        comments = [self._comment(*one) for one in self._each(wanted)]
        tail = [rule.comment for rule in found[-len(comments) :]]
        return tail == comments and len(ours) == len(comments)

    def _each(self, wanted: Sequence[str]) -> list[tuple[str, str]]:
        """Return each passage with each name, or beginning of names, of bridges."""
        return [(name, bridge) for bridge in ("", *self.bridges) for name in wanted]

    def _is_ours(self, rule: _Rule) -> bool:
        return rule.comment.startswith(self._comment("", ""))

    def _comment(self, name: str, bridge: str) -> str:
        return f"pyorch {self._instance.name}: {name}{f' of {bridge}' if bridge else ''}"

    def _delete(self, chain: str, rule: _Rule) -> str:
        return f"delete rule {' '.join(TABLE)} {chain} handle {rule.handle}"

    def _add(self, chain: str, name: str, bridge: str, *, before: _Rule | None) -> str:
        links = f'"{bridge}"' if bridge else f'"{self._prefix}*"'
        match = {
            OUT: f"iifname {links}",
            IN: f"oifname {links}",
            NAMES_UDP: f"iifname {links} ip daddr {LINK_LOCAL} udp dport 53",
            NAMES_TCP: f"iifname {links} ip daddr {LINK_LOCAL} tcp dport 53",
        }[name]
        place = f"{' '.join(TABLE)} {chain}"
        place = f"insert rule {place} position {before.handle}" if before else f"add rule {place}"
        return f'{place} {match} counter accept comment "{self._comment(name, bridge)}"'


def _exists(objects: Sequence[Mapping[str, Any]], chain: str) -> bool:
    return any(one["chain"]["name"] == chain for one in objects if "chain" in one)


def _rules(objects: Sequence[Mapping[str, Any]], chain: str) -> Iterator[_Rule]:
    for one in objects:
        rule = one.get("rule")
        if rule is not None and rule["chain"] == chain:
            kinds = [next(iter(part)) for part in rule["expr"]]
            yield _Rule(
                handle=int(rule["handle"]),
                comment=str(rule.get("comment", "")),
                returns=[kind for kind in kinds if kind != "counter"] == ["return"],
            )
