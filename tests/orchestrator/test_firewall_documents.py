"""The whole firewall of typical stacks, as documents to be read: ``firewall/*.nft``.

They are written anew with PYORCH_WRITE_FIREWALL=1 in the environment, and looked at.
"""

import os
import subprocess
from dataclasses import replace
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from orchestrator.settings import DEFAULT_POOLS
from runtime.network.dns import candidate_nets, ipv6_net
from runtime.network.ends import bridge_of
from runtime.network.table import render_table
from runtime.types import NetworkKind
from tests.orchestrator.world import World

FOLDER = Path(__file__).parent / "firewall"
STACKS = sorted(path.stem for path in FOLDER.glob("*.yml"))


async def document(world):
    """Return what is rendered of what runs in a world, with a legend of names on top."""
    instance, networks = world.settings.instance(), world.host.networks
    configs = [facts.config for facts in await networks.list()]
    nets = {4: next(candidate_nets(instance.name)), 6: ipv6_net(instance.name)}
    versions = {
        config.id: config.subnets[0].net.version
        for config in configs
        if config.kind is NetworkKind.BRIDGE
    }
    resolvers = {
        zone: nets[min(versions[name] for name in zone.networks)].network_address + number
        for number, zone in enumerate(networks.exposure.zones, start=2)
    }
    legend = [f"# {bridge_of(instance, config)} is {config.id}" for config in configs]
    for facts in await networks.list_sandboxes():
        for place in facts.config.attachments:
            legend += [f"# {address} is {facts.config.id}" for address in place.addresses]
    table = render_table(
        instance,
        configs,
        networks.exposure,
        resolvers=resolvers,
        resolver_nets=nets.values(),
        close_forwarding=(),
    )
    return "\n".join(sorted(legend)) + "\n" + table


@pytest.mark.parametrize("name", STACKS)
async def test_a_stack_has_the_firewall_that_is_written_down(tmp_path, name):
    world = World(tmp_path)
    # The usual pool of IPv6 is each machine's own.
    world.settings = replace(world.settings, pools=(*DEFAULT_POOLS, IPv6Network("fd00:89::/48")))
    world.host.networks.protocols = frozenset({"tcp", "udp", "sctp"})
    async with world.daemon():
        await world.up((FOLDER / f"{name}.yml").read_text())
        found = await document(world)
    written = FOLDER / f"{name}.nft"
    if os.environ.get("PYORCH_WRITE_FIREWALL"):
        written.write_text(found)

    assert found == written.read_text()


@pytest.mark.root
@pytest.mark.parametrize("name", STACKS)
def test_what_is_written_down_is_taken_as_it_is(name):
    text = (FOLDER / f"{name}.nft").read_text()
    words = ["unshare", "--net", "nft", "-f", "-"]

    done = subprocess.run(words, input=text, text=True, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
