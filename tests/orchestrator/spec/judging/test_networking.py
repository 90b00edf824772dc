"""What files say of networks, addresses and ports: refused, warned about, or taken as it is."""

import pytest

POOL = "{subnet: 10.5.0.0/16}"


def text(service="", network="", *, place="", more=""):
    """Return a file of one service on one network."""
    options = f"net: {{{place}}}" if place else "net: {}"
    return (
        f"name: s\nservices:\n  a:\n    image: i\n    networks: {{{options}{more}}}\n"
        f"    {service}\nnetworks:\n  net: {{{network}}}\n  other: {{}}\n"
        "  hosts: {name: host, external: true}\n"
    )


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("dns: ns.example.com", "`ns.example.com` is no IP address"),
        ("mac_address: '02:42'", "`02:42` is no hardware address"),
        ("mac_address: '01:42:ac:11:00:02'", "is an address of several"),
        ("{mac_address: '02:42:ac:11:00:02', scale: 2}", "2 replicas cannot have one address"),
        ("ports: [{target: 80, protocol: dccp}]", "`dccp` is not published"),
        ("ports: [{target: 80, host_ip: x}]", "`x` is no IP address"),
    ],
)
def test_a_service_that_cannot_be_reached_so_is_refused(complain, service, expected):
    lines = service.strip("{}").split(", ") if service.startswith("{") else [service]

    assert expected in complain(text("\n    ".join(lines)), to_run=True)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("ipv4_address: 1.2.3", "`1.2.3` is no IPv4 address"),
        ("ipv4_address: 10.6.0.9", "`10.6.0.9` is in no IPv4 subnet of the network"),
        ("ipv6_address: fd00::9", "`fd00::9` is in no IPv6 subnet of the network"),
        ("ipv6_address: 10.5.0.9", "`10.5.0.9` is no IPv6 address"),
        ("link_local_ips: [10.0.0.1]", "`10.0.0.1` is no link-local address"),
        ("mac_address: x", "`x` is no hardware address"),
        ("interface_name: lo", "`lo` is no name for an interface"),
        ("interface_name: ../../etc", "is no name for an interface"),
        ("interface_name: sixteen-letters-", "is no name for an interface"),
        ("driver_opts: {com.docker.network.endpoint.ifname: 'a b'}", "is no name for an interface"),
        (
            "driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.ip_forward=1}",
            "`net.ipv4.ip_forward=1` is no setting of an interface",
        ),
        (
            "driver_opts: {com.docker.network.endpoint.sysctls: 'net.../x/IFNAME.a=1'}",
            "is no setting of an interface",
        ),
    ],
)
def test_a_place_in_a_network_that_cannot_be_is_refused(complain, place, expected):
    said = complain(text(network=f"ipam: {{config: [{POOL}]}}", place=place), to_run=True)

    assert expected in said
    assert "networks.net" in said


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("driver: overlay", "there is no driver `overlay`"),
        ("driver: macvlan", "`macvlan` needs the host's link it is on"),
        ("driver: macvlan, driver_opts: {parent: e, macvlan_mode: x}", "there is no mode `x`"),
        ("driver: ipvlan, driver_opts: {parent: e, ipvlan_mode: x}", "there is no mode `x`"),
        ("ipam: {driver: dhcp}", "there is no driver of addresses `dhcp`"),
        ("enable_ipv4: false", "has no addresses"),
        ("ipam: {config: [{subnet: 10.5.0.1/16}]}", "`10.5.0.1/16` is no subnet"),
        ("ipam: {config: [{subnet: 10.5.0.0/31}]}", "has no room for containers"),
        ("ipam: {config: [{gateway: 10.5.0.1}]}", "`10.5.0.1` is not in the subnet"),
        (f"ipam: {{config: [{POOL[:-1]}, gateway: 10.6.0.1}}]}}", "is not in the subnet"),
        (f"ipam: {{config: [{POOL[:-1]}, ip_range: 10.6.0.0/24}}]}}", "is no part of the subnet"),
        (f"ipam: {{config: [{POOL[:-1]}, ip_range: 'fd00::/80'}}]}}", "is no part of the subnet"),
        (f"ipam: {{config: [{POOL[:-1]}, aux_addresses: {{a: x}}}}]}}", "`x` is no IP address"),
        (f"ipam: {{config: [{POOL}, {{subnet: 10.6.0.0/16}}]}}", "has one IPv4 subnet only"),
        ("enable_ipv6: false, ipam: {config: [{subnet: 'fd00::/64'}]}", "the network has no IPv6"),
        ("driver_opts: {com.docker.network.driver.mtu: big}", "`big` is no size of packets"),
        (
            "enable_ipv6: true, driver_opts: {com.docker.network.driver.mtu: 1000}",
            "use a number of 1280 to 65535",
        ),
        ("driver_opts: {com.docker.network.bridge.name: a/b}", "`a/b` is no name for a link"),
        ("driver_opts: {com.docker.network.bridge.enable_icc: maybe}", "neither true nor false"),
        ("driver_opts: {com.docker.network.bridge.host_binding_ipv4: x}", "is no such address"),
        ("driver_opts: {com.docker.network.host_ipv4: 'fd00::1'}", "is no such address"),
        (
            "driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: isolated}",
            "there is no gateway mode `isolated`",
        ),
        (
            "driver_opts: {com.docker.network.bridge.trusted_host_interfaces: 'eth0:a b'}",
            "`a b` is no name for a link",
        ),
    ],
)
def test_a_network_that_cannot_be_is_refused(complain, load, network, expected):
    assert expected in complain(text(network=network), to_run=True)
    assert load(text(network=network)).stack.networks["net"], "`config` prints it"


def test_networks_that_cannot_be_had_together_are_refused(complain):
    beside = complain(text(more=", hosts: {}"), to_run=True)
    twice = complain(
        text(place="interface_name: wan", more=", other: {interface_name: wan}"), to_run=True
    )
    moved = complain(
        text("mac_address: '02:42:ac:11:00:02'", place="mac_address: '02:42:ac:11:00:03'"),
        to_run=True,
    )

    assert "network `host` cannot be had beside others" in beside
    assert "`wan` is the interface of network `net`" in twice
    assert "`mac_address` and that of network `net` differ" in moved


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (text(network="driver_opts: {a: b}"), "networks.net.driver_opts.a"),
        (text(place="driver_opts: {a: b}"), "services.a.networks.net.driver_opts.a"),
        (text("ports: ['[::1]:80:80']"), "services.a.ports.0.host_ip"),
        (text("ports: ['[fd00::5]:80:80']"), "services.a.ports.0.host_ip"),
        (text(network="ipam: {options: {a: b}}"), "networks.net.ipam.options.a"),
        (
            text("ports: ['80:80']", "driver: macvlan, driver_opts: {parent: eth0}"),
            "services.a.ports",
        ),
    ],
)
def test_what_nothing_is_done_about_is_named_once(load, written, expected):
    assert [one.split(": ")[0] for one in load(written).warnings] == [expected]


@pytest.mark.parametrize(
    "written",
    [
        text("ports: ['[fd00::5]:80:80']", "enable_ipv6: true"),
        text(network="attachable: true, labels: {a: b}, ipam: {driver: default}"),
        text(network="enable_ipv4: false, enable_ipv6: true"),
        text(place="gw_priority: 1, interface_name: wan, link_local_ips: ['fe80::5']"),
        text(
            network="enable_ipv6: true, ipam: {config: [{subnet: 10.5.0.0/16, gateway: 10.5.0.9,"
            " ip_range: 10.5.1.0/24, aux_addresses: {a: 10.5.0.5}}, {subnet: 'fd00:5::/64'}]}",
            place="ipv4_address: 10.5.0.7, ipv6_address: 'fd00:5::7'",
        ),
    ],
)
def test_what_is_carried_out_is_neither_refused_nor_warned_about(load, written):
    assert list(load(written, to_run=True).warnings) == []
