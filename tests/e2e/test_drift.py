"""What others take away from networks is put back, under running containers."""

import json
import socket
from pathlib import Path

import pytest

from runtime.network.netns import run_inside
from runtime.network.nftables import generation
from tests.invariants import check_invariants
from tests.lab import HOST, WITH_PYTHON, Answer, eventually

pytestmark = pytest.mark.root

STACK = f"""
name: net
services:
  web:{WITH_PYTHON}
    command: "/usr/bin/python3 /answer.py 80"
    ports: ["8080:80", "127.0.0.1:8081:80"]
  app:{WITH_PYTHON}
    command: sleep 1000
"""


def bring_up(lab):
    lab.pyorch.write(STACK)
    lab.pyorch.run("up", "-d", "--wait")
    eventually(lambda: lab.tcp("stranger", HOST, 8080), lambda a: a.startswith("web-1"))
    return lab


@pytest.fixture(scope="module")
def mending(shared_lab):
    """One network for all damage: it is mended before the next comes."""
    return bring_up(shared_lab)


@pytest.fixture
def net(mending):
    before = pids(mending)
    yield mending
    assert pids(mending) == before, "nothing was restarted"


@pytest.fixture
def own_net(lab):
    bring_up(lab)
    before = pids(lab)
    yield lab
    assert pids(lab) == before, "nothing was restarted"


def pids(lab):
    return [lab.pyorch.main_process(name) for name in ("net/web.1", "net/app.1")]


def links(lab, kind, *more):
    """Return the names of pyorch's links of a kind."""
    found = json.loads(lab.run("host", "ip", "-j", "link", "show", "type", kind, *more))
    return [one["ifname"] for one in found if one.get("ifalias", "").startswith("pyorch:")]


def bridge(lab):
    return next(name for name in links(lab, "bridge") if name.startswith("pob"))


def everything_works(lab):
    """Whether names, other containers, the host, strangers and the outside are reachable."""
    try:
        named = lab.query("net/app.1", "web")
    except OSError:
        named = Answer(2)
    return (
        named.code == 0
        and lab.from_container("net", "app", "web", 80).startswith("web-1")
        and lab.tcp("host", "127.0.0.1", 8081, patience=0.5).startswith("web-1")
        and lab.tcp("stranger", HOST, 8080, patience=0.5).startswith("web-1")
    )


def the_bridge_is_deleted(lab):
    lab.run("host", "ip", "link", "delete", bridge(lab))


def the_bridge_is_set_down(lab):
    lab.run("host", "ip", "link", "set", bridge(lab), "down")


def the_bridge_loses_its_address(lab):
    lab.run("host", "ip", "address", "flush", "dev", bridge(lab))


def a_link_is_deleted(lab):
    for name in links(lab, "veth"):
        lab.run("host", "ip", "link", "delete", name)


def a_link_is_set_down(lab):
    for name in links(lab, "veth"):
        lab.run("host", "ip", "link", "set", name, "down")


def a_link_is_taken_off_its_bridge(lab):
    for name in links(lab, "veth"):
        lab.run("host", "ip", "link", "set", name, "nomaster")


def the_resolvers_link_is_deleted(lab):
    name = next(name for name in links(lab, "bridge") if name.startswith("pod"))
    lab.run("host", "ip", "link", "delete", name)


def the_table_is_deleted(lab):
    lab.nft(f"delete table inet {lab.pyorch.settings.instance().table}")


def the_table_is_flushed(lab):
    lab.nft(f"flush table inet {lab.pyorch.settings.instance().table}")


def all_rules_are_flushed(lab):
    lab.nft("flush ruleset")


def one_chain_is_flushed(lab):
    lab.nft(f"flush chain inet {lab.pyorch.settings.instance().table} publish")


def forwarding_is_turned_off(lab):
    lab.forwarding = False


@pytest.mark.parametrize(
    "damage",
    [
        the_bridge_is_deleted,
        the_bridge_is_set_down,
        the_bridge_loses_its_address,
        a_link_is_deleted,
        a_link_is_set_down,
        a_link_is_taken_off_its_bridge,
        the_resolvers_link_is_deleted,
        the_table_is_deleted,
        the_table_is_flushed,
        all_rules_are_flushed,
        one_chain_is_flushed,
        forwarding_is_turned_off,
    ],
    ids=lambda damage: damage.__name__,
)
def test_f28_f29_it_is_mended_when(net, damage):
    assert everything_works(net)

    damage(net)

    eventually(lambda: everything_works(net), bool)
    check_invariants(net.pyorch, again=False)


@pytest.mark.parametrize(
    "damage",
    [the_bridge_is_set_down, the_bridge_is_deleted, a_link_is_deleted],
    ids=lambda damage: damage.__name__,
)
def test_f29_connections_outlive(net, damage):
    path = Path(f"/proc/{net.pyorch.main_process('net/app.1')}/ns/net")
    address = net.address("net", "net-web-1", "net_default")
    near = run_inside(path, lambda: socket.create_connection((address, 80), 20))
    far = run_inside(net.path("stranger"), lambda: socket.create_connection((HOST, 8080), 20))
    with near, far:
        for channel in (near, far):
            channel.sendall(b"x")
            assert channel.recv(100).startswith(b"web-1")

        damage(net)

        for channel in (near, far):
            channel.sendall(b"x")
            assert channel.recv(100).startswith(b"web-1")


def test_f28_a_port_on_loopback_is_never_reachable_from_outside_meanwhile(net):
    found = set()
    for _ in range(30):
        net.nft("flush ruleset")
        found.add(net.tcp("stranger", HOST, 8081, patience=0.5))

    assert found == {"refused"}
    eventually(lambda: everything_works(net), bool)


def test_what_was_mended_is_told_once_and_leads_to_no_further_change(own_net):
    log = own_net.pyorch.settings.daemon_log
    the_table_is_deleted(own_net)
    eventually(lambda: "firewall table" in log.read_text(), bool)
    the_bridge_is_set_down(own_net)
    eventually(lambda: "bridge of network net_default" in log.read_text(), bool)
    eventually(lambda: everything_works(own_net), bool)
    before = run_inside(own_net.path("host"), generation)

    for _ in range(3):
        own_net.pyorch.run("up", "-d", "--wait")

    assert run_inside(own_net.path("host"), generation) == before
    assert log.read_text().count("network.mended") == 2
