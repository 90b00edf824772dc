"""Which numbers the slots of a service have.

They are 1 to the number of its replicas until one has been replaced by another that came first:
that one has a number of its own, the lowest nobody had, and keeps it. So a number means the same
container as long as that is there, and nothing is stopped for the sake of its number.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import count, islice

from scheduler.desired import DesiredService, UpdateOrder
from scheduler.observed import ObservedReplica, UpdateRecord, UpdateState


def slots_of(service: DesiredService, present: Sequence[ObservedReplica]) -> tuple[int, ...]:
    """Return the numbers of as many slots as a service has replicas, in order.

    Those that are filled come first; of too many, the ones that take part in the service stay.
    """
    if service.fixed_slots:
        return tuple(range(1, service.replicas + 1))
    stay = sorted(present, key=_standing)[: service.replicas]
    kept = {replica.id.slot for replica in stay}
    return tuple(sorted((*kept, *free_slots(kept, service.replicas - len(kept)))))


def slots_with_newcomers(
    service: DesiredService, present: Sequence[ObservedReplica], record: UpdateRecord | None
) -> tuple[int, ...]:
    """Return the slots of a service, and those of replicas an update starts beside the old ones."""
    slots, policy = slots_of(service, present), service.update
    if policy is None or policy.order is not UpdateOrder.START_FIRST:
        return slots
    if record is None or record.state is not UpdateState.RUNNING:
        return slots
    taken = {replica.id.slot for replica in present}
    unproven = {replica.id.slot for replica in present if replica.trial is not None}
    fresh = free_slots(taken, policy.parallelism or service.replicas)
    return tuple(sorted({*slots, *unproven, *fresh}))


def free_slots(taken: Container[int], number: int) -> Iterator[int]:
    """Yield the lowest ``number`` of numbers that nobody has."""
    return islice((slot for slot in count(1) if slot not in taken), number)


def _standing(replica: ObservedReplica) -> tuple[bool, bool, int]:
    return replica.leaving is not None, replica.trial is not None, replica.id.slot
