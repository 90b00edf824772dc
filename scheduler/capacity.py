"""Admission: whether what replicas reserve still fits the machine.

What runs is never stopped for want of room. Of what does not run, those of the highest
priority come first; of the same one what exists already, then what fills empty slots, each in
the order in which services start. One that does not fit is refused, and those after it are
still judged by what is left: but not by what a replica of a higher priority, of whatever
stack, could take now.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.desired import DesiredService, DesiredStack, Intent, ServiceIntent
from scheduler.graph import start_order
from scheduler.ids import ReplicaId, ServiceName
from scheduler.observed import (
    Claim,
    Exited,
    ObservedReplica,
    ObservedStack,
    Running,
    Stopping,
)
from scheduler.placement import Refusal, misplaced
from scheduler.restart import StayDown, decide_restart

HINT = "reserve less, run fewer replicas, or take another stack down"
MICRO = 1_000_000
"""Processors are counted in millionths: sums of fractions must not depend on their order."""
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A part of the machine: processors, and bytes of memory."""

    cpus: float = 0.0
    memory: int = 0


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
        )
        for name in sorted(refused)
        for service in (services[name.service],)
    )


def reserve(desired: DesiredStack, observed: ObservedStack, *, now: float) -> Reservation:
    """Return what a stack holds from now on: what runs, and what was let in beside it."""
    room = _judge(desired, observed, now=now)
    return Reservation(cpus=room.taken.cpus / MICRO, memory=room.taken.memory)


def _judge(desired: DesiredStack, observed: ObservedStack, *, now: float) -> "_Room":
    room = _Room(
        total=_Amount(round(observed.cpus * MICRO), observed.memory),
        others=_Amount(round(observed.reserved_cpus * MICRO), observed.reserved_memory),
        claims=observed.claims,
    )
    running = [one for one in observed.replicas if isinstance(one.phase, Running | Stopping)]
    for replica in running:
        room.taken += _held_by(replica)
    if desired.intent is not Intent.RUN:
        return room
    services = {service.name: service for service in desired.services}
    slots = _wanted_slots(desired, services, observed.replicas)
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
    def wanted(self) -> "_Amount":
        """What is to be set aside for what runs in it."""
        return _Amount(round(self.service.cpu_reservation * MICRO), self.service.memory_reservation)

    @property
    def held(self) -> "_Amount":
        """What runs in it holds already."""
        runs = self.replica is not None and isinstance(self.replica.phase, Running | Stopping)
        return _held_by(self.replica) if self.replica is not None and runs else _Amount()


def _wanted_slots(
    desired: DesiredStack,
    services: Mapping[ServiceName, DesiredService],
    replicas: Iterable[ObservedReplica],
) -> list[_Slot]:
    found = {replica.id: replica for replica in replicas}
    names = (
        (services[name], ReplicaId(name, number))
        for name in start_order(desired)
        if services[name].intent is ServiceIntent.RUN
        for number in range(1, services[name].replicas + 1)
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


@dataclass(frozen=True, slots=True)
class _Amount:
    cpus: int = 0
    memory: int = 0

    def __add__(self, other: "_Amount") -> "_Amount":
        return _Amount(self.cpus + other.cpus, self.memory + other.memory)

    def __sub__(self, other: "_Amount") -> "_Amount":
        return _Amount(self.cpus - other.cpus, self.memory - other.memory)

    def beyond(self, other: "_Amount") -> "_Amount":
        return _Amount(max(self.cpus - other.cpus, 0), max(self.memory - other.memory, 0))

    def fits(self, other: "_Amount") -> bool:
        # What asks for none of a thing does not mind that there is too little of it.
        return (self.cpus <= other.cpus or not self.cpus) and (
            self.memory <= other.memory or not self.memory
        )


@dataclass(slots=True, kw_only=True)
class _Room:
    total: _Amount
    others: _Amount
    claims: tuple[Claim, ...] = ()
    """What replicas of other stacks wait for."""
    taken: _Amount = _Amount()
    """By this stack: by what runs, and by what was let in."""
    leaving: _Amount = _Amount()
    """Of what is taken, what is on its way out."""
    refused: dict[ReplicaId, Refusal] = field(default_factory=dict)

    def let_in(self, slot: _Slot) -> None:
        """Let a replica in where there is room for it, else refuse it."""
        wanted = slot.wanted
        more = wanted.beyond(slot.held)
        free = self.total - self.others - self.taken
        for claim in sorted(self.claims, key=lambda one: -one.priority):
            asked = _Amount(round(claim.cpus * MICRO), claim.memory)
            if claim.priority > slot.service.priority and asked.fits(free):
                free -= asked
        known = self.total.cpus > 0 and self.total.memory > 0
        if known and not more.fits(free):
            stuck = not more.fits(free + self.leaving)
            self.refused[slot.id] = Refusal(
                reason=self._reason(more, wanted, free), stuck=stuck, hint=HINT
            )
            return
        self.taken += more
        self.leaving += slot.held.beyond(wanted)

    def _reason(self, more: _Amount, wanted: _Amount, free: _Amount) -> str:
        reserved = self.others + self.taken
        if more.cpus > free.cpus and more.cpus:
            asked, taken, whole, left = (
                f"{amount / MICRO:g}"
                for amount in (wanted.cpus, reserved.cpus, self.total.cpus, max(free.cpus, 0))
            )
            return f"needs {asked} cpus: {left} of {whole} free, {taken} reserved"
        asked, taken, whole, left = (
            _bytes(amount)
            for amount in (wanted.memory, reserved.memory, self.total.memory, max(free.memory, 0))
        )
        return f"needs {asked} of memory: {left} of {whole} free, {taken} reserved"


def _held_by(replica: ObservedReplica) -> _Amount:
    return _Amount(round(replica.cpu_reservation * MICRO), replica.memory_reservation)


def _bytes(amount: int) -> str:
    size = float(amount)
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            return f"{size:.4g} {unit}"
        size /= 1024
    raise AssertionError("unreachable")
