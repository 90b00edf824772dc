"""A rolling update: replicas that run give their places to others, a few at a time.

Nothing of it is remembered by a plan. Which replicas are new says their revision; which of those
have yet to show that they work, which of the old ones leave and since when, and whether somebody
has paused it all, is noted of each before it is acted upon, and observed again by the next pass.
So an update goes on where it was, whoever dies meanwhile.

A new replica is on trial: it takes part once it has been ready for a while. With ``start-first``
the old ones serve until then, in a slot of their own, and no fewer than there are to be; the one
that gives way gets no new connections for a while before it is told to stop. One that ends, gets
ill or is not ready in time has failed. When too many have, the update is undone or waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.actions import (
    AdmitReplica,
    BeginUpdate,
    CompleteUpdate,
    FailTrial,
    PauseUpdate,
    RollBack,
    WithdrawReplica,
)
from scheduler.desired import (
    DesiredService,
    FailureAction,
    RestartMode,
    ServiceIntent,
    UpdateOrder,
    UpdatePolicy,
)
from scheduler.discarding import discard
from scheduler.ids import ReplicaId
from scheduler.numbering import free_slots
from scheduler.observed import (
    Created,
    Exited,
    Health,
    Hooks,
    ObservedReplica,
    Running,
    Stopping,
    UpdateRecord,
    UpdateState,
)
from scheduler.plan import PlanBuilder
from scheduler.restart import StayDown, decide_restart
from scheduler.slots import Slots


def target_of(service: DesiredService, image: str | None) -> str:
    """Return one word for what the replicas of a service are to be made from."""
    return f"{service.revision} {image or ''}".strip()


def failure_of(
    service: DesiredService, policy: UpdatePolicy, found: ObservedReplica, *, now: float
) -> str:
    """Return why a new replica has failed; empty while it has not."""
    trial = found.trial
    if trial is None:
        return ""
    match found.phase:
        case Exited(succeeded=True) if service.restart.mode is not RestartMode.ALWAYS:
            return ""
        case Exited(stopped=False) as exited:
            return str(exited)
        case Running(health=Health.UNHEALTHY):
            return "is unhealthy"
        case Running() if found.post_start.state is Hooks.FAILED:
            return found.post_start.failure
        case Running(since=since):
            begun = trial.since if trial.since <= now else since
            if _ready_since(found) is None and now >= begun + policy.deadline:
                return f"was not ready within {policy.deadline:g} s"
        case _:
            pass
    return ""


def passes_at(policy: UpdatePolicy, found: ObservedReplica) -> float | None:
    """Return when a new replica passes its trial if it stays as it is; None if it does not."""
    if isinstance(found.phase, Exited):
        return found.phase.at if found.phase.succeeded else None
    ready = _ready_since(found)
    return None if ready is None else ready + policy.monitor


def _ready_since(found: ObservedReplica) -> float | None:
    hooked = found.post_start.state in (Hooks.NONE, Hooks.DONE)
    if not isinstance(found.phase, Running) or not hooked:
        return None
    well = found.phase.health in (Health.NONE, Health.HEALTHY)
    return found.phase.ready_since if well else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """The update of one service, as far as one pass can take it."""

    slots: Slots
    observed: Sequence[ObservedReplica]
    record: UpdateRecord | None

    @property
    def concerned(self) -> bool:
        """Whether the service is to be updated, or is being."""
        service = self.slots.service
        if service.one_off or service.run is not None or service.update is None:
            return False
        if service.intent is not ServiceIntent.RUN:
            return False
        going = any(isinstance(one.phase, Running) for one in self.old())
        unproven = any(one.trial is not None for one in self.new())
        return going or unproven or self.is_open

    @property
    def is_open(self) -> bool:
        """Whether it has begun and is not over."""
        return self.record is not None and self.record.is_open(self._target)

    @property
    def _target(self) -> str:
        return target_of(self.slots.service, self.slots.ground.image)

    @property
    def _plan(self) -> PlanBuilder:
        return self.slots.plan

    @property
    def _now(self) -> float:
        return self.slots.now

    @property
    def _policy(self) -> UpdatePolicy:
        return self.slots.service.update or UpdatePolicy()

    def close(self) -> None:
        """Note that an update is over which nobody wants any more."""
        record, image = self.record, self.slots.ground.image
        going = (UpdateState.RUNNING, UpdateState.PAUSED)
        if record is not None and record.state in going and image is not None and not self.is_open:
            reason = "something else is wanted by now"
            self._plan.add(CompleteUpdate(self.slots.service.name), reason)

    def old(self) -> list[ObservedReplica]:
        """Return the replicas that give way."""
        return [one for one in self.observed if self.slots.outdated(one)]

    def new(self) -> list[ObservedReplica]:
        """Return those that are made from what is wanted."""
        return [one for one in self.observed if not self.slots.outdated(one)]

    def run(self) -> None:
        """Plan what can be done of it now."""
        self.slots.gates.unsettled.add(self.slots.service.name)
        if not self.is_open:
            self._begin()
            return
        if self._fail():
            for one in self.old():
                self._keep_up(one)
            return
        admitted = self._admit()
        self._trim()
        if self._policy.order is UpdateOrder.START_FIRST:
            self._retire(admitted)
        else:
            self._replace(admitted)
        for one in self.new():
            if one.id not in admitted and one.leaving is None:
                self._explain(one)
            self.slots.keep(one)
        self._conclude(admitted)

    def _begin(self) -> None:
        ground = self.slots.ground
        shut = ground.shut or ("what the new one needs is not there yet" if ground.after else "")
        for one in self.observed:
            if shut and self.slots.outdated(one):
                self._plan.hold(str(one.id), shut)
            self._keep_up(one)
        if shut:
            return
        proven = [one for one in self.old() if one.trial is None]
        first = next(iter((*proven, *self.old(), *self.new())))
        self._plan.add(
            BeginUpdate(
                service=self.slots.service.name,
                target=self._target,
                revision=first.revision,
                image=first.image,
            ),
            next((self.slots.outdated(one) for one in self.old()), "replicas are on trial"),
        )

    def _fail(self) -> bool:
        """Note which new replicas have failed; say whether that is the end of the update."""
        service, policy, record = self.slots.service, self._policy, self.record
        judged = {
            one.id: failure_of(service, policy, one, now=self._now)
            for one in self.new()
            if one.trial is not None and not one.trial.failed
        }
        fresh = {name: reason for name, reason in judged.items() if reason}
        if not fresh or record is None:
            return False
        noted = [self._plan.add(FailTrial(name), reason) for name, reason in sorted(fresh.items())]
        failed = len(fresh) + sum(one.trial is not None and one.trial.failed for one in self.new())
        tolerated = failed <= policy.max_failure_ratio * service.replicas
        if tolerated or policy.failure_action is FailureAction.CONTINUE:
            return False
        name, why = min(fresh.items())
        reason = f"{name} {why}"
        if policy.failure_action is FailureAction.ROLLBACK and record.reversible:
            self._plan.add(RollBack(service.name), reason, after=noted)
            return True
        if policy.failure_action is FailureAction.ROLLBACK:
            reason = f"{reason}; there is no generation to go back to"
        if record.state is UpdateState.RUNNING:
            self._plan.add(PauseUpdate(service.name), reason, after=noted)
        return True

    def _admit(self) -> dict[ReplicaId, int]:
        """Have those take part that have passed their trial; return the steps."""
        admitted: dict[ReplicaId, int] = {}
        for one in self.new():
            if one.trial is None and one.leaving is None:
                continue
            moment = passes_at(self._policy, one)
            if one.trial is None and isinstance(one.phase, Running):
                # It was to leave, and is wanted again.
                admitted[one.id] = self._plan.add(AdmitReplica(one.id), "it is wanted again")
            elif moment is not None and moment <= self._now:
                admitted[one.id] = self._plan.add(AdmitReplica(one.id), "it has proved to work")
            elif moment is not None:
                self._plan.wake(moment)
            elif one.trial is not None and not one.trial.failed:
                self._plan.wake(max(one.trial.since + self._policy.deadline, self._now))
        return admitted

    def _trim(self) -> None:
        """Remove those that came too late to be needed."""
        new = sorted(self.new(), key=lambda one: (one.trial is not None, one.id))
        for one in new[self.slots.service.replicas :]:
            self._discard(one, f"scale down to {self.slots.service.replicas}")

    def _retire(self, admitted: dict[ReplicaId, int]) -> None:
        """Start new ones beside the old, and have as many old ones leave as are made up for."""
        wanted = self.slots.service.replicas
        taking_part = [one for one in self.new() if _takes_part(one) or one.id in admitted]
        serving = [one for one in self.old() if _takes_part(one)]
        spare = max(len(taking_part) + len(serving) - wanted, 0)
        for one in self.old():
            if one.trial is not None:
                # It never took part.
                self._discard(one, self.slots.outdated(one))
            elif one.leaving is not None or isinstance(one.phase, Stopping):
                self._drain(one)
            elif one in serving and spare > 0:
                spare -= 1
                self._withdraw(one, after=tuple(admitted.values()))
            elif one in serving or (len(taking_part) < wanted and self._comes_back(one)):
                self._keep_up(one)
            else:
                self._discard(one, self.slots.outdated(one))
        missing = wanted - len(self.new())
        room = min(missing, self._room(admitted))
        reason = next((self.slots.outdated(one) for one in self.old()), "slot is empty")
        taken = {one.id.slot for one in self.observed}
        for slot in free_slots(taken, max(room, 0)):
            self.slots.fill(ReplicaId(self.slots.service.name, slot), reason, trial=True)

    def _replace(self, admitted: dict[ReplicaId, int]) -> None:
        """Have old ones stop, and new ones start in their slots."""
        service = self.slots.service
        old = sorted(self.old(), key=lambda one: (not self._is_going(one), one.id))
        surplus = len(self.new()) + len(old) - service.replicas
        going = sum(self._is_going(one) for one in old)
        room = self._room(admitted, going=going)
        for one in old:
            reason = self.slots.outdated(one)
            if surplus > 0:
                surplus -= 1
                self._drain(one) if one.leaving is not None else self._discard(one, reason)
                continue
            if not self._is_going(one):
                if room <= 0:
                    self._keep_up(one)
                    continue
                if self.slots.is_refused(one.id):
                    continue
                room -= 1
                others = [two for two in self.observed if two.id != one.id and _takes_part(two)]
                if _takes_part(one) and others and self._policy.drain > 0:
                    self._withdraw(one)
                    continue
            if self._still_drains(one):
                continue
            gone = self._discard(one, reason, keep_address=True)
            if gone is not None:
                self.slots.fill(one.id, reason, after=(gone,), trial=True)
        missing = min(service.replicas - len(self.new()) - len(old), room)
        for slot in free_slots({one.id.slot for one in self.observed}, max(missing, 0)):
            self.slots.fill(ReplicaId(service.name, slot), "slot is empty", trial=True)

    def _room(self, admitted: dict[ReplicaId, int], *, going: int = 0) -> int:
        """Return how many more may be replaced now."""
        policy, service = self._policy, self.slots.service
        if self.record is None or self.record.state is UpdateState.PAUSED:
            return 0
        unproven = sum(
            one.trial is not None and not one.trial.failed and one.id not in admitted
            for one in self.new()
        )
        room = (policy.parallelism or service.replicas) - unproven - going
        moments = [one.admitted for one in self.new() if one.admitted is not None]
        moments = [self._now] if admitted else [one for one in moments if one <= self._now]
        due = max(moments, default=-policy.delay) + policy.delay
        if room > 0 and self._now < due and self.old():
            self._plan.wake(due)
            self._plan.hold(service.name, f"the next replica is replaced after {policy.delay:g} s")
            return 0
        return room

    def _conclude(self, admitted: dict[ReplicaId, int]) -> None:
        service, record = self.slots.service, self.record
        if record is None:
            return
        if record.state is UpdateState.PAUSED:
            self._plan.hold(
                service.name,
                f"its update is paused: {record.reason}",
                hint=f"`pyorch rollout resume {service.name}`, `pyorch rollback`, or another file",
                stuck=True,
            )
            return
        unproven = [one for one in self.new() if one.trial is not None and one.id not in admitted]
        if not unproven and not self.old() and len(self.new()) == service.replicas:
            self._plan.add(
                CompleteUpdate(service.name),
                "every replica is a new one",
                after=tuple(admitted.values()),
            )
        elif unproven and all(one.trial is not None and one.trial.failed for one in unproven):
            names = ", ".join(str(one.id) for one in unproven)
            if self._policy.failure_action is FailureAction.CONTINUE:
                self._plan.hold(service.name, f"its update goes on without {names}", stuck=True)

    def _explain(self, one: ObservedReplica) -> None:
        if one.trial is None or not isinstance(one.phase, Running):
            return
        if passes_at(self._policy, one) is None:
            self._plan.hold(str(one.id), "is not ready yet")
        else:
            monitor = self._policy.monitor
            self._plan.hold(str(one.id), f"takes part once it has been ready for {monitor:g} s")

    def _keep_up(self, one: ObservedReplica) -> None:
        """Keep an old one as it is, if that needs no decision of anybody's."""
        if self._comes_back(one):
            self.slots.keep(one)

    def _comes_back(self, one: ObservedReplica) -> bool:
        match one.phase:
            case Exited() as exited:
                decision = decide_restart(self.slots.service.restart, one, exited, now=self._now)
                return not isinstance(decision, StayDown) and not self.slots.is_made_anew(one)
            case Created():
                return False
            case _:
                return True

    def _is_going(self, one: ObservedReplica) -> bool:
        return one.leaving is not None or not isinstance(one.phase, Running)

    def _withdraw(self, one: ObservedReplica, *, after: tuple[int, ...] = ()) -> None:
        self._plan.add(WithdrawReplica(one.id), self.slots.outdated(one), after=after)

    def _still_drains(self, one: ObservedReplica) -> bool:
        """Hold an old one that lets its connections come to their end; say whether it does."""
        if one.leaving is None or not isinstance(one.phase, Running):
            return False
        over = one.leaving + self._policy.drain
        if one.leaving <= self._now < over:
            self._plan.wake(over)
            self._plan.hold(str(one.id), "gets no new connections, and stops soon")
            return True
        return False

    def _drain(self, one: ObservedReplica) -> None:
        if not self._still_drains(one):
            self._discard(one, self.slots.outdated(one))

    def _discard(
        self, one: ObservedReplica, reason: str, *, keep_address: bool = False
    ) -> int | None:
        self.slots.gates.touched.add(self.slots.service.name)
        return discard(
            self._plan,
            one,
            grace=self.slots.service.stop_grace,
            reason=reason,
            now=self._now,
            keep_address=keep_address,
        )


def _takes_part(one: ObservedReplica) -> bool:
    return isinstance(one.phase, Running) and one.trial is None and one.leaving is None
