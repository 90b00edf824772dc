"""What a pass came to, for people, and for whoever waits for a stack to settle."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from orchestrator.executor import Failed, Outcome
from orchestrator.store import StoredStack
from scheduler import Failed as StackFailed
from scheduler import Settled, settled
from scheduler.actions import LeasePort
from scheduler.desired import DesiredStack, Intent
from scheduler.ids import ReplicaId
from scheduler.observed import ObservedStack, Running
from scheduler.plan import Plan

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error, for a person."""

    message: str
    hint: str | None = None
    stuck: bool = True
    """Waiting alone will not end it."""
    services: tuple[str, ...] = ()
    """Whose containers are held up by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """What the last pass over a stack came to."""

    generation: int
    intent: Intent
    plan: Plan
    problems: tuple[Problem, ...]
    settled: bool
    failure: str = ""
    """Why the stack will not settle by itself; empty while it may."""
    running: frozenset[ReplicaId] = frozenset()
    """What ran when the pass looked."""


def find_problems(plan: Plan, outcomes: Mapping[int, Outcome]) -> tuple[Problem, ...]:
    """Log every refusal once, and return them for people."""
    found = []
    for step in plan.steps:
        outcome = outcomes[step.number]
        if isinstance(outcome, Failed):
            error = outcome.error
            log.warning("step.failed", step=str(step), error=str(error), hint=error.hint)
            found.append(
                Problem(
                    message=str(error),
                    hint=error.hint,
                    stuck=not error.retryable,
                    services=tuple(sorted(_held_up(plan, step.number))),
                )
            )
    return tuple(found)


def _held_up(plan: Plan, failed: int) -> set[str]:
    """Return the services of a step and of all that wait for it."""
    waiting = {failed}
    services = set()
    for step in plan.steps:
        if step.number in waiting or waiting.intersection(step.after):
            waiting.add(step.number)
            if isinstance(step.action, LeasePort):
                services.add(str(step.action.service))
            elif replica := getattr(step.action, "replica", None):
                services.add(str(replica.service))
    return services


def report_pass(
    stored: StoredStack,
    desired: DesiredStack,
    observed: ObservedStack,
    plan: Plan,
    problems: tuple[Problem, ...],
    *,
    now: float,
) -> PassReport:
    """Return what a pass that was carried out came to."""
    verdict = settled(desired, observed, plan, now=now)
    stuck = next((problem for problem in problems if problem.stuck), None)
    failure = stuck.message if stuck else ""
    if isinstance(verdict, StackFailed) and not failure:
        failure = verdict.reason
    return PassReport(
        generation=stored.generation,
        intent=stored.intent,
        plan=plan,
        problems=problems,
        settled=isinstance(verdict, Settled) and not problems,
        failure=failure,
        running=frozenset(
            replica.id for replica in observed.replicas if isinstance(replica.phase, Running)
        ),
    )


def report_refusal(stored: StoredStack | None, error: Exception) -> PassReport:
    """Return what a pass came to that could not be made at all."""
    return PassReport(
        generation=stored.generation if stored else 0,
        intent=stored.intent if stored else Intent.RUN,
        plan=Plan(),
        problems=(Problem(message=str(error), hint=getattr(error, "hint", None)),),
        settled=False,
        failure=str(error),
    )
