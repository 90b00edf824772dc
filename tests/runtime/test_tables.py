"""The kernel's tables are read as iproute2 reads them."""

import json
import socket
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.network import tables, wire

STACK = """
name: shop
services: {web: {image: busybox, command: [sleep, inf], stop_grace_period: 0s}}
"""
PROGRAM = """
import json
from runtime.network.tables import read_links
print(json.dumps({link.name: link.alias for link in read_links()}))
"""
FAMILIES = {socket.AF_INET: "-4", socket.AF_INET6: "-6"}


def ip(*words):
    done = subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def test_the_loopback_is_told_as_iproute2_tells_it():
    (told,) = ip("link", "show", "lo")
    (found,) = (one for one in tables.read_links() if one.name == "lo")

    assert found.index == told["ifindex"]
    assert found.up == ("UP" in told["flags"])
    assert (found.alias, found.master) == (told.get("ifalias", ""), 0)


@pytest.mark.root
def test_a_whole_host_is_read_as_iproute2_reads_it(lab):
    """The host of a lab is nobody else's: what is told of it twice is the same."""
    lab.pyorch.write(STACK)
    lab.pyorch.run("up", "-d")
    found = lab.run("host", sys.executable, "-c", PROGRAM)
    told = json.loads(lab.run("host", "ip", "-j", "link"))

    names = {link["ifname"]: link.get("ifalias", "") for link in told}
    assert json.loads(found) == names
    assert any(name.startswith("po") for name in names)


@pytest.mark.parametrize("family", FAMILIES)
def test_routes_are_those_iproute2_tells_of(family):
    def told():
        alone = 32 if family == socket.AF_INET else 128
        for one in ip(FAMILIES[family], "route", "show", "table", "all"):
            if one["dst"] != "default":
                target = one["dst"] if "/" in one["dst"] else f"{one['dst']}/{alone}"
                yield target, one.get("dev", "")

    # Others change this host meanwhile: what is told before and after was there in between.
    before = set(told())
    names = {link.index: link.name for link in tables.read_links()}
    found = {(str(one.target), names.get(one.out, "")) for one in tables.read_routes(family)}

    assert before & set(told()) <= found


def test_addresses_are_those_iproute2_tells_of():
    def told():
        return {
            (link["ifindex"], one["local"]) for link in ip("address") for one in link["addr_info"]
        }

    before = told()
    found = {(index, str(address)) for index, address in tables.read_addresses()}

    assert before & told() <= found


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reading_of_messages(data):
    for _, _, content in wire.messages(data):
        list(wire.attributes(content))


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=9)), max_size=5))
def test_attributes_come_back_as_they_were_written(pairs):
    data = b"".join(
        struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
        for kind, value in pairs
    )
    assert list(wire.attributes(data)) == pairs
