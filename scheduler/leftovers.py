"""What an interrupted pass has left of replicas there are not to be: sandboxes, addresses."""

from scheduler.desired import DesiredStack, Intent, ServiceIntent
from scheduler.ids import ReplicaId, service_slot
from scheduler.numbering import slots_with_newcomers
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
        one.name: slots_with_newcomers(
            one,
            [two for two in observed.replicas if two.id.service == one.name],
            observed.updates.get(one.name),
        )
        for one in desired.services
        if one.intent is not ServiceIntent.ABSENT
    }
    whole = {service_slot(one.name) for one in desired.services if one.virtual}
    return tuple(
        sorted(
            one
            for one in {*observed.sandboxes, *held} - filled - whole
            if one.slot not in slots.get(one.service, ())
        )
    )
