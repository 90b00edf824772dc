"""What sandboxes lack inside, and the way to the resolvers put back. Everything here blocks.

Nothing is told of other namespaces, so they are looked into. What a member with NET_ADMIN
does to its own addresses and to its way out is its own affair: one that takes its default
route away may do so to have nothing leave beside a tunnel. But nobody is better off without
a way to the names, or without a link that went with the host's link it was on.
"""

import contextlib
import errno
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from runtime import pins
from runtime.network import links, netlink, netns
from runtime.network.ends import End
from runtime.network.netlink import Route
from runtime.network.tables import read_routes
from runtime.types import Address, ContainerId, Net, NetworkKind

MAIN_TABLE = 254
MOST_ROUTES = 4096
"""A namespace with more is let be: a member may have made them to have them counted."""
NOT_NOW = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH})
"""What it takes is not there, and members may have taken that away themselves."""

Places = Mapping[ContainerId, tuple[Path, Sequence[End]]]
"""Of each sandbox: its namespace, and its ends."""


def find_lacking(places: Places) -> tuple[ContainerId, ...]:
    """Return the sandboxes that lack something; who cannot be looked into lacks nothing."""
    watched = [
        (name, namespace, kept)
        for name, (namespace, ends) in places.items()
        if (kept := tuple(filter(_is_kept, ends)))
    ]

    def look() -> list[ContainerId]:
        found = []
        # One thread for all of them: to begin one costs more than to look around.
        for name, namespace, ends in watched:
            with contextlib.suppress(OSError):
                netns.enter(namespace)
                if any(_is_gone(end) or _is_astray(end) for end in ends):
                    found.append(name)
        return found

    return tuple(pins.in_own_thread(look)) if watched else ()


def find_gone(namespace: Path, ends: Iterable[End]) -> tuple[End, ...]:
    """Return those of a sandbox's ends on a link of the host's that have to be made again."""
    kept = tuple(filter(_is_kept, ends))
    with links.refusal("look into namespace", namespace.name):
        return netns.run_inside(namespace, lambda: tuple(filter(_is_gone, kept)))


def lead_to_resolvers(namespace: Path, ends: Iterable[End]) -> bool:
    """Put back the way to the resolvers; say whether it was missing and is there now."""

    def lead() -> bool:
        return any(_lead(*end.resolvers) for end in ends if end.resolvers and _is_astray(end))

    with links.refusal("lead to resolvers", namespace.name):
        return netns.run_inside(namespace, lead)


def _is_kept(end: End) -> bool:
    # Without the host's link it is on there is nothing to be put back.
    return end.resolvers is not None or (
        end.kind is not NetworkKind.BRIDGE and links.is_up(end.master)
    )


def _is_gone(end: End) -> bool:
    # One that leads to a bridge has an outer end, which is told of, and goes with it.
    return end.kind is not NetworkKind.BRIDGE and not links.exists(end.inside)


def _is_astray(end: End) -> bool:
    """Whether there is no way to the resolvers where there should be one."""
    if end.resolvers is None:
        return False
    net, way = end.resolvers
    family = socket.AF_INET if way.version == 4 else socket.AF_INET6
    routes = read_routes(family, most=MOST_ROUTES)
    return not any((one.target, one.table) == (net, MAIN_TABLE) for one in routes)


def _lead(net: Net, way: Address) -> bool:
    try:
        with Route() as route:
            route.ask(netlink.add_route(way, net))
    except OSError as error:
        if error.errno not in NOT_NOW:
            raise
        return False
    return True
