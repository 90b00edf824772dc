"""Decides; never acts. Desired × observed × now → a plan, with a reason on every step.

Nothing in this package can see or change the world: no clock, no randomness, no files.
"""

from scheduler.capacity import Reservation, claims, reserve
from scheduler.errors import CyclicDependencyError, ExhaustedError, PlanError
from scheduler.health import HealthState, add_up, judge_probe, next_probe
from scheduler.plan import Held, Plan, Step
from scheduler.planner import plan_stack
from scheduler.restart import ask_for_ended
from scheduler.revision import revision_of
from scheduler.schedule import check_schedule
from scheduler.status import Failed, Settled, Waiting, settled

__all__ = [
    "CyclicDependencyError",
    "ExhaustedError",
    "Failed",
    "HealthState",
    "Held",
    "Plan",
    "PlanError",
    "Reservation",
    "Settled",
    "Step",
    "Waiting",
    "add_up",
    "ask_for_ended",
    "check_schedule",
    "claims",
    "judge_probe",
    "next_probe",
    "plan_stack",
    "reserve",
    "revision_of",
    "settled",
]
