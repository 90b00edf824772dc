"""Two stacks of two networks each: who reaches whom, by every address there is."""

import pytest

from tests.lab import AAAA, HOST, HOST6, NO_SUCH_NAME, WITH_PYTHON, A, eventually

pytestmark = pytest.mark.root


def stack(name, port):
    """Return a stack whose `a` is on both of its networks, and whose `b` on one of them."""
    run = f'{WITH_PYTHON}    command: "/usr/bin/python3 /answer.py 80"\n'
    return (
        f"name: {name}\nservices:\n"
        f"  a:{run}    networks: [x, y]\n    ports: ['{port}:80', '127.0.0.1:{port + 1}:80']\n"
        f"  b:{run}    networks: [y]\n"
        "networks: {x: {enable_ipv6: true}, y: {enable_ipv6: true}}\n"
    )


@pytest.fixture
def two(lab):
    for name, port in (("one", 8100), ("two", 8200)):
        lab.pyorch.write(stack(name, port))
        lab.pyorch.run("up", "-d", "--wait")
    return lab


def gateways(lab, stack_, service):
    """Return the host's addresses in a container's networks, of both families."""
    found = []
    for family in ("-4", "-6"):
        for line in lab.within(f"{stack_}/{service}.1", "ip", family, "route").splitlines():
            words = line.split()
            if "via" in words:
                found.append(words[words.index("via") + 1])
    return sorted(set(found))


def test_a_stack_is_reached_by_what_it_publishes_and_by_nothing_else(two):
    lab = two
    own = {
        (name, service): [
            address
            for net in nets
            for address in lab.addresses(name, f"{name}-{service}-1", f"{name}_{net}")
        ]
        for name in ("one", "two")
        for service, nets in (("a", ("x", "y")), ("b", ("y",)))
    }
    assert [len(found) for found in own.values()] == [4, 2, 4, 2]

    # Within a stack: by every address of a network both are on, in both families.
    for name in ("one", "two"):
        for address in own[name, "a"][2:]:
            eventually(
                lambda name=name, address=address: lab.from_container(name, "b", address, 80),
                lambda found: found.startswith("a-1"),
            )
        for address in own[name, "a"][:2]:
            assert lab.from_container(name, "b", address, 80) == "", "a network it is not on"
    # Between stacks: by no address of a container's.
    for address in (*own["two", "a"], *own["two", "b"]):
        assert lab.from_container("one", "a", address, 80) == ""
    # What is published everywhere is reached at the host's addresses, gateways of others too;
    # what is published on 127.0.0.1, and what is not published, is not.
    theirs = [gate for gate in gateways(lab, "two", "a") if not gate.startswith("fe80")]
    assert {":" in gate for gate in theirs} == {True, False}
    for address in (HOST, HOST6, *theirs):
        assert lab.from_container("one", "a", address, 8200).startswith("a-1")
        assert lab.from_container("one", "a", address, 8201) == ""
        assert lab.from_container("one", "a", address, 80) == ""
    # Names of others are nobody's.
    assert lab.query("one/a.1", "two-a-1").code == NO_SUCH_NAME
    assert set(lab.query("one/a.1", "b", A).addresses) == {own["one", "b"][0]}
    assert set(lab.query("one/a.1", "b", AAAA).addresses) == {own["one", "b"][1]}
