"""The promises of :class:`~runtime.drivers.NetworkDriver`."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from runtime.drivers import NetworkDriver
from runtime.errors import ConflictError, NotFoundError
from runtime.types import (
    Attachment,
    ContainerId,
    Exposure,
    NamedAddresses,
    NetworkConfig,
    NetworkFacts,
    NetworkId,
    PublishedPort,
    Rates,
    SandboxConfig,
    Subnet,
    Zone,
)

FRONT = NetworkId("shop_front")
BACK = NetworkId("shop_back")
WEB = ContainerId("shop.web.1")
DB = ContainerId("shop.db.1")

Lose = Callable[[str], Awaitable[None]]


def network(name: NetworkId, subnet: IPv4Network) -> NetworkConfig:
    """Return a network of ``subnet`` whose gateway is its first address."""
    return NetworkConfig(
        id=name,
        subnets=(Subnet(net=subnet, gateway=subnet.network_address + 1),),
        labels={"kept": "yes"},
    )


def sandbox(name: ContainerId, *networks: NetworkConfig, host: int = 5) -> SandboxConfig:
    """Return a sandbox with the address ``host`` in each of ``networks``."""
    return SandboxConfig(
        id=name,
        attachments=tuple(
            Attachment(
                network=one.id,
                addresses=tuple(place.net.network_address + host for place in one.subnets),
                interface=f"eth{number}",
            )
            for number, one in enumerate(networks)
        ),
    )


class NetworkContract:
    """Needs these fixtures.

    ``driver``: a :class:`NetworkDriver` without networks. ``subnets``: two that nobody uses.
    ``lose_bridge`` and ``lose_link``: coroutine functions that take a network's bridge, or a
    sandbox's links, away behind the driver's back. ``reopen``: one that closes the driver and
    returns another one of the same host.
    """

    async def test_networks_are_reported_in_order_as_they_were_made(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front, back = network(FRONT, subnets[0]), network(BACK, subnets[1])
        await driver.create(front)
        await driver.create(back)

        assert await driver.list() == (NetworkFacts(config=back), NetworkFacts(config=front))

    async def test_a_network_may_be_made_again(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)

        await driver.create(front)

        assert await driver.list() == (NetworkFacts(config=front),)

    async def test_a_lost_bridge_is_noticed_and_mended_with_its_members(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network], lose_bridge: Lose
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        await driver.create_sandbox(sandbox(WEB, front))

        await lose_bridge(FRONT)
        lost = await driver.list()
        await driver.create(front)

        assert lost == (NetworkFacts(config=front, intact=False),)
        assert await driver.list() == (NetworkFacts(config=front),)
        assert [one.intact for one in await driver.list_sandboxes()] == [True]

    async def test_a_network_keeps_its_subnet(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        await driver.create(network(FRONT, subnets[0]))

        with pytest.raises(ConflictError, match=str(subnets[0])):
            await driver.create(network(FRONT, subnets[1]))

        found = await driver.list()
        assert [place.net for one in found for place in one.config.subnets] == [subnets[0]]

    async def test_two_networks_do_not_share_addresses(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        await driver.create(network(FRONT, subnets[0]))
        half = next(subnets[0].subnets())

        with pytest.raises(ConflictError, match=FRONT):
            await driver.create(network(BACK, half))

        assert [one.config.id for one in await driver.list()] == [FRONT]

    async def test_a_removed_network_is_gone_and_may_be_removed_again(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        await driver.create(network(FRONT, subnets[0]))

        await driver.remove(FRONT)
        await driver.remove(FRONT)

        assert await driver.list() == ()

    async def test_a_network_with_members_stays(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        await driver.create_sandbox(sandbox(WEB, front))

        with pytest.raises(ConflictError, match="cannot remove network"):
            await driver.remove(FRONT)

        assert await driver.list() == (NetworkFacts(config=front),)

    async def test_sandboxes_are_reported_in_order_with_their_paths(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front, back = network(FRONT, subnets[0]), network(BACK, subnets[1])
        await driver.create(front)
        await driver.create(back)
        web, db = sandbox(WEB, front, back), sandbox(DB, back, host=6)

        paths = [await driver.create_sandbox(web), await driver.create_sandbox(db)]

        found = await driver.list_sandboxes()
        assert [(one.config, one.netns) for one in found] == [(db, paths[1]), (web, paths[0])]
        assert all(one.intact for one in found)

    async def test_a_sandbox_needs_its_networks(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        with pytest.raises(NotFoundError, match=FRONT):
            await driver.create_sandbox(sandbox(WEB, network(FRONT, subnets[0])))

        assert await driver.list_sandboxes() == ()

    async def test_a_sandbox_without_networks_is_a_sandbox(self, driver: NetworkDriver) -> None:
        path = await driver.create_sandbox(sandbox(WEB))

        assert [one.netns for one in await driver.list_sandboxes()] == [path]

    async def test_lost_links_are_noticed_and_mended_in_place(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network], lose_link: Lose
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        path = await driver.create_sandbox(sandbox(WEB, front))

        await lose_link(WEB)
        lost = await driver.list_sandboxes()
        again = await driver.create_sandbox(sandbox(WEB, front))

        assert [one.intact for one in lost] == [False]
        assert again == path
        assert [one.intact for one in await driver.list_sandboxes()] == [True]

    async def test_what_is_lost_is_heard_of_and_put_back(
        self,
        driver: NetworkDriver,
        subnets: Sequence[IPv4Network],
        lose_bridge: Lose,
        lose_link: Lose,
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        await driver.create_sandbox(sandbox(WEB, front))
        await driver.mend(everything=True)
        heard = asyncio.Event()
        driver.on_drift(heard.set)

        await lose_link(WEB)
        await heard.wait()
        first = await driver.mend(everything=False)
        await lose_bridge(FRONT)
        second = await driver.mend(everything=True)
        third = await driver.mend(everything=True)

        assert len(first) == 1
        assert WEB in first[0]
        assert any(FRONT in one for one in second)
        assert list(third) == []
        assert [one.intact for one in await driver.list()] == [True]
        assert [one.intact for one in await driver.list_sandboxes()] == [True]

    async def test_the_hosts_address_in_a_network_is_told(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)

        assert driver.gateway(FRONT) == str(subnets[0].network_address + 1)

    async def test_rates_change_in_the_sandbox_that_is_there(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        path = await driver.create_sandbox(sandbox(WEB, front))
        before = os.stat(path).st_ino if path.exists() else 0

        await driver.limit_sandbox(WEB, Rates(receive=1_000_000, send=2_000_000))
        await driver.limit_sandbox(DB, Rates(send=5_000))

        (facts,) = await driver.list_sandboxes()
        assert facts.config.rates == Rates(receive=1_000_000, send=2_000_000)
        assert facts.intact
        await driver.limit_sandbox(WEB, Rates())
        (facts,) = await driver.list_sandboxes()
        assert facts.config == sandbox(WEB, front)
        assert (os.stat(path).st_ino if path.exists() else 0) == before

    async def test_a_sandbox_with_another_place_is_another_one(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        await driver.create_sandbox(sandbox(WEB, front, host=5))
        moved = sandbox(WEB, front, host=6)

        await driver.create_sandbox(moved)

        found = await driver.list_sandboxes()
        assert [(one.config, one.intact) for one in found] == [(moved, True)]

    async def test_a_removed_sandbox_is_gone_and_frees_its_network(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        await driver.create_sandbox(sandbox(WEB, front))

        await driver.remove_sandbox(WEB)
        await driver.remove_sandbox(WEB)
        await driver.remove(FRONT)

        assert await driver.list_sandboxes() == ()
        assert await driver.list() == ()

    async def test_sandboxes_of_one_network_are_made_side_by_side(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        wanted = [
            sandbox(ContainerId(f"shop.web.{slot}"), front, host=1 + slot) for slot in range(1, 6)
        ]

        await asyncio.gather(*(driver.create_sandbox(one) for one in wanted))

        found = await driver.list_sandboxes()
        assert [one.config for one in found] == wanted
        assert all(one.intact for one in found)

    async def test_the_same_may_be_published_twice_and_then_something_else(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        address = subnets[0].network_address + 5
        exposure = Exposure(
            ports=(
                PublishedPort(
                    host_ip="127.0.0.1",
                    host_port=61234,
                    protocol="tcp",
                    targets=((address, 80),),
                ),
            ),
            names=(NamedAddresses(network=FRONT, name="web", addresses=(address,)),),
            zones=(Zone(networks=(FRONT,)),),
        )

        await driver.publish(exposure)
        await driver.publish(exposure)
        await driver.publish(replace(exposure, ports=()))
        await driver.publish(Exposure())

        assert await driver.list() == (NetworkFacts(config=front),)

    async def test_each_zone_has_one_resolver(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        await driver.create(network(FRONT, subnets[0]))
        await driver.create(network(BACK, subnets[1]))
        both = driver.nameservers(Zone(networks=(FRONT, BACK)))

        assert driver.nameservers(Zone(networks=(BACK, FRONT))) == both
        assert driver.nameservers(Zone(networks=(FRONT,))) != both
        assert driver.nameservers(Zone(networks=(FRONT, BACK), servers=("192.0.2.1",))) != both

    async def test_the_machine_has_processors_and_memory_and_routes_that_are_not_ours(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        await driver.create(network(FRONT, subnets[0]))

        host = await driver.host()

        assert host.cpus > 0
        assert host.memory > 0
        assert subnets[0] not in host.routes

    async def test_a_sweep_leaves_what_is_accounted_for(
        self, driver: NetworkDriver, subnets: Sequence[IPv4Network]
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        await driver.create_sandbox(sandbox(WEB, front))
        before = await driver.list(), await driver.list_sandboxes()

        swept = await driver.sweep()

        assert list(swept) == []
        assert (await driver.list(), await driver.list_sandboxes()) == before

    async def test_networks_and_sandboxes_outlive_the_driver(
        self,
        driver: NetworkDriver,
        subnets: Sequence[IPv4Network],
        reopen: Callable[[], Awaitable[NetworkDriver]],
    ) -> None:
        front = network(FRONT, subnets[0])
        await driver.create(front)
        await driver.create_sandbox(sandbox(WEB, front))
        asked = Zone(networks=(FRONT,))
        before = await driver.list(), await driver.list_sandboxes(), driver.nameservers(asked)

        other = await reopen()

        after = await other.list(), await other.list_sandboxes(), other.nameservers(asked)
        assert after == before
