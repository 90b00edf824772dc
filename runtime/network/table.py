"""Networks and an exposure → what the firewall's table is rendered from. Pure."""

from collections.abc import Collection, Iterable, Mapping

from runtime.network.ends import bridge_of
from runtime.network.ruleset import Resolver, render_ruleset
from runtime.types import Address, Exposure, Instance, Net, NetworkConfig, NetworkKind, Zone


def render_table(
    instance: Instance,
    networks: Iterable[NetworkConfig],
    exposure: Exposure,
    *,
    resolvers: Mapping[Zone, Address],
    resolver_nets: Collection[Net],
    close_forwarding: Collection[int],
) -> str:
    """Return the whole table of an instance as text for ``nft -f -``.

    ``resolvers`` says where each zone asks for names. What ``close_forwarding`` is stands at
    :func:`~runtime.network.ruleset.render_ruleset`.
    """
    bridged = [one for one in networks if one.kind is NetworkKind.BRIDGE]
    bridges = {one.id: bridge_of(instance, one) for one in bridged}
    return render_ruleset(
        instance.table,
        bridged,
        bridges,
        exposure.ports,
        [
            Resolver(
                address=address,
                bridges=tuple(bridges[name] for name in zone.networks if name in bridges),
            )
            for zone, address in resolvers.items()
        ],
        virtual=exposure.virtual,
        resolver_nets=tuple(resolver_nets),
        close_forwarding=close_forwarding,
    )
