"""Keys of a stack file that decide what a container can look up."""

import socket
from ipaddress import IPv4Address

import pytest

from tests.lab import (
    HOST,
    NO_SUCH_NAME,
    PTR,
    WITH_PYTHON,
    answer_with,
    eventually,
    name_in,
    serving,
)

pytestmark = pytest.mark.root

SLEEPER = "image: busybox, command: sleep 1000, stop_grace_period: 0s"
SERVER = "203.0.113.53"

OLD = f"""
name: old
services:
  db: {{ {SLEEPER}, networks: [meet] }}
networks: {{meet: {{name: meet}}}}
"""

SHOP = f"""
name: shop
services:
  db: {{ {SLEEPER}, networks: [back] }}
  web:
    {{ {SLEEPER}, networks: [back, meet], links: ["db:database", "hidden:nothing"],
      external_links: ["old-db-1:legacy", "nobody"], dns: [{SERVER}],
      dns_search: [corp.example.org], dns_opt: ["timeout:2", "attempts:1"] }}
  other: {{ {SLEEPER}, networks: [back] }}
  hidden: {{ {SLEEPER}, networks: [apart] }}
networks:
  back: {{}}
  apart: {{}}
  meet: {{name: meet, external: true}}
"""


def reverse(address):
    return IPv4Address(address).reverse_pointer


@pytest.mark.attribute(
    "services.*.dns",
    "services.*.dns_opt",
    "services.*.dns_search",
    "services.*.external_links",
    "services.*.links",
)
def test_names_that_keys_of_a_service_give(lab):
    """One stack shows `links`, `external_links`, `dns` and names of addresses."""
    lab.pyorch.write(OLD)
    lab.pyorch.run("up", "-d", "--wait")
    lab.pyorch.write(SHOP)
    lab.pyorch.run("up", "-d", "--wait")
    db = lab.address("shop", "shop-db-1", "shop_back")
    legacy = lab.address("old", "old-db-1", "meet")
    lab.run("stranger", "ip", "address", "add", f"{SERVER}/32", "dev", "lo")

    # links: a name only whoever asked for it knows, for services it shares a network with.
    assert lab.query("shop/web.1", "database").addresses == (db,)
    assert set(lab.query("shop/web.1", "db").addresses) == {db, legacy}, (
        "each of its networks has one"
    )
    assert lab.query("shop/other.1", "database").code == NO_SUCH_NAME
    assert lab.query("shop/web.1", "nothing").code == NO_SUCH_NAME
    # external_links: the same, for containers of others.
    assert lab.query("shop/web.1", "legacy").addresses == (legacy,)
    assert lab.query("shop/other.1", "legacy").code == NO_SUCH_NAME
    # dns: asked for everything else, and by nobody else.
    with lab.socket("stranger", socket.SOCK_DGRAM) as channel:
        channel.bind((SERVER, 53))
        with serving(channel, answer_with("203.0.113.9")) as heard:
            found = lab.query("shop/web.1", "example.org")
            lab.query("shop/web.1", "nobody")
            for name in ("db", "intranet"):
                lab.inside("shop", "web", "timeout", "2", "nc", name, "80")
            with pytest.raises(TimeoutError):
                lab.query("shop/other.1", "example.org")
    assert found.addresses == ("203.0.113.9",)
    asked = [name_in(query) for query in heard]
    assert asked[0] == "example.org"
    # dns_search: where names of one label are looked for that are nobody's here.
    assert set(asked[1:]) == {"intranet.corp.example.org"}
    # dns_opt: what the libraries of the container make of it is theirs.
    lines = lab.inside("shop", "web", "cat", "/etc/resolv.conf").splitlines()
    assert "search corp.example.org" in lines
    assert "options timeout:2 attempts:1 ndots:0" in lines
    # An address is called what its container is called, and where.
    assert lab.query("shop/web.1", reverse(db), PTR).names == ("shop-db-1.shop_back",)
    assert lab.query("shop/web.1", reverse(legacy), PTR).names == ("old-db-1.meet",)
    assert lab.query("shop/other.1", reverse(legacy), PTR).code == NO_SUCH_NAME
    assert lab.query("shop/web.1", "shop-db-1.shop_back").addresses == (db,)


def test_links_follow_a_service_that_is_made_anew(lab):
    lab.pyorch.write(OLD)
    lab.pyorch.run("up", "-d", "--wait")
    lab.pyorch.write(SHOP)
    lab.pyorch.run("up", "-d", "--wait")
    lab.pyorch.write(SHOP.replace("  db: { image", "  db: { scale: 2, image"))

    lab.pyorch.run("up", "-d", "--wait")

    eventually(lambda: len(lab.query("shop/web.1", "database").addresses), lambda count: count == 2)


def test_network_mode_bridge_is_a_way_out_without_names(lab):
    lab.pyorch.write(
        f"name: plain\nservices:\n  a:{WITH_PYTHON}"
        '    command: "/usr/bin/python3 /answer.py 80"\n    network_mode: bridge\n'
        '    ports: ["8080:80"]\n'
        f"  b: {{ {SLEEPER}, network_mode: bridge, dns: [{SERVER}] }}\n"
        f"  c: {{ {SLEEPER} }}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")
    address = lab.address("plain", "plain-a-1", "plain.bridge")

    eventually(lambda: lab.tcp("stranger", HOST, 8080), lambda found: found.startswith("a-1"))
    assert lab.from_container("plain", "b", address, 80).startswith("a-1")
    assert lab.from_container("plain", "c", address, 80) == ""
    assert lab.query("plain/b.1", "a").code == NO_SUCH_NAME
    assert lab.query("plain/c.1", "a").code == NO_SUCH_NAME
    lab.run("stranger", "ip", "address", "add", f"{SERVER}/32", "dev", "lo")
    with lab.socket("stranger", socket.SOCK_DGRAM) as channel:
        channel.bind((SERVER, 53))
        with serving(channel, answer_with("203.0.113.9")):
            assert lab.query("plain/b.1", "example.org").addresses == ("203.0.113.9",)
