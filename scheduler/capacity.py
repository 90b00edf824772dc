"""Admission: whether what replicas reserve still fits the machine.

What runs is never stopped for want of room. Of what does not run, those of the highest
priority come first; of the same one what exists already, then what fills empty slots, each in
the order in which services start. One that does not fit is refused, and those after it are
still judged by what is left: but not by what a replica of a higher priority, of whatever
stack, could take now.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scheduler.amounts import MICRO, Amount, amount
from scheduler.desired import DesiredService, DesiredStack, Intent, ServiceIntent
from scheduler.graph import start_order
from scheduler.ids import ReplicaId, ServiceName
from scheduler.numbering import slots_with_newcomers
from scheduler.observed import (
    Claim,
    Exited,
    ObservedReplica,
    ObservedStack,
    Running,
    Stopping,
    UpdateRecord,
)
from scheduler.placement import Refusal, misplaced
from scheduler.restart import StayDown, decide_restart

HINT = "reserve less, run fewer replicas, or take another stack down"
UNKNOWN_HINT = "PYORCH_RESOURCES says what a machine has of it (docs/settings.md)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A part of the machine: processors, bytes of memory, and what else is counted."""

    cpus: float = 0.0
    memory: int = 0
    units: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Reservation") -> "Reservation":
        return _told(_amount_of(self) + _amount_of(other))

    def is_less(self, before: "Reservation") -> bool:
        """Whether there is less of anything than there was before."""
        return not _amount_of(before).fits(_amount_of(self))


def refuse_starts(
    desired: DesiredStack, observed: ObservedStack, *, now: float
) -> Mapping[ReplicaId, Refusal]:
    """Return the replicas that may not run here, or the machine has no room for.

    There is room where the machine's size is not known.
    """
    return {
        **_judge(desired, observed, now=now).refused,
        **misplaced(desired.services, observed.machine),
    }


def claims(desired: DesiredStack, observed: ObservedStack, *, now: float) -> tuple[Claim, ...]:
    """Return what the refused replicas of a stack wait for, for other stacks to leave alone."""
    refused = _judge(desired, observed, now=now).refused
    services = {service.name: service for service in desired.services}
    return tuple(
        Claim(
            priority=service.priority,
            cpus=service.cpu_reservation,
            memory=service.memory_reservation,
            units=service.units,
        )
        for name in sorted(refused)
        for service in (services[name.service],)
    )


def reserve(desired: DesiredStack, observed: ObservedStack, *, now: float) -> Reservation:
    """Return what a stack holds from now on: what runs, and what was let in beside it."""
    return _told(_judge(desired, observed, now=now).taken)


def _judge(desired: DesiredStack, observed: ObservedStack, *, now: float) -> "_Room":
    room = _Room(
        total=amount(observed.cpus, observed.memory, observed.machine.units),
        others=amount(observed.reserved_cpus, observed.reserved_memory, observed.reserved_units),
        claims=observed.claims,
    )
    running = [one for one in observed.replicas if isinstance(one.phase, Running | Stopping)]
    for replica in running:
        room.taken += _held_by(replica)
    if desired.intent is not Intent.RUN:
        return room
    services = {service.name: service for service in desired.services}
    slots = _wanted_slots(desired, services, observed.replicas, observed.updates)
    kept = {slot.id for slot in slots}
    for replica in running:
        if replica.id not in kept:
            room.leaving += _held_by(replica)
    elsewhere = misplaced(desired.services, observed.machine)
    turns = _in_turn([slot for slot in slots if slot.id not in elsewhere], now=now)
    for priority in sorted({slot.service.priority for slot in slots}, reverse=True):
        for group in turns:
            for slot in group:
                if slot.service.priority == priority:
                    room.let_in(slot)
    return room


@dataclass(frozen=True, slots=True)
class _Slot:
    id: ReplicaId
    service: DesiredService
    replica: ObservedReplica | None

    @property
    def wanted(self) -> Amount:
        """What is to be set aside for what runs in it."""
        service = self.service
        return amount(service.cpu_reservation, service.memory_reservation, service.units)

    @property
    def held(self) -> Amount:
        """What runs in it holds already."""
        runs = self.replica is not None and isinstance(self.replica.phase, Running | Stopping)
        return _held_by(self.replica) if self.replica is not None and runs else Amount()


def _wanted_slots(
    desired: DesiredStack,
    services: Mapping[ServiceName, DesiredService],
    replicas: Iterable[ObservedReplica],
    updates: Mapping[ServiceName, UpdateRecord],
) -> list[_Slot]:
    found = {replica.id: replica for replica in replicas}
    present: dict[ServiceName, list[ObservedReplica]] = {}
    for replica in found.values():
        present.setdefault(replica.id.service, []).append(replica)
    names = (
        (services[name], ReplicaId(name, number))
        for name in start_order(desired)
        if services[name].intent is ServiceIntent.RUN
        for number in slots_with_newcomers(services[name], present.get(name, ()), updates.get(name))
    )
    return [_Slot(name, service, found.get(name)) for service, name in names]


def _in_turn(slots: Sequence[_Slot], *, now: float) -> Sequence[list[_Slot]]:
    """Return those that ask for room, the ones with the older right to it first."""
    replaced: list[_Slot] = []
    present: list[_Slot] = []
    empty: list[_Slot] = []
    for slot in slots:
        replica = slot.replica
        if replica is None:
            empty.append(slot)
            continue
        outdated = replica.revision != slot.service.revision
        match replica.phase:
            case Running():
                if outdated or slot.held != slot.wanted:
                    replaced.append(slot)
            case Exited() as exited if not outdated:
                policy = slot.service.restart
                decision = decide_restart(policy, replica, exited, now=now)
                if not isinstance(decision, StayDown):
                    present.append(slot)
            case _:
                present.append(slot)
    return replaced, present, empty


@dataclass(slots=True, kw_only=True)
class _Room:
    total: Amount
    others: Amount
    claims: tuple[Claim, ...] = ()
    """What replicas of other stacks wait for."""
    taken: Amount = field(default_factory=Amount)
    """By this stack: by what runs, and by what was let in."""
    leaving: Amount = field(default_factory=Amount)
    """Of what is taken, what is on its way out."""
    refused: dict[ReplicaId, Refusal] = field(default_factory=dict)

    def let_in(self, slot: _Slot) -> None:
        """Let a replica in where there is room for it, else refuse it."""
        wanted = slot.wanted
        more = wanted.beyond(slot.held)
        free = self.total - self.others - self.taken
        for claim in sorted(self.claims, key=lambda one: -one.priority):
            asked = amount(claim.cpus, claim.memory, claim.units)
            if claim.priority > slot.service.priority and asked.fits(free):
                free -= asked
        if missing := next(self._lacking(more, free), ""):
            stuck = missing in self._lacking(more, free + self.leaving)
            nothing = missing in wanted.units and missing not in self.total.units
            self.refused[slot.id] = Refusal(
                reason=self._reason(missing, wanted, free),
                stuck=stuck,
                hint=UNKNOWN_HINT if nothing else HINT,
            )
            return
        self.taken += more
        self.leaving += slot.held.beyond(wanted)

    def _lacking(self, more: Amount, free: Amount) -> Iterator[str]:
        """Yield what there is too little of; of a machine of unknown size there is enough."""
        known = self.total.micros > 0 and self.total.memory > 0
        return (replace(more, micros=0, memory=0) if not known else more).lacking(free)

    def _reason(self, kind: str, wanted: Amount, free: Amount) -> str:
        name = {"cpus": " cpus", "memory": " of memory"}.get(kind, f" of `{kind}`")
        taken = (self.others + self.taken).of(kind)
        return (
            f"needs {wanted.of(kind)}{name}: {free.of(kind)} of {self.total.of(kind)} free,"
            f" {taken} reserved"
        )


def _held_by(replica: ObservedReplica) -> Amount:
    return amount(replica.cpu_reservation, replica.memory_reservation, replica.units)


def _amount_of(held: Reservation) -> Amount:
    return amount(held.cpus, held.memory, held.units)


def _told(found: Amount) -> Reservation:
    return Reservation(cpus=found.micros / MICRO, memory=found.memory, units=found.units)
