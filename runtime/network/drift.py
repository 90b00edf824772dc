"""What should be there against what is: which bridges and sandboxes need mending. Pure."""

from collections.abc import Collection, Iterable, Mapping

from runtime.network.tables import Link
from runtime.types import Address, ContainerId, NetworkId

Places = tuple[tuple[str, str], ...]
"""For each link of a sandbox: its name, and the name of the bridge it belongs to."""


def lost_bridges(
    wanted: Mapping[NetworkId, tuple[str, tuple[Address, ...]]],
    present: Iterable[Link],
    addresses: Collection[tuple[int, Address]],
) -> tuple[NetworkId, ...]:
    """Return the networks whose bridge is gone, down or without an address."""
    links = {link.name: link for link in present}

    def stands(bridge: str, gateways: tuple[Address, ...]) -> bool:
        link = links.get(bridge)
        return (
            link is not None
            and link.up
            and all((link.index, gateway) in addresses for gateway in gateways)
        )

    return tuple(network for network, place in sorted(wanted.items()) if not stands(*place))


def lost_sandboxes(
    wanted: Mapping[ContainerId, Places], present: Iterable[Link]
) -> tuple[ContainerId, ...]:
    """Return the sandboxes one of whose links is gone, down or not on its bridge."""
    links = {link.name: link for link in present}

    def stands(name: str, bridge: str) -> bool:
        link, home = links.get(name), links.get(bridge)
        return link is not None and link.up and home is not None and link.master == home.index

    return tuple(
        sandbox
        for sandbox, places in sorted(wanted.items())
        if not all(stands(*place) for place in places)
    )
