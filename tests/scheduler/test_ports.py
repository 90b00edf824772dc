"""Ports of the host: whose they are, which one of many, all of a service's or none."""

import pytest
from builders import host, service, stack

from scheduler import plan_stack
from scheduler.actions import LeasePort
from scheduler.desired import Port
from scheduler.ids import StackName
from scheduler.observed import HostListener, PortLease


def leased(plan):
    return [
        (step.action.service, step.action.host_ip, step.action.host_port)
        for step in plan.steps
        if isinstance(step.action, LeasePort)
    ]


def listener(address, port=80, protocol="tcp"):
    return HostListener(protocol=protocol, address=address, port=port, holder="nginx (pid 7)")


def lease(address, port=80):
    return PortLease(
        stack=StackName("other"), service="web", host_ip=address, host_port=port, protocol="tcp",
        target=80,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "there", "meets"),
    [
        ("", "127.0.0.1", True),
        ("", "::1", True),
        ("", "0.0.0.0", True),
        ("0.0.0.0", "10.0.0.1", True),
        ("0.0.0.0", "::1", False),
        ("::", "127.0.0.1", False),
        ("::", "::1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "0.0.0.0", True),
        ("2001:db8::1", "0.0.0.0", False),
    ],
)
def test_addresses_of_one_family_meet_where_they_are_the_same_or_all(wanted, there, meets):
    one = stack(service(ports=(Port(target=80, host_ip=wanted, host_ports=(80,)),)))

    listening = plan_stack(one, host(listeners=(listener(there),)), now=0.0)
    held = plan_stack(one, host(ports=(lease(there),)), now=0.0)

    assert [leased(plan) == [] for plan in (listening, held)] == [meets, meets]


def test_a_socket_of_all_ipv6_addresses_has_those_of_ipv4_as_well_and_a_port_has_not():
    one = stack(service(ports=(Port(target=80, host_ip="0.0.0.0", host_ports=(80,)),)))

    assert leased(plan_stack(one, host(listeners=(listener("::"),)), now=0.0)) == []
    assert leased(plan_stack(one, host(ports=(lease("::"),)), now=0.0)) == [("web", "0.0.0.0", 80)]


def test_a_service_gets_all_its_ports_or_none():
    ports = (Port(target=80, host_ports=(80,)), Port(target=443, host_ports=(443,)))
    one = stack(service(ports=ports), service("too", ports=(Port(target=1, host_ports=(81,)),)))

    plan = plan_stack(one, host(listeners=(listener("0.0.0.0", 443),)), now=0.0)

    assert leased(plan) == [("too", "", 81)]
    assert "port 443 is in use by nginx (pid 7)" in {held.reason for held in plan.held}


def test_of_a_range_the_first_free_one_is_taken_and_of_none_one_that_nobody_has():
    one = stack(
        service("a", ports=(Port(target=80, host_ports=(80, 81, 82)),)),
        service("b", ports=(Port(target=80, host_ports=(80, 81, 82)),)),
        service("c", replicas=3, ports=(Port(target=80),)),
        service("d", ports=(Port(target=80),)),
    )

    found = leased(plan_stack(one, host(listeners=(listener("0.0.0.0", 80),)), now=0.0))

    assert found[:2] == [("a", "", 81), ("b", "", 82)]
    (_, _, third), (_, _, fourth) = found[2:]
    assert third != fourth
    assert all(49153 <= port < 65536 for port in (third, fourth))


def test_a_protocol_this_kernel_lacks_is_told_and_keeps_nothing_else_back():
    one = stack(
        service("a", ports=(Port(target=2905, protocol="sctp", host_ports=(2905,)),)),
        service("b", ports=(Port(target=80, host_ports=(80,)),)),
    )
    without = frozenset({"tcp", "udp"})

    plan = plan_stack(one, host(protocols=without), now=0.0)

    assert leased(plan) == [("b", "", 80)]
    told = [held.reason for held in plan.held if held.stuck]
    assert told == ["port 2905 cannot be published: this kernel has no SCTP"]
    assert len(leased(plan_stack(one, host(), now=0.0))) == 2
