"""Runs by the clock: how far each service's moments are decided, and what became of its runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.store.database import Connection, Database
from orchestrator.store.values import Clock, RunState, StoredRun
from scheduler.ids import ServiceName

KEPT_RUNS = 50
"""Of each service; one that is not over is kept in any case."""
OPEN = (RunState.WAITING, RunState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChanges:
    """What one look at a service's clock comes to; all of it is written or nothing."""

    at_wall: float
    clock: Clock | None = None
    ended: Sequence[tuple[int, RunState, int | None, str]] = ()
    """Number, what became of it, exit code, and why."""
    begins: int | None = None
    new: Sequence[StoredRun] = ()
    """Their numbers are given to them."""


class Runs:
    """The runs of services by the clock."""

    def __init__(self, db: Database) -> None:
        """Keep them in ``db``."""
        self._db = db

    def clocks(self, stack: str) -> dict[ServiceName, Clock]:
        """Return how far the moments of a stack's services are decided."""
        rows = self._db.read(
            "SELECT service, schedule, seen_wall FROM clocks WHERE stack = ?", (stack,)
        )
        return {
            ServiceName(service): Clock(schedule=schedule, seen_wall=seen)
            for service, schedule, seen in rows
        }

    def of(self, stack: str) -> tuple[StoredRun, ...]:
        """Return every run of a stack that is remembered, the newest first."""
        return self._select("stack = ?", (stack,))

    def open(self, stack: str) -> tuple[StoredRun, ...]:
        """Return the runs of a stack that go on or wait for that, the oldest first."""
        found = self._select("stack = ? AND state IN (?, ?)", (stack, *OPEN))
        return tuple(reversed(found))

    def record(self, stack: str, service: str, changes: RunChanges) -> tuple[StoredRun, ...]:
        """Write down what is new, and return the new runs with their numbers."""
        made = []
        with self._db.transaction() as db:
            if changes.clock is not None:
                db.execute(
                    "INSERT OR REPLACE INTO clocks VALUES (?, ?, ?, ?)",
                    (stack, service, changes.clock.schedule, changes.clock.seen_wall),
                )
            for number, state, code, reason in changes.ended:
                db.execute(
                    "UPDATE runs SET state = ?, code = ?, reason = ?, ended_wall = ?"
                    " WHERE stack = ? AND service = ? AND number = ?",
                    (state, code, reason, changes.at_wall, stack, service, number),
                )
            if changes.begins is not None:
                db.execute(
                    "UPDATE runs SET state = ?, began_wall = ?"
                    " WHERE stack = ? AND service = ? AND number = ?",
                    (RunState.RUNNING, changes.at_wall, stack, service, changes.begins),
                )
            for run in changes.new:
                made.append(self._add(db, stack, service, run))
            self._trim(db, stack, service)
        return tuple(made)

    def stop_clocks(self, stack: str, services: Iterable[str]) -> None:
        """Let moments of services pass from now on as if they had never been."""
        with self._db.transaction() as db:
            for service in services:
                db.execute("DELETE FROM clocks WHERE stack = ? AND service = ?", (stack, service))

    def _add(self, db: Connection, stack: str, service: str, run: StoredRun) -> StoredRun:
        (last,) = db.execute(
            "SELECT COALESCE(MAX(number), 0) FROM runs WHERE stack = ? AND service = ?",
            (stack, service),
        ).fetchone()
        values = (
            run.due_wall,
            run.origin,
            run.state,
            run.count,
            run.began_wall,
            run.ended_wall,
            run.code,
            run.reason,
        )
        db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (stack, service, last + 1, *values),
        )
        return StoredRun(ServiceName(service), last + 1, *values)

    def _trim(self, db: Connection, stack: str, service: str) -> None:
        db.execute(
            "DELETE FROM runs WHERE stack = ? AND service = ? AND state NOT IN (?, ?)"
            " AND number <= (SELECT MAX(number) FROM runs WHERE stack = ? AND service = ?) - ?",
            (stack, service, *OPEN, stack, service, KEPT_RUNS),
        )

    def _select(self, where: str, values: Sequence[object]) -> tuple[StoredRun, ...]:
        rows = self._db.read(
            "SELECT service, number, due_wall, origin, state, count, began_wall, ended_wall, code,"
            f" reason FROM runs WHERE {where} ORDER BY number DESC",
            values,
        )
        return tuple(
            StoredRun(ServiceName(service), number, due, origin, RunState(state), *rest)
            for service, number, due, origin, state, *rest in rows
        )
