"""What an interrupted pass left is taken away, whatever is wanted of the stack by now."""

from ipaddress import IPv4Address

import pytest
from builders import NET, NOW, host, replica, service, stack

from scheduler import plan_stack
from scheduler.desired import Intent, ServiceIntent
from scheduler.ids import ReplicaId, ServiceName, StackName
from scheduler.observed import AddressLease, Exited

WEB = ServiceName("web")
ENDED = Exited(code=0, at=NOW - 60, lived=1.0, stopped=True)
REMOVED = "#1 remove {}: left behind by an interrupted pass"


def plan(desired, observed):
    return str(plan_stack(desired, observed, now=NOW))


def lease(slot):
    address = IPv4Address(f"10.0.0.{slot + 1}")
    return AddressLease(
        stack=StackName("shop"), replica=ReplicaId(WEB, slot), network=NET, address=address
    )


@pytest.mark.parametrize("intent", [Intent.RUN, Intent.STOP])
def test_the_sandbox_and_the_address_of_a_slot_nobody_fills_go(intent):
    phase = None if intent is Intent.RUN else ENDED
    wanted = stack(service(), intent=intent)

    for left in (
        {"sandboxes": (ReplicaId(WEB, 2),)},
        {"addresses": (lease(1), lease(2))},
        {"sandboxes": (ReplicaId(WEB, 2),), "addresses": (lease(2),)},
    ):
        assert plan(wanted, host(replica(1, phase), **left)) == REMOVED.format("web.2")


def test_what_is_left_of_a_service_that_was_removed_by_hand_goes_while_its_stack_is_stopped():
    wanted = stack(service(intent=ServiceIntent.ABSENT), intent=Intent.STOP)

    assert plan(wanted, host(addresses=(lease(1),))) == REMOVED.format("web.1")


def test_the_address_of_a_slot_that_is_filled_again_stays():
    assert plan(stack(service(), intent=Intent.STOP), host(addresses=(lease(1),))) == ""


def test_containers_of_a_stopped_stack_that_are_removed_by_hand_go():
    wanted = stack(service(intent=ServiceIntent.ABSENT), service("db"), intent=Intent.STOP)
    there = host(replica(1, ENDED), replica(1, ENDED, service="db"))

    assert plan(wanted, there) == "#1 remove web.1: its containers were removed by hand"
