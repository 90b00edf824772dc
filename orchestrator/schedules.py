"""Services that run by the clock: their moments decided, their runs begun and closed.

What is decided is written down before anything is done for it. A daemon that dies before has
decided nothing, and one that dies after leaves a run the next one finds going on.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from orchestrator.chronicle import Tell
from orchestrator.errors import PyorchError
from orchestrator.store import Clock, RunChanges, RunState, Store, StoredRun
from scheduler.desired import DesiredService, DesiredStack, Intent, Overlap, Run, ServiceIntent
from scheduler.ids import ServiceName, StackName
from scheduler.observed import ObservedReplica, ObservedStack, Running, Stopping
from scheduler.schedule import (
    Agenda,
    Decision,
    Over,
    Turn,
    decide,
    judge_run,
    next_moment,
    with_run,
)

BY_CLOCK = "schedule"
BY_HAND = "hand"
STOPPED = "it was stopped by hand"
AFTER = 0.001
"""Seconds a look is later than a moment, so that it never is a breath before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """The clocks of all stacks. ``wall`` is the one people set, ``now`` that of the boot."""

    store: Store
    tell: Tell
    now: Callable[[], float]
    wall: Callable[[], float]

    def present(self, desired: DesiredStack) -> DesiredStack:
        """Return a stack with the runs that go on now; nothing is decided."""
        if not _scheduled(desired):
            return desired
        going = {run.service: run for run in self.store.runs.open(desired.name) if run.going}
        services = tuple(
            with_run(one, _run(going.get(one.name))) if one.schedule else one
            for one in desired.services
        )
        return replace(desired, services=services)

    def look(self, desired: DesiredStack, observed: ObservedStack) -> DesiredStack:
        """Decide what has become due, close what is over, and return the stack as it is then."""
        found = self.store.runs.open(desired.name)
        clocks = self.store.runs.clocks(desired.name)
        scheduled = {one.name: one for one in _scheduled(desired)}
        ticking = {
            name: service
            for name, service in scheduled.items()
            if desired.intent is Intent.RUN and service.intent is ServiceIntent.RUN
        }
        if still := set(clocks) - set(ticking):
            self.store.runs.stop_clocks(desired.name, still)
        for name in {run.service for run in found} - set(ticking):
            mine = [run for run in found if run.service == name]
            self._rest(desired, name, mine, _of(observed, name))
        for name, service in ticking.items():
            mine = [run for run in found if run.service == name]
            self._tick(desired.name, service, clocks.get(name), mine, _of(observed, name))
        return self.present(desired)

    def next_look(self, desired: DesiredStack) -> float | None:
        """Return the moment of the boot clock at which something of a stack is due."""
        clocks = self.store.runs.clocks(desired.name) if _scheduled(desired) else {}
        wall = self.wall()
        due = [
            moment
            for one in _scheduled(desired)
            if one.schedule is not None and one.name in clocks
            for moment in (next_moment(one.schedule, max(wall, clocks[one.name].seen_wall)),)
            if moment is not None
        ]
        return self.now() + min(due) - wall + AFTER if due else None

    def ask(self, desired: DesiredStack, name: str) -> int:
        """Have a run of a service begin as soon as none goes on, and return its number.

        Raises PyorchError where nothing of it may run now.
        """
        service = next((one for one in _scheduled(desired) if one.name == name), None)
        if service is None or service.schedule is None:
            known = ", ".join(one.name for one in _scheduled(desired)) or "none"
            raise PyorchError(
                f"service `{name}` of stack `{desired.name}` has no schedule",
                hint=f"those that have one: {known}; `x-pyorch.schedule` gives it one",
                code="not_found",
            )
        if desired.intent is not Intent.RUN or service.intent not in (
            ServiceIntent.RUN,
            ServiceIntent.IDLE,
        ):
            raise PyorchError(
                f"`{name}` is stopped", hint=f"`pyorch start {name}` lets it run", code="conflict"
            )
        mine = [run for run in self.store.runs.open(desired.name) if run.service == name]
        if mine and service.schedule.overlap is not Overlap.QUEUE:
            raise PyorchError(
                f"run {mine[0].number} of `{name}` goes on",
                hint="wait for its end; with `overlap: queue` the next one waits by itself",
                code="conflict",
            )
        wall = self.wall()
        run = _new(service.name, due=wall, origin=BY_HAND, state=RunState.WAITING)
        changes = RunChanges(at_wall=wall, new=(run,))
        return self.store.runs.record(desired.name, name, changes)[0].number

    def describe(self, desired: DesiredStack) -> Iterator[dict[str, Any]]:
        """Yield every schedule of a stack with its runs, the newest first."""
        clocks = self.store.runs.clocks(desired.name)
        runs = self.store.runs.of(desired.name)
        for service in _scheduled(desired):
            if service.schedule is None:
                continue
            clock = clocks.get(service.name)
            after = max(self.wall(), clock.seen_wall) if clock else 0.0
            yield {
                "stack": desired.name,
                "service": service.name,
                **asdict(service.schedule),
                "next_wall": next_moment(service.schedule, after) if clock else None,
                "runs": [asdict(run) for run in runs if run.service == service.name],
            }

    def _tick(
        self,
        stack: StackName,
        service: DesiredService,
        clock: Clock | None,
        runs: list[StoredRun],
        replicas: list[ObservedReplica],
    ) -> None:
        schedule, wall = service.schedule, self.wall()
        if schedule is None:
            return
        going = next((run for run in runs if run.going), None)
        over: Over | None = None
        if going is not None:
            over = judge_run(with_run(service, _run(going)), replicas, now=self.now())
        written = f"{schedule.cron} {schedule.zone}"
        # One that is new, or says something else now, begins now.
        known = clock is not None and clock.schedule == written
        agenda = Agenda(
            seen=clock.seen_wall if clock is not None and known else wall,
            going=None if over else _run(going),
            waiting=tuple(
                Run(number=run.number, due=run.due_wall) for run in runs if not run.going
            ),
        )
        decision = decide(schedule, agenda, now=wall)
        corrected = decision.seen < agenda.seen
        if known and not (over or decision.turns or decision.begins or corrected):
            return
        ended: list[tuple[int, RunState, int | None, str]] = []
        if going is not None and over is not None:
            state = RunState.SUCCEEDED if over.succeeded else RunState.FAILED
            ended.append((going.number, state, over.code, over.reason))
        if decision.replaced is not None:
            reason = "the next run was due"
            ended.append((decision.replaced.number, RunState.REPLACED, None, reason))
        changes = RunChanges(
            at_wall=wall,
            clock=Clock(schedule=written, seen_wall=decision.seen),
            ended=ended,
            begins=decision.begins.number if decision.begins else None,
            new=[_turned(service.name, turn, wall) for turn in decision.turns],
        )
        made = self.store.runs.record(stack, service.name, changes)
        self._tell(stack, service.name, changes, decision, made)

    def _tell(
        self,
        stack: str,
        service: str,
        changes: RunChanges,
        decision: Decision,
        made: Iterable[StoredRun],
    ) -> None:
        for number, state, _, reason in changes.ended:
            told = f"run {number} {state}" + (f": {reason}" if reason else "")
            self.tell(stack, "run.ended", service, told)
        if decision.begins is not None:
            self.tell(stack, "run.began", service, f"run {decision.begins.number}")
        for run in made:
            match run.state:
                case RunState.RUNNING:
                    self.tell(stack, "run.began", service, f"run {run.number}")
                case RunState.WAITING:
                    self.tell(stack, "run.waits", service, f"run {run.number}")
                case _:
                    self.tell(stack, f"run.{run.state}", service, run.reason)

    def _rest(
        self,
        desired: DesiredStack,
        name: ServiceName,
        runs: list[StoredRun],
        replicas: list[ObservedReplica],
    ) -> None:
        """Close runs of a service that is not to run, or has no schedule any more."""
        there = any(one.name == name for one in _scheduled(desired))
        reason = STOPPED if there else "it has no schedule any more"
        alive = any(isinstance(one.phase, Running | Stopping) for one in replicas)
        # A stack that is stopped as a whole goes on where it was once it is started again.
        pauses = there and desired.intent is not Intent.RUN
        ended = [
            (run.number, RunState.SKIPPED if not run.going else RunState.FAILED, None, reason)
            for run in runs
            if not run.going or not (alive or pauses)
        ]
        if not ended:
            return
        changes = RunChanges(at_wall=self.wall(), ended=ended)
        self.store.runs.record(desired.name, name, changes)
        self._tell(desired.name, name, changes, Decision(seen=0.0), ())


def _scheduled(desired: DesiredStack) -> list[DesiredService]:
    return [one for one in desired.services if one.schedule is not None]


def _of(observed: ObservedStack, name: str) -> list[ObservedReplica]:
    return [one for one in observed.replicas if one.id.service == name]


def _run(stored: StoredRun | None) -> Run | None:
    return None if stored is None else Run(number=stored.number, due=stored.due_wall)


def _turned(service: ServiceName, turn: Turn, wall: float) -> StoredRun:
    run = _new(service, due=turn.due, origin=BY_CLOCK, state=RunState(turn.fate.value))
    return replace(
        run,
        count=turn.count,
        reason=turn.reason,
        began_wall=wall if run.going else None,
    )


def _new(service: ServiceName, *, due: float, origin: str, state: RunState) -> StoredRun:
    return StoredRun(service=service, number=0, due_wall=due, origin=origin, state=state)
