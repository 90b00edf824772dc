"""Keys of networks, and of places in them, as the container and the host see them."""

import json
import socket
from ipaddress import ip_address, ip_network

import pytest

from runtime.network.names import bridge_name
from runtime.network.netns import run_inside
from tests.lab import (
    AAAA,
    HOST,
    PTR,
    STRANGER,
    WITH_PYTHON,
    accept,
    eventually,
)
from tests.patience import patient

pytestmark = pytest.mark.root

SLEEPER = "image: busybox, command: sleep 1000, stop_grace_period: 0s"
OPTION = "com.docker.network"

KEYS = f"""
name: keys
services:
  a:{WITH_PYTHON}
    command: "/usr/bin/python3 /answer.py 80"
    mac_address: 02:42:00:00:00:0A
    networks:
      front:
        ipv4_address: 10.77.0.9
        ipv6_address: fd77::9
        interface_name: wan
        link_local_ips: [169.254.77.7, fe80::77]
        driver_opts: {{{OPTION}.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1}}
        priority: 10
      back:
        gw_priority: 5
        mac_address: 02-42-00-00-00-0b
        driver_opts: {{{OPTION}.endpoint.ifname: lan0}}
      plain: {{}}
      prefixed: {{}}
  b: {{ {SLEEPER}, networks: [front], scale: 3 }}
networks:
  front:
    labels: {{com.example.of: keys}}
    driver_opts: {{{OPTION}.driver.mtu: 1400}}
    ipam:
      driver: default
      options: {{com.example.option: nothing}}
      config:
        - subnet: 10.77.0.0/16
          gateway: 10.77.0.254
          ip_range: 10.77.5.8/29
          aux_addresses: {{one: 10.77.5.8, two: 10.77.5.9, three: 10.77.5.10, four: 10.77.5.11}}
        - subnet: fd77::/64
  back:
    enable_ipv6: true
    driver_opts: {{{OPTION}.bridge.name: keysbr}}
  plain: {{}}
  prefixed:
    driver_opts: {{{OPTION}.container_iface_prefix: net}}
"""


def links(printed):
    """Return links and what is on them, by name, from what `ip -j address` prints."""
    found = {}
    for link in json.loads(printed):
        addresses = {f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"]}
        found[link["ifname"]] = {**link, "addresses": addresses}
    return found


def default_routes(lab, container):
    """Return where the default routes of both families lead, and through which interface."""
    found = {}
    for family in ("-4", "-6"):
        for route in json.loads(lab.within(container, "ip", "-j", family, "route")):
            if route["dst"] == "default":
                found[family] = (route["gateway"], route["dev"])
    return found


ELSEWHERE = ("10.89.0.0/17", "10.89.128.0/18")
"""Most of what networks without a subnet are given theirs from: the host routes it to others."""


@pytest.fixture(scope="module")
def keys(shared_lab):
    lab = shared_lab
    for net in ELSEWHERE:
        lab.run("host", "ip", "route", "add", net, "via", STRANGER)
    lab.pyorch.write(KEYS)
    lab.pyorch.run("up", "-d", "--wait")
    return lab


@pytest.mark.attribute(
    "services.*.mac_address",
    "services.*.networks.*.driver_opts",
    "services.*.networks.*.gw_priority",
    "services.*.networks.*.interface_name",
    "services.*.networks.*.ipv4_address",
    "services.*.networks.*.ipv6_address",
    "services.*.networks.*.link_local_ips",
    "services.*.networks.*.mac_address",
    "services.*.networks.*.priority",
    "networks.*.ipam.config.*.gateway",
    "networks.*.ipam.config.*.subnet",
)
def test_interfaces_are_what_keys_of_their_networks_say(keys):
    """`ipv4_address`, `ipv6_address`, `mac_address`, `interface_name`, `link_local_ips`,
    `driver_opts`, `priority`, `gw_priority`; `mtu`, `container_iface_prefix`, `bridge.name`."""
    inside = links(keys.within("keys/a.1", "ip", "-j", "address"))

    assert list(inside) == ["lo", "wan", "lan0", "eth0", "net0"], "in order of priority, then name"
    wan, lan = inside["wan"], inside["lan0"]
    assert {"10.77.0.9/16", "fd77::9/64", "169.254.77.7/16", "fe80::77/64"} <= wan["addresses"]
    assert (wan["address"], wan["mtu"]) == ("02:42:00:00:00:0a", 1400)
    assert (lan["address"], lan["mtu"]) == ("02:42:00:00:00:0b", 1500)
    assert keys.within("keys/a.1", "sysctl", "-n", "net.ipv4.conf.wan.log_martians") == "1\n"
    assert keys.within("keys/a.1", "sysctl", "-n", "net.ipv4.conf.lan0.log_martians") == "0\n"

    outside = links(keys.run("host", "ip", "-j", "address"))
    front = outside[bridge_name(keys.pyorch.settings.instance(), "keys_front")]
    assert front["mtu"] == 1400
    assert {"10.77.0.254/16", "fd77::1/64"} <= front["addresses"]
    back = [one for one in outside["keysbr"]["addresses"] if not one.startswith("fe80")]
    gateways = {str(ip_address(one.partition("/")[0])) for one in back}
    routes = default_routes(keys, "keys/a.1")
    assert {gateway for gateway, _ in routes.values()} == gateways, "`gw_priority` decides"
    assert {device for _, device in routes.values()} == {"lan0"}
    chosen = [ip_network(one, strict=False) for one in lan["addresses"] if "." in one]
    for name in ("eth0", "net0"):
        chosen += [ip_network(one, strict=False) for one in inside[name]["addresses"]]
    assert len(chosen) == 3
    assert not any(one.overlaps(ip_network(net)) for one in chosen for net in ELSEWHERE)


@pytest.mark.attribute(
    "networks.*.ipam.driver",
    "networks.*.ipam.options",
    "networks.*.ipam.config.*.aux_addresses",
    "networks.*.ipam.config.*.ip_range",
)
def test_addresses_come_from_their_range_and_leave_others_alone(keys):
    """`ip_range` and `aux_addresses`: eight addresses, of which four are spoken for."""
    places = [keys.addresses("keys", f"keys-b-{slot}", "keys_front") for slot in (1, 2, 3)]

    assert {four for four, _ in places} <= {f"10.77.5.{last}" for last in (12, 13, 14, 15)}
    assert len({four for four, _ in places}) == 3
    assert all(ip_address(six) in ip_network("fd77::/64") for _, six in places)


def test_members_reach_and_know_each_other_in_both_families(keys):
    assert keys.query("keys/b.1", "a").addresses == ("10.77.0.9",)
    assert keys.query("keys/b.1", "a", AAAA).addresses == ("fd77::9",)
    pointer = ip_address("fd77::9").reverse_pointer
    assert keys.query("keys/b.1", pointer, PTR).names == ("keys-a-1.keys_front",)
    assert "fd77::9" in keys.inside("keys", "a", "cat", "/etc/hosts")
    for address in ("10.77.0.9", "fd77::9"):
        eventually(
            lambda address=address: keys.from_container("keys", "b", address, 80),
            lambda found: found.startswith("a-1"),
        )


def test_without_a_gateway_priority_the_first_network_by_name_leads_out(lab):
    lab.pyorch.write(
        f"name: way\nservices:\n  a: {{ {SLEEPER}, networks: {{z: {{priority: 9}}, m: {{}},"
        " c: {}} }\nnetworks: {z: {}, m: {}, c: {internal: true}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")

    assert default_routes(lab, "way/a.1")["-4"][1] == "eth2", "c is internal"
    assert list(links(lab.within("way/a.1", "ip", "-j", "address"))) == [
        "lo",
        "eth0",
        "eth1",
        "eth2",
    ]


OPTIONS = f"""
name: opts
services:
  apart: &answering{WITH_PYTHON}
    command: "/usr/bin/python3 /answer.py 80"
    networks: [apart]
    ports: ["8081:80"]
  alone: {{ {SLEEPER}, networks: [apart] }}
  plain: {{<<: *answering, networks: [plain], ports: []}}
  bound: {{<<: *answering, networks: [bound], ports: ["8082:80"]}}
  routed: {{<<: *answering, networks: [routed], ports: ["80"]}}
  open: {{<<: *answering, networks: [open], ports: []}}
  trusting: {{<<: *answering, networks: [trusting], ports: []}}
  source: {{<<: *answering, networks: [source], ports: []}}
networks:
  apart: {{driver_opts: {{{OPTION}.bridge.enable_icc: "false"}}}}
  plain: {{driver_opts: {{{OPTION}.bridge.enable_ip_masquerade: "false"}}}}
  bound: {{driver_opts: {{{OPTION}.bridge.host_binding_ipv4: 127.0.0.1}}}}
  routed: {{driver_opts: {{{OPTION}.bridge.gateway_mode_ipv4: routed}}}}
  open: {{driver_opts: {{{OPTION}.bridge.gateway_mode_ipv4: nat-unprotected}}}}
  trusting: {{driver_opts: {{{OPTION}.bridge.trusted_host_interfaces: eth0}}}}
  source: {{driver_opts: {{{OPTION}.host_ipv4: 198.18.0.77}}}}
"""


@pytest.fixture
def options(lab):
    lab.pyorch.write(OPTIONS)
    lab.run("host", "ip", "address", "add", "198.18.0.77/24", "dev", "eth0")
    lab.pyorch.run("up", "-d", "--wait")
    eventually(lambda: lab.tcp("host", HOST, 8081), lambda found: found.startswith("apart-1"))
    return lab


def seen_from(lab, service):
    """Return under which address a service is seen outside."""
    with run_inside(lab.path("stranger"), lambda: socket.create_server((STRANGER, 9000))) as server:
        server.settimeout(patient(5))
        lab.from_container("opts", service, STRANGER, 9000)
        return accept(server)


@pytest.mark.attribute("networks.*.driver_opts")
def test_options_of_networks_decide_who_reaches_whom(options):
    """`enable_icc`, `enable_ip_masquerade`, `host_binding_ipv4`, `host_ipv4`,
    `gateway_mode_ipv4`, `trusted_host_interfaces`."""
    lab = options
    own = {
        name: lab.address("opts", f"opts-{name}-1", f"opts_{name}")
        for name in ("apart", "plain", "bound", "routed", "open", "trusting", "source")
    }

    # enable_icc: members do not reach each other.
    assert lab.from_container("opts", "alone", own["apart"], 80) == ""
    # enable_ip_masquerade, host_ipv4: under which address the outside sees them.
    assert seen_from(lab, "plain") == own["plain"]
    assert seen_from(lab, "bound") == HOST
    assert seen_from(lab, "source") == "198.18.0.77"
    assert seen_from(lab, "routed") == own["routed"]
    # host_binding_ipv4: where ports are published that name no address.
    assert lab.tcp("host", "127.0.0.1", 8082).startswith("bound-1")
    assert lab.tcp("stranger", HOST, 8082) == "refused"
    # gateway_mode, trusted_host_interfaces: who is reached by its own address, and at which ports.
    assert lab.tcp("stranger", own["routed"], 80).startswith("routed-1")
    assert lab.tcp("stranger", own["routed"], 81, patience=0.5) == "silence"
    assert lab.tcp("stranger", own["open"], 80).startswith("open-1")
    assert lab.tcp("stranger", own["open"], 81) == "refused"
    assert lab.tcp("stranger", own["trusting"], 80).startswith("trusting-1")
    for shut in ("apart", "plain", "bound", "source"):
        assert lab.tcp("stranger", own[shut], 80, patience=0.5) == "silence"
    # None of it opens one network to another.
    for name in ("open", "routed", "trusting"):
        assert lab.from_container("opts", "plain", own[name], 80) == ""


def test_options_that_change_are_applied_to_the_network_that_is_there(lab):
    lab.pyorch.write(
        f"name: opts\nservices:\n  a:{WITH_PYTHON}    command: /usr/bin/python3 /answer.py 80\n"
        "networks: {default: {}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")
    bridge = bridge_name(lab.pyorch.settings.instance(), "opts_default")
    before = links(lab.run("host", "ip", "-j", "address"))[bridge]
    assert seen_from(lab, "a") == HOST
    lab.pyorch.write(
        lab.pyorch.work.joinpath("stack.yml")
        .read_text()
        .replace(
            "default: {}",
            f"default: {{driver_opts: {{{OPTION}.driver.mtu: 1300, "
            f'{OPTION}.bridge.enable_ip_masquerade: "false"}}}}',
        )
    )

    lab.pyorch.run("up", "-d", "--wait")

    after = links(lab.run("host", "ip", "-j", "address"))[bridge]
    assert (before["ifindex"], before["mtu"]) == (after["ifindex"], 1500)
    assert after["mtu"] == 1300
    assert links(lab.within("opts/a.1", "ip", "-j", "address"))["eth0"]["mtu"] == 1300
    assert seen_from(lab, "a") == lab.address("opts", "opts-a-1", "opts_default")
    assert "nothing to do" in lab.pyorch.run("plan") or lab.pyorch.try_("plan").code == 0


def test_a_bridge_that_is_somebody_elses_is_not_taken(lab):
    lab.run("host", "ip", "link", "add", "theirs", "type", "bridge")
    lab.pyorch.write(
        f"name: thief\nservices:\n  a: {{ {SLEEPER} }}\n"
        f"networks: {{default: {{driver_opts: {{{OPTION}.bridge.name: theirs}}}}}}\n"
    )

    done = lab.pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "this host has a link `theirs` already" in done.err
    theirs = links(lab.run("host", "ip", "-j", "address"))["theirs"]
    assert (theirs["addresses"], theirs.get("ifalias")) == (set(), None)


@pytest.mark.attribute("networks.*.driver")
def test_a_macvlan_is_a_neighbour_on_the_hosts_link(lab):
    """`driver: macvlan` with `parent`: the container is on the host's own link."""
    lab.pyorch.write(
        f"name: near\nservices:\n  a:{WITH_PYTHON}    command: /usr/bin/python3 /answer.py 80\n"
        "    networks: {lan: {ipv4_address: 198.18.0.50, mac_address: '02:42:c6:12:00:32'}}\n"
        "    dns: 203.0.113.53\n"
        f"  b:{WITH_PYTHON}    command: sleep 1000\n    networks: [lan, inner]\n"
        f"  c:{WITH_PYTHON}    command: /usr/bin/python3 /answer.py 80\n    networks: [inner]\n"
        "networks:\n  lan:\n    driver: macvlan\n    driver_opts: {parent: eth0}\n"
        "    ipam: {config: [{subnet: 198.18.0.0/24, gateway: 198.18.0.2,"
        " ip_range: 198.18.0.48/28}]}\n  inner: {internal: true}\n"
    )

    lab.pyorch.run("up", "-d", "--wait")

    eventually(
        lambda: lab.tcp("stranger", "198.18.0.50", 80), lambda found: found == f"a-1 {STRANGER}"
    )
    inside = links(lab.within("near/a.1", "ip", "-j", "address"))
    assert inside["eth0"]["address"] == "02:42:c6:12:00:32"
    assert default_routes(lab, "near/a.1")["-4"] == (STRANGER, "eth0")
    assert lab.nameserver("near/a.1") == "203.0.113.53", "no way leads to the host's resolvers"
    # Who is on a bridge besides has the names of both.
    assert lab.query("near/b.1", "a").addresses == ("198.18.0.50",)
    assert lab.from_container("near", "b", "198.18.0.50", 80).startswith("a-1")
    assert lab.from_container("near", "b", "c", 80).startswith("c-1")
    assert default_routes(lab, "near/b.1")["-4"] == (STRANGER, "eth1")


def test_a_macvlan_without_its_link_and_an_ipvlan_without_a_kernel_are_told(lab):
    for driver, parent, expected in (
        ("macvlan", "nowhere", "there is no link `nowhere`"),
        ("ipvlan", "eth0", "this kernel has no ipvlan links"),
    ):
        lab.pyorch.write(
            f"name: {driver}\nservices:\n  a: {{ {SLEEPER} }}\nnetworks: {{default: "
            f"{{driver: {driver}, driver_opts: {{parent: {parent}}}}}}}\n"
        )

        done = lab.pyorch.try_("up", "-d", "--wait")

        if driver == "ipvlan" and done.code == 0:
            lab.run("host", "ip", "link", "add", "other", "link", "eth0", "type", "ipvlan")
            continue
        assert done.code == 1
        assert expected in done.err


@pytest.mark.attribute("networks.*.driver")
def test_being_on_the_network_host_or_none_is_having_that_mode(lab):
    lab.pyorch.write(
        f"name: modes\nservices:\n"
        f"  a:{WITH_PYTHON}    command: /usr/bin/python3 /answer.py 80\n    networks: [outer]\n"
        f"  b: {{ {SLEEPER}, networks: [nothing] }}\n"
        "networks: {outer: {name: host, external: true}, nothing: {driver: none}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")

    eventually(lambda: lab.tcp("stranger", HOST, 80), lambda found: found.endswith(f" {STRANGER}"))
    assert list(links(lab.within("modes/b.1", "ip", "-j", "address"))) == ["lo"]
