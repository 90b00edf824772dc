"""What the network driver decides without touching anything."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from orchestrator.settings import Settings
from runtime.network.conntrack import Flow, is_stale
from runtime.network.drift import lost_bridges, lost_sandboxes
from runtime.network.firewall import Firewall
from runtime.network.obstacles import find_obstacles
from runtime.network.tables import Link
from runtime.network.watch import lost_links, risen_links
from runtime.network.wire import messages
from runtime.types import PublishedPort

SUBNETS = (IPv4Network("10.89.0.0/26"),)
ONE, TWO = IPv4Address("10.89.0.5"), IPv4Address("10.89.0.6")
PORT = PublishedPort(host_ip="0.0.0.0", host_port=53, protocol="udp", targets=((ONE, 53),))
FLOW = Flow(
    source="198.18.0.2",
    source_port=40000,
    target="198.18.0.1",
    target_port=53,
    answered_by=str(ONE),
    translated=True,
)


@pytest.mark.parametrize(
    ("flow", "port", "stale"),
    [
        (FLOW, PORT, False),
        (replace(FLOW, answered_by=str(TWO)), PORT, True),
        (FLOW, replace(PORT, targets=()), True),
        (replace(FLOW, answered_by="172.17.0.2"), PORT, False),
        (replace(FLOW, answered_by=FLOW.target, translated=False), PORT, True),
        (
            replace(FLOW, answered_by=FLOW.target, translated=False),
            replace(PORT, targets=()),
            False,
        ),
        (replace(FLOW, answered_by=str(TWO), target_port=54), PORT, False),
        (replace(FLOW, answered_by=str(TWO)), replace(PORT, host_ip="127.0.0.1"), False),
    ],
    ids=[
        "to a target",
        "to a target that is gone",
        "to a port nobody serves",
        "somebody else's translation",
        "to the host, though somebody serves",
        "to the host, while nobody serves",
        "another port",
        "another address of the host",
    ],
)
def test_a_flow_is_stale_when_a_new_one_would_go_elsewhere(flow, port, stale):
    assert is_stale(flow, port, SUBNETS) is stale


BRIDGE = Link(name="pobx", index=4, alias="pyorch:main:net", up=True, master=0)
VETH = Link(name="povx", index=9, alias="pyorch:main:net.web.1", up=True, master=4)
GATEWAY = IPv4Address("10.89.0.1")


@pytest.mark.parametrize(
    ("present", "addresses"),
    [
        ([], {(4, GATEWAY)}),
        ([replace(BRIDGE, up=False)], {(4, GATEWAY)}),
        ([BRIDGE], set()),
        ([BRIDGE], {(5, GATEWAY)}),
    ],
    ids=["gone", "down", "without its address", "its address elsewhere"],
)
def test_a_bridge_is_lost_when_it_is(present, addresses):
    wanted = {"net": ("pobx", (GATEWAY,))}

    assert lost_bridges(wanted, [BRIDGE], {(4, GATEWAY)}) == ()
    assert lost_bridges(wanted, present, addresses) == ("net",)


@pytest.mark.parametrize(
    "present",
    [
        [BRIDGE],
        [BRIDGE, replace(VETH, up=False)],
        [BRIDGE, replace(VETH, master=0)],
        [BRIDGE, replace(VETH, master=5)],
        [VETH],
    ],
    ids=["gone", "down", "on no bridge", "on another bridge", "without its bridge"],
)
def test_a_sandbox_is_lost_when_its_link_is(present):
    wanted = {"net.web.1": (("povx", "pobx"),)}

    assert lost_sandboxes(wanted, [BRIDGE, VETH]) == ()
    assert lost_sandboxes(wanted, present) == ("net.web.1",)


def message(kind, content):
    return struct.pack("=IHHII", 16 + len(content), kind, 0, 0, 0) + content


def link_message(kind, *, flags, changed, name=b"povx"):
    attributes = struct.pack("=HH", 4 + len(name) + 1, 3) + name + b"\0" * (4 - len(name) % 4)
    return message(kind, struct.pack("=BxHiII", 0, 1, 9, flags, changed) + attributes)


def heard(data, judge=lost_links):
    return [name for kind, _, content in messages(data) for name in judge(kind, content)]


def test_links_that_go_or_fall_are_heard_of_and_so_are_those_that_come_up():
    made = link_message(16, flags=0, changed=0xFFFFFFFF)
    made_up = link_message(16, flags=1, changed=0xFFFFFFFF)
    risen = link_message(16, flags=1, changed=1)
    fallen = link_message(16, flags=0, changed=1)
    gone = link_message(17, flags=0, changed=0xFFFFFFFF)

    assert heard(made + risen) == []
    assert heard(made + fallen) == ["povx"]
    assert heard(gone) == ["povx"]
    assert heard(made + fallen + gone, risen_links) == []
    assert heard(made_up, risen_links) == heard(risen, risen_links) == ["povx"]


@pytest.mark.parametrize("size", range(0, 44, 3))
def test_a_message_cut_short_is_no_message(size):
    assert heard(link_message(17, flags=0, changed=0)[:size]) == []
    assert heard(link_message(16, flags=1, changed=1)[:size], risen_links) == []


def test_a_message_that_claims_no_length_ends_the_reading():
    assert heard(struct.pack("=IHHII", 0, 17, 0, 0, 0) * 4) == []


@pytest.mark.parametrize(
    ("text", "opened"),
    [
        ('{"4": [], "6": ["eth0"]}', (4, 6)),
        ('{"4": [], "6": true, "later": []}', (4,)),
        ('{"families": [4]}', ()),
        ("[4]", ()),
        ("", ()),
    ],
)
def test_what_was_changed_of_the_host_is_read_for_what_both_versions_know(tmp_path, text, opened):
    instance = Settings(name="t", data=tmp_path / "data", run=tmp_path / "run").instance()
    (instance.run / "network").mkdir(parents=True)
    (instance.run / "network" / "forwarding.json").write_text(text)

    assert Firewall(instance).opened_forwarding == opened


def chain(name, hook=None, policy="accept", table="mine", family="inet"):
    found = {"family": family, "table": table, "name": name}
    return {
        "chain": {**found, **({"type": "filter", "hook": hook, "policy": policy} if hook else {})}
    }


def rule(where, *parts, table="mine", family="inet"):
    return {"rule": {"family": family, "table": table, "chain": where, "expr": list(parts)}}


DROP, COUNTER = {"drop": None}, {"counter": {"packets": 0, "bytes": 0}}
FROM_OURS = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "pob*"}}
TO_OURS = {"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": "pobabc*"}}


def whats(*objects):
    return [found.what.partition(": ")[2] for found in find_obstacles(objects)]


OUTSIDE, INSIDE = (
    "containers do not reach the outside",
    "published ports are not reachable from other machines",
)


def test_a_chain_that_drops_by_default_is_named_once_for_each_thing_it_stops():
    assert whats(chain("f", "forward", "drop")) == [OUTSIDE, INSIDE]
    assert whats(chain("i", "input", "drop")) == ["containers cannot resolve names"]
    assert whats(chain("f", "forward"), rule("f", COUNTER, DROP)) == [OUTSIDE, INSIDE]


def test_a_chain_that_lets_things_through_is_no_obstacle():
    assert whats(chain("f", "forward")) == []
    assert whats(chain("f", "forward"), rule("f", FROM_OURS, DROP)) == []
    assert whats(chain("o", "output", "drop")) == []
    assert whats(chain("f", "forward", "drop", table="pyorch_x")) == []


def test_what_speaks_of_our_bridges_counts_wherever_it_is_reached():
    jump = {"jump": {"target": "users"}}
    accept = {"accept": None}
    base = (chain("f", "forward", "drop"), chain("users"), rule("f", jump))

    assert whats(*base, rule("users", FROM_OURS, accept)) == [INSIDE]
    assert whats(*base, rule("users", FROM_OURS, accept), rule("users", TO_OURS, accept)) == []
    assert whats(*base, rule("users", jump)) == [OUTSIDE, INSIDE], "a circle ends"


def test_chains_pyorch_has_its_exceptions_in_are_no_obstacle():
    names = {"table": "filter", "family": "ip"}
    docker = rule("FORWARD", {"jump": {"target": "DOCKER-USER"}}, **names)
    ufw = rule("FORWARD", {"jump": {"target": "ufw-user-forward"}}, **names)

    assert whats(chain("FORWARD", "forward", "drop", **names), docker) == []
    assert whats(chain("FORWARD", "forward", "drop", **names), ufw) == [INSIDE]
