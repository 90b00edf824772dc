"""What an interrupted pass has left of replicas there are not to be: sandboxes, addresses."""

from scheduler.desired import DesiredStack, Intent, ServiceIntent
from scheduler.ids import ReplicaId
from scheduler.observed import ObservedStack

LEFT_BEHIND = "left behind by an interrupted pass"


def find_leftovers(desired: DesiredStack, observed: ObservedStack) -> tuple[ReplicaId, ...]:
    """Return the slots without a container that hold something and are not filled again."""
    if desired.intent is Intent.REMOVE:
        # Addresses go with the stack.
        return tuple(sorted(observed.sandboxes))
    filled = {one.id for one in observed.replicas}
    held = {lease.replica for lease in observed.addresses if lease.stack == desired.name}
    slots = {
        one.name: 0 if one.intent is ServiceIntent.ABSENT else one.replicas
        for one in desired.services
    }
    return tuple(
        sorted(
            one
            for one in {*observed.sandboxes, *held} - filled
            if one.slot > slots.get(one.service, 0)
        )
    )
