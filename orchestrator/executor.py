"""Carry out a plan: its order, as much overlap as that allows, and no opinion.

A failed step skips what waits for it and nothing else; what the others achieve is simply
absent from the next plan.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import UnwritableError
from runtime.errors import DriverError
from scheduler.actions import Action
from scheduler.plan import Plan, Step

Perform = Callable[[Step], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Done:
    """The step succeeded."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The step was refused."""

    error: DriverError | UnwritableError


@dataclass(frozen=True, slots=True)
class Skipped:
    """A step it waits for did not succeed."""


Outcome = Done | Failed | Skipped


async def execute(plan: Plan, perform: Perform) -> Mapping[int, Outcome]:
    """Run ``plan`` and report what became of every step, by number.

    What the host refuses becomes an outcome. Anything else is a bug: it cancels the
    remaining steps and propagates.
    """
    tasks: dict[int, asyncio.Task[Outcome]] = {}
    async with asyncio.TaskGroup() as group:
        for step in plan.steps:
            waits_for = [tasks[number] for number in step.after]
            tasks[step.number] = group.create_task(
                _run(step, waits_for, perform), name=f"plan step {step.number}"
            )
    return {number: task.result() for number, task in tasks.items()}


async def _run(step: Step, waits_for: Sequence[asyncio.Task[Outcome]], perform: Perform) -> Outcome:
    if waits_for:
        # Waited for and not awaited: a bug in an earlier step is told once, by that step.
        await asyncio.wait(waits_for)
    if not all(map(_succeeded, waits_for)):
        return Skipped()
    try:
        await perform(step)
    except (DriverError, UnwritableError) as error:
        return Failed(error)
    return Done()


def _succeeded(task: asyncio.Task[Outcome]) -> bool:
    if task.cancelled() or task.exception() is not None:
        return False
    return isinstance(task.result(), Done)


__all__ = ["Action", "Done", "Failed", "Outcome", "Perform", "Skipped", "execute"]
