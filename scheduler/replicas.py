"""Bring the replicas of one service to the wanted number, revision and phase.

Each slot is settled on its own: discarded, filled, replaced or kept. Replicas that run are
replaced one at a time, the next one only when the last one is ready.
"""

from collections.abc import Sequence

from scheduler.desired import (
    DesiredService,
)
from scheduler.discarding import discard
from scheduler.gates import Gatekeeper
from scheduler.ids import ReplicaId
from scheduler.numbering import slots_of
from scheduler.observed import (
    ObservedReplica,
    Running,
    Stopping,
)
from scheduler.plan import PlanBuilder
from scheduler.rolling import Rolling
from scheduler.slots import Ground, Slots


def plan_replicas(
    plan: PlanBuilder,
    service: DesiredService,
    observed: Sequence[ObservedReplica],
    *,
    ground: Ground,
    gates: Gatekeeper,
    now: float,
) -> None:
    """Add the steps one service needs; a service that already matches adds none."""
    going = {one.id for one in observed if isinstance(one.phase, Running | Stopping)}
    slots = Slots(plan=plan, service=service, ground=ground, gates=gates, now=now, going=going)
    rolling = Rolling(slots=slots, observed=observed, record=ground.update)
    if rolling.concerned:
        rolling.run()
        return
    rolling.close()
    by_slot = {replica.id.slot: replica for replica in observed}
    numbers = slots_of(service, observed)
    for slot in sorted(set(by_slot) - set(numbers), reverse=True):
        discard(
            plan,
            by_slot[slot],
            grace=service.stop_grace,
            reason=f"scale down to {service.replicas}",
            now=now,
        )
    wanted = [by_slot.get(slot) for slot in numbers]
    unready = next((found.id for found in wanted if found and slots.is_unready(found)), None)
    for slot, found in zip(numbers, wanted, strict=True):
        replica = ReplicaId(service.name, slot)
        if found is None:
            slots.fill(replica, "slot is empty")
        elif reason := slots.outdated(found):
            if slots.replace(found, reason, busy=unready):
                unready = replica
        elif slots.ends_for_restart(found):
            slots.restart(found, "a restart was asked for")
        elif reason := slots.has_changed_before(found):
            slots.restart_after(found, reason)
        elif reason := slots.restarts_for_files(found):
            if slots.restart_in_turn(found, reason, busy=unready):
                unready = replica
        else:
            slots.keep(found)
