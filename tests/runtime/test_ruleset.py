"""The firewall table, line by line."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from runtime.network.ruleset import Resolver, render_ruleset
from runtime.types import NetworkConfig, NetworkId, PublishedPort, Subnet

FRONT = NetworkConfig(
    id=NetworkId("shop_front"),
    subnets=(Subnet(net=IPv4Network("10.89.0.0/26"), gateway=IPv4Address("10.89.0.1")),),
)
BACK = NetworkConfig(
    id=NetworkId("shop_back"),
    subnets=(Subnet(net=IPv4Network("10.89.1.0/26"), gateway=IPv4Address("10.89.1.1")),),
    internal=True,
)
BRIDGES = {FRONT.id: "pobfront", BACK.id: "pobback"}
ONE, TWO = IPv4Address("10.89.0.5"), IPv4Address("10.89.0.6")
WEB = PublishedPort(
    host_ip="0.0.0.0", host_port=8080, protocol="tcp", targets=((ONE, 80), (TWO, 80))
)
NAMES = PublishedPort(host_ip="127.0.0.1", host_port=5353, protocol="udp", targets=((ONE, 53),))

GOLDEN = """\
table inet pyorch { }
delete table inet pyorch
table inet pyorch {
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
    iifname != { "pobback", "pobfront" } iifname != "lo" \
ip daddr { 10.89.0.0/26, 10.89.1.0/26 } drop
    iifname { "pobback", "pobfront" } iifname . ip saddr != \
{ "pobback" . 10.89.1.0/26, "pobfront" . 10.89.0.0/26 } drop
  }
  chain tcp_8080 {
    meta l4proto tcp dnat ip to numgen inc mod 2 map { 0 : 10.89.0.5, 1 : 10.89.0.6 } : 80
  }
  chain udp_5353_127_0_0_1 {
    meta l4proto udp dnat ip to 10.89.0.5 : 53
  }
  chain publish {
    ip daddr . meta l4proto . th dport vmap { 127.0.0.1 . udp . 5353 : goto udp_5353_127_0_0_1 }
    meta l4proto . th dport vmap { tcp . 8080 : goto tcp_8080 }
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    meta nfproto ipv4 fib daddr type local jump publish
  }
  chain output {
    type nat hook output priority -100; policy accept;
    meta nfproto ipv4 fib daddr type local jump publish
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname { "pobback", "pobfront" } ip saddr 127.0.0.0/8 masquerade
    ip saddr 10.89.1.0/26 oifname "pobback" ct status dnat masquerade
    ip saddr 10.89.0.0/26 oifname "pobfront" ct status dnat masquerade
    ip saddr 10.89.0.0/26 oifname != "pobfront" masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    iifname . oifname { "pobback" . "pobback", "pobfront" . "pobfront" } accept
    iifname { "pobback" } drop
    oifname { "pobback" } drop
    oifname { "pobback", "pobfront" } ct status dnat accept
    oifname { "pobback", "pobfront" } drop
    iifname { "pobback", "pobfront" } accept
    iifname "pob*" accept
    oifname "pob*" accept
    meta nfproto ipv4 drop
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname { "pobfront" } ip daddr 169.254.42.2 tcp dport 53 accept
    iifname { "pobfront" } ip daddr 169.254.42.2 udp dport 53 accept
    iifname != "lo" ip daddr 169.254.40.0/22 drop
  }
}
"""


def render(*, networks=(FRONT, BACK), ports=(), close=False):
    return render_ruleset(
        "pyorch",
        networks,
        BRIDGES,
        ports,
        [Resolver(address=IPv4Address("169.254.42.2"), bridges=("pobfront",))],
        resolver_nets=[IPv4Network("169.254.40.0/22")],
        close_forwarding=(4,) if close else (),
    )


def test_the_whole_table():
    assert render(ports=(WEB, NAMES), close=True) == GOLDEN


def test_order_is_irrelevant():
    assert render(networks=(BACK, FRONT), ports=(NAMES, WEB), close=True) == GOLDEN


def test_without_networks_there_is_no_table():
    assert render(networks=()) == "table inet pyorch { }\ndelete table inet pyorch\n"


def test_only_a_host_that_was_no_router_is_closed_for_others():
    assert "meta nfproto ipv4 drop" not in render()


def test_a_port_nobody_serves_is_left_to_the_host():
    assert "8080" not in render(ports=(replace(WEB, targets=()),))


def test_a_thousand_ports_are_one_lookup():
    ports = [replace(WEB, host_port=1000 + number) for number in range(1000)]
    lines = render(ports=ports).splitlines()
    begin = lines.index("  chain publish {")

    assert [line.split()[0] for line in lines[begin + 1 : lines.index("  }", begin)]] == ["meta"]
