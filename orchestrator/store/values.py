"""What is kept, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from scheduler.desired import Intent, ServiceIntent
from scheduler.ids import ReplicaId, ServiceName, StackName
from scheduler.observed import Trial, UpdateState


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked of one service besides its file; one without a wish is to run.

    ``stop_grace`` overrides the file's. ``restart_before`` is a moment of the boot clock.
    """

    intent: ServiceIntent = ServiceIntent.RUN
    alone: bool = False
    stop_grace: float | None = None
    restart_before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStack:
    """What was last asked of a stack, and of single services of it."""

    name: StackName
    intent: Intent
    generation: int
    remove_volumes: bool
    stop_grace: float | None
    owner_uid: int
    changed_wall: float
    wishes: Mapping[ServiceName, Wish] = field(default_factory=dict)
    origin: str = ""
    """Where its generation came from, if not from a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One accepted stack file: when, by whom, and where it came from if not from a file."""

    number: int
    accepted_wall: float
    accepted_uid: int
    origin: str
    images: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaHistory:
    """``attempts``: restarts in a row. ``restarts``: in all, since the slot was first filled.

    ``counted`` are the moments of those that a restart policy allows so many of. ``asked`` says
    that somebody has asked for it since it has ended, ``healing`` that it was stopped for being
    unhealthy, ``overdue`` that its run was ended for taking too long. ``follows`` is what its run
    was started after.
    """

    attempts: int = 0
    restarts: int = 0
    counted: tuple[float, ...] = ()
    asked: bool = False
    healing: bool = False
    overdue: bool = False
    follows: str = ""
    trial: Trial | None = None
    admitted: float | None = None
    leaving: float | None = None
    """Moments of the boot clock, as in :class:`scheduler.observed.ObservedReplica`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The last update of a service, in which generation it was begun, and which one was before."""

    service: ServiceName
    generation: int
    target: str
    before: int | None
    state: UpdateState
    reason: str
    began_wall: float
    changed_wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one run of a replica ended. ``created_wall`` and ``run`` tell it from the others."""

    replica: ReplicaId
    created_wall: float
    run: int
    code: int
    oom: bool
    lived: float
    stopped: bool
    at_wall: float


class RunState(StrEnum):
    """What has become of a run by the clock."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Its time came when it could not begin."""
    MISSED = "missed"
    """Its time came when nobody looked."""
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run by the clock, or by hand, or ``count`` moments up to one of which none came."""

    service: ServiceName
    number: int
    due_wall: float
    origin: str
    state: RunState
    count: int = 1
    began_wall: float | None = None
    ended_wall: float | None = None
    code: int | None = None
    reason: str = ""

    @property
    def going(self) -> bool:
        """Whether it has begun and is not over."""
        return self.state is RunState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Up to which moment a service's runs are decided, and by which schedule."""

    schedule: str
    seen_wall: float


class HookMark(NamedTuple):
    """A hook that has run: for which run or definition, how it ended, and the last it said."""

    key: str
    code: int
    words: str


Hook = tuple[str, int, str, int]
"""Service, slot (0 for the service as a whole), kind, number from 0."""
