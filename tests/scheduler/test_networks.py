"""Networks: which subnets, in which families, and what becomes of those that are there."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from builders import DEFAULT, NET, SUBNET, host, network, service, stack

from scheduler import plan_stack
from scheduler.actions import CreateNetwork, CreateReplica
from scheduler.desired import AddressRange, DesiredNetwork, Membership

SIX = ip_network("fd00:89::/48")
ON = Membership(network=NET)


def with_six(*services, **settings):
    one = stack(*services, **settings)
    return replace(one, pools=(*one.pools, SIX))


def made(plan):
    return [step.action for step in plan.steps if isinstance(step.action, CreateNetwork)]


def given(plan):
    """Return the addresses of each replica that is made."""
    return {
        str(step.action.replica): [address for _, address in step.action.addresses]
        for step in plan.steps
        if isinstance(step.action, CreateReplica)
    }


def told(plan):
    return [held.reason for held in plan.held if held.stuck]


def test_a_network_of_both_families_has_a_subnet_of_each_and_its_members_two_addresses():
    wanted = DesiredNetwork(name=NET, ranges=(AddressRange(), AddressRange(version=6)))

    plan = plan_stack(
        with_six(service(networks=(ON,), replicas=2), networks=(wanted,)), host(), now=0.0
    )

    ((four, gate), (six, gate6)) = made(plan)[0].subnets
    assert (four.version, six.version, six.prefixlen) == (4, 6, 64)
    assert six.subnet_of(SIX)
    assert (gate, gate6) == (four[1], six[1])
    places = given(plan)
    assert all(one in four and other in six for one, other in places.values())
    assert len({address for pair in places.values() for address in pair}) == 4


def test_addresses_are_taken_from_their_range_and_not_from_those_that_are_spoken_for():
    within = ip_network("10.5.1.0/29")
    reserved = tuple(within.network_address + number for number in range(5))
    ranges = (
        AddressRange(
            subnet=ip_network("10.5.0.0/16"),
            gateway=ip_address("10.5.1.5"),
            within=within,
            reserved=reserved,
        ),
    )
    one = stack(
        service("a", networks=(replace(ON, addresses=(ip_address("10.5.1.6"),)),)),
        service("b", networks=(ON,)),
        networks=(DesiredNetwork(name=NET, ranges=ranges),),
    )

    places = given(plan_stack(one, host(), now=0.0))

    assert places == {"a.1": [ip_address("10.5.1.6")], "b.1": [ip_address("10.5.1.7")]}


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (AddressRange(subnet=ip_network("10.5.0.0/16")), "exists with subnet 10.89.1.0/26"),
        (AddressRange(gateway=ip_address("10.89.1.9")), "exists with gateway 10.89.1.1"),
        (AddressRange(version=6), "exists without IPv6"),
    ],
)
def test_a_network_that_is_there_does_not_move(wanted, reason):
    one = with_six(service(networks=(ON,)), networks=(replace(DEFAULT, ranges=(wanted,)),))

    plan = plan_stack(one, host(networks=(network(),)), now=0.0)

    assert made(plan) == []
    assert [reason in text for text in told(plan)] == [True]


def test_options_that_changed_are_applied_to_the_network_that_is_there():
    one = stack(service(networks=(ON,)), networks=(replace(DEFAULT, revision="new"),))

    plan = plan_stack(one, host(networks=(network(),)), now=0.0)

    assert made(plan) == [CreateNetwork(network=NET, subnets=((SUBNET, SUBNET[1]),))]
    assert "options have changed" in str(plan.steps[0])


def test_the_gateway_of_a_network_of_others_is_the_one_it_has():
    there = replace(network(), subnets=((SUBNET, SUBNET[9]),), stack="other")
    one = stack(
        service(networks=(ON,), replicas=57),
        networks=(DesiredNetwork(name=NET, external=True),),
    )

    places = given(plan_stack(one, host(networks=(there,)), now=0.0))

    assert SUBNET[9] not in {address for found in places.values() for address in found}
    assert len(places) == 57
