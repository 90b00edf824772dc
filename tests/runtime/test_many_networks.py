"""Room: what one instance holds, on this machine."""

import asyncio
import secrets
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from orchestrator.settings import DEFAULT_POOLS, Settings
from runtime.network import Networks
from runtime.testing.contract.networks import network, sandbox
from runtime.types import ContainerId, Exposure, NamedAddresses, NetworkId, PublishedPort, Zone
from scheduler.addresses import choose_subnet
from scheduler.ids import NetworkName
from tests.leaks import find_leaks

MANY = 300


def test_the_usual_pools_have_room_for_many_networks():
    taken = []
    for number in range(2 * MANY):
        taken.append(choose_subnet(NetworkName(f"net{number}"), DEFAULT_POOLS, 26, taken))

    assert len(set(taken)) == 2 * MANY


@pytest.mark.root
async def test_three_hundred_networks_with_names_and_ports_live_side_by_side(tmp_path):
    instance = Settings(
        name=f"c{secrets.token_hex(3)}", data=tmp_path / "data", run=tmp_path / "run"
    ).instance()
    instance.run.mkdir()
    subnets = list(IPv4Network("10.98.0.0/16").subnets(new_prefix=26))[:MANY]
    configs = [network(NetworkId(f"net{n}"), subnet) for n, subnet in enumerate(subnets)]
    members = [sandbox(ContainerId(f"s.a{n}.1"), one) for n, one in enumerate(configs)]
    driver = Networks(instance)
    await driver.open()
    try:
        await asyncio.gather(*(driver.create(one) for one in configs))
        await asyncio.gather(*(driver.create_sandbox(one) for one in members))
        exposure = Exposure(
            zones=tuple(Zone(networks=(one.id,)) for one in configs),
            names=tuple(
                NamedAddresses(
                    network=one.id, name="web", addresses=(one.subnets[0].net.network_address + 5,)
                )
                for one in configs
            ),
            ports=tuple(
                PublishedPort(
                    host_ip="127.0.0.1",
                    host_port=40000 + number,
                    protocol="tcp",
                    targets=((subnet.network_address + 5, 80),),
                )
                for number, subnet in enumerate(subnets)
            ),
        )
        await driver.publish(exposure)
        asked = {driver.nameservers(zone)[0] for zone in exposure.zones}
        served = [int(path.read_text()) for path in (instance.run / "dns").glob("*.pid")]
        assert len(asked) == MANY
        assert all(Path(f"/proc/{pid}").exists() for pid in served)
        assert len(served) == MANY
        assert all(one.intact for one in await driver.list())
        assert all(one.intact for one in await driver.list_sandboxes())
        assert await driver.mend(everything=True) == []
    finally:
        await driver.publish(Exposure())
        await asyncio.gather(*(driver.remove_sandbox(one.id) for one in members))
        await asyncio.gather(*(driver.remove(one.id) for one in configs))
        await driver.close()

    assert find_leaks(instance) == []
