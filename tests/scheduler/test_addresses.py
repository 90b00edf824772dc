"""Subnets and addresses: the same every time, never taken ones, large enough."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from builders import POOLS, host, service, stack
from hypothesis import given
from hypothesis import strategies as st

from scheduler import ExhaustedError, plan_stack
from scheduler.actions import CreateReplica
from scheduler.addresses import choose_address, choose_subnet, gateway_of, prefix_for
from scheduler.desired import DesiredNetwork, Membership
from scheduler.ids import NetworkName, ReplicaId, ServiceName, StackName

NET = NetworkName("shop_default")
SUBNET = IPv4Network("10.89.1.0/29")


def choose(slot, taken=()):
    return choose_address(
        StackName("shop"), ReplicaId(ServiceName("a"), slot), NET, SUBNET, gateway_of(SUBNET), taken
    )


@given(st.lists(st.integers(1, 400), unique=True, max_size=20))
def test_a_subnet_overlaps_nothing_that_is_taken(numbers):
    taken = [POOLS[0].network_address + number * 64 for number in numbers]
    blocks = [IPv4Network((int(address), 26)) for address in taken]

    found = choose_subnet(NET, POOLS, 26, blocks)

    assert found.subnet_of(POOLS[0])
    assert not any(found.overlaps(block) for block in blocks)
    assert found == choose_subnet(NET, POOLS, 26, list(reversed(blocks)))


def test_pools_that_are_full_are_told():
    with pytest.raises(ExhaustedError, match="shop_default"):
        choose_subnet(NET, POOLS, 26, POOLS)


def test_every_address_of_a_subnet_is_handed_out_once_and_then_it_is_full():
    taken = []
    for slot in range(1, 6):
        taken.append(choose(slot, taken))

    assert sorted(taken) == [SUBNET.network_address + number for number in range(2, 7)]
    with pytest.raises(ExhaustedError, match="full"):
        choose(6, taken)


def test_the_gateway_is_the_first_address():
    assert gateway_of(SUBNET) == IPv4Address("10.89.1.1")


@given(st.integers(0, 20_000))
def test_a_subnet_holds_its_members_twice_over(members):
    prefix = prefix_for(members, 26)

    assert prefix <= 26
    assert 2 ** (32 - prefix) >= 2 * members + 3


def test_two_hundred_replicas_find_room_in_a_network_made_for_them():
    wide = service(replicas=200, networks=(Membership(network=NET),))

    plan = plan_stack(stack(wide, networks=(DesiredNetwork(name=NET),)), host(), now=0.0)

    given_out = [
        address
        for step in plan.steps
        if isinstance(step.action, CreateReplica)
        for _, address in step.action.addresses
    ]
    assert len(set(given_out)) == 200
    assert not plan.held
