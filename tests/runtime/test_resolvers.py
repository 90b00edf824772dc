"""Where resolvers live, and what they are told."""

import json
import secrets
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv4Network

import pytest

from orchestrator.settings import Settings
from runtime.network import Networks
from runtime.network.dns import NET_PREFIX, NEVER, Resolvers, candidate_nets, hosts_of
from runtime.network.host import read_servers
from runtime.oci.records import start_ticks
from runtime.testing.contract.networks import BACK, FRONT, network
from runtime.types import Alias, Exposure, NamedAddresses, Zone
from tests.leaks import find_leaks

ONE, TWO = IPv4Address("10.89.0.5"), IPv4Address("10.89.1.5")


def named(name, address, net=FRONT, **more):
    return NamedAddresses(network=net, name=name, addresses=(address,), **more)


def test_an_address_is_called_what_its_container_is_called():
    names = [named("db", ONE), named("shop-db-1", ONE, primary=True)]

    assert hosts_of(Zone(networks=(FRONT,)), names).splitlines() == [
        "10.89.0.5\tshop-db-1.shop_front\tshop-db-1",
        "10.89.0.5\tdb.shop_front\tdb",
    ]


def test_a_zone_is_told_of_its_own_networks_alone():
    names = [named("db", ONE), named("db", TWO, BACK)]

    assert hosts_of(Zone(networks=(BACK,)), names) == "10.89.1.5\tdb.shop_back\tdb\n"


def test_an_alias_stands_for_a_name_of_one_owner_or_of_any():
    names = [named("db", ONE, owner="shop"), named("db", TWO, owner="old")]
    mine = Zone(networks=(FRONT,), aliases=(Alias(name="x", of="db", owner="shop"),))
    any_ = Zone(networks=(FRONT,), aliases=(Alias(name="x", of="db"),))

    def known(zone):
        return [line.split()[0] for line in hosts_of(zone, names).splitlines() if "\tx" in line]

    assert known(mine) == [str(ONE)]
    assert known(any_) == [str(ONE), str(TWO)]


@pytest.mark.parametrize("name", ["a b", "a\n10.0.0.1 bank", "", "a\tb"])
def test_a_name_that_would_speak_for_others_is_nobodys(name):
    assert hosts_of(Zone(networks=(FRONT,)), [named(name, ONE)]) == ""


def test_servers_of_the_host_are_read_as_they_are_written():
    lines = ["# nameserver 9.9.9.9", "nameserver 1.1.1.1  ", "options nameserver 2.2.2.2", ""]
    lines += ["nameserver\t127.0.0.53", "nameserver fe80::1%eth0", "nameserver x;server=y"]

    assert read_servers(lines) == ["1.1.1.1", "127.0.0.53", "fe80::1%eth0"]


def test_every_instance_finds_the_same_nets_in_an_order_of_its_own():
    one, two = list(candidate_nets("one")), list(candidate_nets("two"))

    assert set(one) == set(two)
    assert one[0] != two[0]
    assert list(candidate_nets("one")) == one
    assert all(net.prefixlen == NET_PREFIX for net in one)
    assert not any(net.overlaps(other) for net in one for other in NEVER)
    assert len(one) > 50


def colliding():
    """Return two names of instances that begin to look at the same net."""
    first = f"c{secrets.token_hex(3)}"
    wanted = next(candidate_nets(first))
    while True:
        second = f"d{secrets.token_hex(3)}"
        if next(candidate_nets(second)) == wanted:
            return first, second


def written(tmp_path, text):
    """Return resolvers that have been opened where an earlier daemon wrote ``text``."""
    instance = Settings(name="t", data=tmp_path / "data", run=tmp_path / "run").instance()
    folder = instance.run / "dns"
    folder.mkdir(parents=True)
    (folder / "zones.json").write_text(text)
    (folder / "5.pid").write_text("0")
    resolvers = Resolvers(instance, lambda: None)
    resolvers.open()
    return resolvers


def test_zones_are_taken_over_from_a_daemon_that_knew_less_or_more_of_them(tmp_path):
    entry = {"networks": ["shop_front"], "number": 7, "later": 1, "aliases": [{"name": "x"}]}
    text = json.dumps({"net": "169.254.4.0/22", "zones": [{**entry, "aliases": []}], "later": 1})

    resolvers = written(tmp_path, text)

    assert resolvers.address(Zone(networks=(FRONT,)), 4) == IPv4Address("169.254.4.7")


@pytest.mark.parametrize("text", ["", "[]", '{"net": "x"}', '{"zones": [{"number": 7}]}'])
def test_a_resolver_nobody_knows_the_zone_of_keeps_its_number(tmp_path, text):
    resolvers = written(tmp_path, text)
    resolvers.settle(IPv4Network("169.254.4.0/22"))

    numbers = [
        int(resolvers.address(Zone(networks=(FRONT,), servers=(str(one),)), 4)) & 0xFF
        for one in range(4)
    ]

    assert numbers == [2, 3, 4, 6]


@pytest.mark.root
async def test_a_resolver_nobody_knows_the_zone_of_ends_when_names_are_published(tmp_path):
    name = f"t{secrets.token_hex(3)}"
    instance = Settings(name=name, data=tmp_path / "data", run=tmp_path / "run").instance()
    instance.run.mkdir()
    zone = Zone(networks=(FRONT,))
    exposure = Exposure(zones=(zone,))
    async with AsyncExitStack() as opened:
        driver = Networks(instance)
        await driver.open()
        await driver.create(network(FRONT, IPv4Network("198.18.77.0/26")))
        await driver.publish(exposure)
        (pid,) = [int(path.read_text()) for path in (instance.run / "dns").glob("*.pid")]
        await driver.close()
        (instance.run / "dns" / "zones.json").write_text("")
        driver = Networks(instance)
        await driver.open()
        opened.push_async_callback(driver.close)
        opened.push_async_callback(driver.remove, FRONT)

        await driver.publish(exposure)

        (fresh,) = [int(path.read_text()) for path in (instance.run / "dns").glob("*.pid")]
        assert fresh != pid
        assert start_ticks(pid) is None
    assert find_leaks(instance) == []


@pytest.mark.root
async def test_resolvers_of_two_instances_never_have_the_same_net(tmp_path):
    instances = [
        Settings(name=name, data=tmp_path / name, run=tmp_path / f"{name}.run").instance()
        for name in colliding()
    ]
    zone = Zone(networks=(FRONT,))
    async with AsyncExitStack() as opened:
        drivers = []
        for number, instance in enumerate(instances):
            instance.run.mkdir()
            driver = Networks(instance)
            await driver.open()
            opened.push_async_callback(driver.close)
            await driver.create(network(FRONT, IPv4Network((0x0A610000 + 64 * number, 26))))
            opened.push_async_callback(driver.remove, FRONT)
            drivers.append(driver)
        before = [driver.nameservers(zone)[0] for driver in drivers]
        await drivers[1].close()
        drivers[1] = Networks(instances[1])
        await drivers[1].open()
        opened.push_async_callback(drivers[1].close)
        opened.push_async_callback(drivers[1].remove, FRONT)

        after = [driver.nameservers(zone)[0] for driver in drivers]

    nets = {IPv4Network((int(IPv4Address(one)), NET_PREFIX), strict=False) for one in before}
    assert len(nets) == 2
    assert after == before, "kept as long as the networks live"
    assert [find_leaks(instance) for instance in instances] == [[], []]
