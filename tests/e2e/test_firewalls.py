"""Beside other firewalls, and on hosts that were no routers."""

import socket

import pytest

from runtime.network.netns import run_inside
from tests.lab import HOST, STRANGER, WITH_PYTHON, accept, eventually

pytestmark = pytest.mark.root

STACK = f"""
name: net
services:
  web:{WITH_PYTHON}
    command: "/usr/bin/python3 /answer.py 80"
    ports: ["8080:80"]
  app:{WITH_PYTHON}
    command: sleep 1000
"""

DOCKER = """
table ip filter {
  chain DOCKER-USER { counter return; }
  chain DOCKER-ISOLATION-STAGE-1 { counter return; }
  chain DOCKER { }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-ISOLATION-STAGE-1
    oifname "docker0" ct state related,established counter accept
    oifname "docker0" counter jump DOCKER
    iifname "docker0" oifname != "docker0" counter accept
  }
}
""".replace("{ counter return; }", "{\n    counter return\n  }")

UFW = """
table ip filter {
  chain ufw-user-input { }
  chain ufw-user-forward { }
  chain INPUT {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state related,established accept
    jump ufw-user-input
  }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    ct state related,established accept
    jump ufw-user-forward
  }
}
"""


def up(lab):
    lab.pyorch.write(STACK)
    return lab.pyorch.try_("up", "-d", "--wait")


def reaches_outside(lab):
    """Whether a container's connection arrives at the stranger."""
    with run_inside(lab.path("stranger"), lambda: socket.create_server((STRANGER, 9000))) as server:
        server.settimeout(0.5)
        lab.from_container("net", "app", STRANGER, 9000)
        try:
            return accept(server) == HOST
        except TimeoutError:
            return False


def is_reached(lab):
    return lab.tcp("stranger", HOST, 8080, patience=0.5).startswith("web-1")


def inserted(lab):
    """Return the rules in the chains of others that carry our mark."""
    text = lab.run("host", "nft", "list", "table", "ip", "filter")
    return [line for line in text.splitlines() if f'"pyorch {lab.pyorch.name}:' in line]


def test_a_host_that_is_no_router_becomes_one_as_long_as_there_are_networks(lab):
    lab.forwarding = False

    done = up(lab)

    assert lab.forwarding
    assert "turned on net.ipv4.ip_forward" in done.err
    assert "turned on net.ipv4.ip_forward" in lab.pyorch.try_("doctor").out
    assert eventually(lambda: is_reached(lab), bool)
    assert eventually(lambda: reaches_outside(lab), bool)

    lab.pyorch.run("down")

    assert not lab.forwarding


def test_it_does_not_become_a_router_for_others(lab):
    lab.forwarding = False
    lab.add_neighbour()
    up(lab)

    def passes():
        mouth = lab.socket("neighbour", socket.SOCK_DGRAM)
        ear = lab.socket("stranger", socket.SOCK_DGRAM)
        with mouth, ear:
            ear.bind((STRANGER, 7000))
            ear.settimeout(0.5)
            mouth.sendto(b"x", (STRANGER, 7000))
            try:
                return ear.recv(10) == b"x"
            except TimeoutError:
                return False

    assert lab.forwarding
    assert not passes()
    lab.pyorch.run("daemon", "stop")  # it would put back what is taken away now
    chain = f"inet {lab.pyorch.settings.instance().table} forward"
    handle = lab.run("host", "nft", "-a", "list", "chain", *chain.split())
    last = next(line for line in handle.splitlines() if "meta nfproto ipv4 drop" in line)
    lab.nft(f"delete rule {chain} handle {last.split()[-1]}")
    assert passes(), "it is that rule which stops it"


def test_a_router_stays_one(lab):
    up(lab)
    assert "turned on" not in lab.pyorch.try_("doctor").out
    lab.pyorch.run("down")

    assert lab.forwarding


def test_beside_docker_everything_passes_and_nothing_stays_behind(lab):
    lab.nft(DOCKER)
    before = lab.run("host", "nft", "--stateless", "list", "table", "ip", "filter")

    up(lab)

    assert eventually(lambda: is_reached(lab), bool)
    assert eventually(lambda: reaches_outside(lab), bool)
    assert "DOCKER-USER" in lab.run("host", "iptables", "-S", "DOCKER-USER"), "iptables reads it"
    assert lab.pyorch.try_("doctor").out.count("firewall") == 0
    lab.pyorch.run("down")
    assert lab.run("host", "nft", "--stateless", "list", "table", "ip", "filter") == before


def test_beside_docker_the_administrators_rules_come_first(lab):
    lab.nft(DOCKER)
    up(lab)
    eventually(lambda: is_reached(lab), bool)

    lab.nft(f"insert rule ip filter DOCKER-USER iifname eth0 ip saddr {STRANGER} drop")

    assert not is_reached(lab)
    lab.nft("flush chain ip filter DOCKER-USER")
    lab.nft(f"add rule ip filter DOCKER-USER iifname eth0 ip saddr {STRANGER} drop")
    eventually(lambda: len(inserted(lab)), lambda count: count == 2)
    assert not is_reached(lab)


def test_what_docker_makes_anew_gets_our_rules_again(lab):
    up(lab)
    assert eventually(lambda: is_reached(lab), bool)

    lab.nft(DOCKER)  # it starts after us
    eventually(lambda: len(inserted(lab)), lambda count: count == 2)
    assert is_reached(lab)
    lab.nft("delete table ip filter")  # and starts again
    lab.nft(DOCKER)
    eventually(lambda: len(inserted(lab)), lambda count: count == 2)
    assert is_reached(lab)
    assert reaches_outside(lab)


def test_beside_ufw_what_leaves_passes_and_what_comes_is_for_the_host_to_allow(lab):
    lab.nft(UFW)
    up(lab)

    assert eventually(lambda: reaches_outside(lab), bool)
    assert lab.from_container("net", "app", "web", 80).startswith("web-1"), "names resolve"
    assert lab.tcp("host", "127.0.0.1", 8080).startswith("web-1")
    assert not is_reached(lab)
    told = lab.pyorch.try_("doctor").out
    assert "`FORWARD` of table `ip filter`" in told
    lab.nft("add rule ip filter ufw-user-forward iifname eth0 tcp dport 80 accept")
    assert is_reached(lab)

    lab.pyorch.run("down")
    assert inserted(lab) == []


@pytest.mark.parametrize("way", ["policy drop", "reject"])
def test_doctor_names_a_chain_of_somebody_else_that_blocks(lab, way):
    hook = "policy drop" if way == "policy drop" else "policy accept"
    rule = "" if way == "policy drop" else "counter reject"
    lab.nft(
        "table inet mine {\n"
        f"  chain input {{\n    type filter hook input priority filter; {hook};\n"
        f"    iifname lo accept\n    ct state established accept\n    {rule}\n  }}\n"
        f"  chain onward {{\n    type filter hook forward priority filter; {hook};\n"
        f"    ct state established accept\n    {rule}\n  }}\n}}\n"
    )
    up(lab)

    told = lab.pyorch.try_("doctor").out

    assert not is_reached(lab)
    assert not reaches_outside(lab)
    assert "`input` of table `inet mine`" in told
    assert "`onward` of table `inet mine`" in told
    for line in told.splitlines():
        if "-> nft " in line:
            lab.nft(line.partition("-> nft ")[2].replace("'", ""))
    assert eventually(lambda: is_reached(lab), bool)
    assert reaches_outside(lab)
    assert lab.from_container("net", "app", "web", 80).startswith("web-1")
