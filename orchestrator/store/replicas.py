"""What is remembered of replicas: how often they started, how they ended, who asked for them."""

import json
from collections.abc import Iterable, Sequence

from orchestrator.store.database import Database
from orchestrator.store.values import Ending, ReplicaHistory
from runtime.types import ContainerId
from scheduler.ids import ReplicaId, ServiceName, StackName, container_name
from scheduler.observed import Trial

KEPT_ENDINGS = 10
"""Of each slot."""


class Replicas:
    """The history of each slot."""

    def __init__(self, db: Database) -> None:
        """Keep it in ``db``."""
        self._db = db

    def histories(self, stack: str) -> dict[ReplicaId, ReplicaHistory]:
        """Return what is remembered of each slot of a stack."""
        rows = self._db.read(
            "SELECT service, slot, attempts, restarts, counted, asked, healing, overdue,"
            " follows, trial, failed, admitted, leaving"
            " FROM replicas WHERE stack = ?",
            (stack,),
        )
        return {
            ReplicaId(ServiceName(service), slot): ReplicaHistory(
                attempts=attempts,
                restarts=restarts,
                counted=tuple(json.loads(counted)),
                asked=bool(asked),
                healing=bool(healing),
                overdue=bool(overdue),
                follows=follows,
                trial=None if trial is None else Trial(trial, bool(failed)),
                admitted=admitted,
                leaving=leaving,
            )
            for (
                service,
                slot,
                attempts,
                restarts,
                counted,
                asked,
                healing,
                overdue,
                follows,
                trial,
                failed,
                admitted,
                leaving,
            ) in rows
        }

    def record_start(
        self,
        stack: str,
        replica: ReplicaId,
        *,
        attempt: int,
        counted: Sequence[float] = (),
        follows: str = "",
    ) -> None:
        """Remember a start; ``attempt`` 0 is a first one, others are restarts in a row.

        Whoever has asked for it has got it.
        """
        with self._db.brief_transaction() as db:
            db.execute(
                "INSERT INTO replicas (stack, service, slot, attempts, restarts, counted, follows)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stack, service, slot) DO UPDATE SET"
                " attempts = excluded.attempts, restarts = restarts + excluded.restarts,"
                " counted = excluded.counted, follows = excluded.follows, asked = 0, healing = 0,"
                " overdue = 0",
                (
                    stack,
                    replica.service,
                    replica.slot,
                    attempt,
                    int(attempt > 0),
                    json.dumps(counted),
                    follows,
                ),
            )

    def record_healing(
        self, stack: str, replica: ReplicaId, *, attempt: int, counted: Sequence[float]
    ) -> None:
        """Remember that a replica is stopped to run anew, and as which restart that counts."""
        with self._db.brief_transaction() as db:
            db.execute(
                "INSERT INTO replicas (stack, service, slot, attempts, counted, healing)"
                " VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (stack, service, slot) DO UPDATE SET"
                " attempts = excluded.attempts, counted = excluded.counted, healing = 1",
                (stack, replica.service, replica.slot, attempt, json.dumps(counted)),
            )

    def record_making(self, stack: str, replica: ReplicaId, *, trial: float | None) -> None:
        """Remember of a container about to be made since when it is on trial, if it is."""
        self._put(stack, replica, trial=trial, failed=0, admitted=None, leaving=None)

    def record_admission(self, stack: str, replica: ReplicaId, *, at: float) -> None:
        """Remember that a replica takes part, or does so again."""
        self._put(stack, replica, trial=None, failed=0, admitted=at, leaving=None)

    def record_failed_trial(self, stack: str, replica: ReplicaId) -> None:
        """Remember that a new replica has failed."""
        self._put(stack, replica, failed=1)

    def renew_trials(self, stack: str, service: str, *, since: float) -> None:
        """Give new replicas of a service that have failed another trial."""
        with self._db.transaction() as db:
            db.execute(
                "UPDATE replicas SET failed = 0, trial = ? WHERE stack = ? AND service = ?"
                " AND trial IS NOT NULL AND failed = 1",
                (since, stack, service),
            )

    def record_leaving(self, stack: str, replica: ReplicaId, *, since: float | None) -> None:
        """Remember since when a replica gets no new connections; None where it does."""
        self._put(stack, replica, leaving=since)

    def _put(self, stack: str, replica: ReplicaId, **values: float | None) -> None:
        columns = tuple(values)
        with self._db.transaction() as db:
            db.execute(
                f"INSERT INTO replicas (stack, service, slot, {', '.join(columns)})"
                f" VALUES (?, ?, ?, {', '.join('?' * len(columns))})"
                " ON CONFLICT (stack, service, slot) DO UPDATE SET "
                + ", ".join(f"{name} = excluded.{name}" for name in columns),
                (stack, replica.service, replica.slot, *values.values()),
            )

    def record_overdue(self, stack: str, replica: ReplicaId) -> None:
        """Remember that a run is ended because it has taken too long."""
        with self._db.brief_transaction() as db:
            db.execute(
                "INSERT INTO replicas (stack, service, slot, overdue) VALUES (?, ?, ?, 1)"
                " ON CONFLICT (stack, service, slot) DO UPDATE SET overdue = 1",
                (stack, replica.service, replica.slot),
            )

    def aside(self) -> frozenset[ContainerId]:
        """Return the containers that are on trial or about to leave, of every stack."""
        rows = self._db.read(
            "SELECT stack, service, slot FROM replicas"
            " WHERE trial IS NOT NULL OR leaving IS NOT NULL"
        )
        return frozenset(
            ContainerId(container_name(StackName(stack), ReplicaId(ServiceName(service), slot)))
            for stack, service, slot in rows
        )

    def request(self, stack: str, services: Iterable[str]) -> None:
        """Note that somebody wants what has ended of services to run again."""
        with self._db.transaction() as db:
            db.executemany(
                "INSERT INTO requests (stack, service) VALUES (?, ?)",
                [(stack, service) for service in services],
            )

    def requests(self, stack: str) -> tuple[int, frozenset[ServiceName]]:
        """Return the services of which that is wanted, and the number of the latest request."""
        rows = self._db.read("SELECT id, service FROM requests WHERE stack = ?", (stack,))
        found = rows.fetchall()
        return max((number for number, _ in found), default=0), frozenset(
            ServiceName(service) for _, service in found
        )

    def settle_requests(self, stack: str, number: int, replicas: Iterable[ReplicaId]) -> None:
        """Put in place of the requests up to ``number`` that these replicas are asked for."""
        with self._db.transaction() as db:
            db.executemany(
                "INSERT INTO replicas (stack, service, slot, asked) VALUES (?, ?, ?, 1)"
                " ON CONFLICT (stack, service, slot) DO UPDATE SET asked = 1",
                [(stack, one.service, one.slot) for one in replicas],
            )
            db.execute("DELETE FROM requests WHERE stack = ? AND id <= ?", (stack, number))

    def record_ending(self, stack: str, ending: Ending) -> bool:
        """Remember how a run ended; say whether that is news. The oldest of each slot go."""
        slot = (stack, ending.replica.service, ending.replica.slot)
        with self._db.brief_transaction() as db:
            found = db.execute(
                "INSERT OR IGNORE INTO endings (stack, service, slot, created_wall, run, code, oom,"
                " lived, stopped, at_wall) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *slot,
                    ending.created_wall,
                    ending.run,
                    ending.code,
                    int(ending.oom),
                    ending.lived,
                    int(ending.stopped),
                    ending.at_wall,
                ),
            )
            if found.rowcount < 1:
                return False
            db.execute(
                "DELETE FROM endings WHERE stack = ? AND service = ? AND slot = ? AND id NOT IN"
                " (SELECT id FROM endings WHERE stack = ? AND service = ? AND slot = ?"
                " ORDER BY id DESC LIMIT ?)",
                (*slot, *slot, KEPT_ENDINGS),
            )
            return True

    def endings(self, stack: str) -> tuple[Ending, ...]:
        """Return how the last runs of a stack's replicas ended, the newest first."""
        rows = self._db.read(
            "SELECT service, slot, created_wall, run, code, oom, lived, stopped, at_wall"
            " FROM endings WHERE stack = ? ORDER BY id DESC",
            (stack,),
        )
        return tuple(
            Ending(
                replica=ReplicaId(ServiceName(service), slot),
                created_wall=created_wall,
                run=run,
                code=code,
                oom=bool(oom),
                lived=lived,
                stopped=bool(stopped),
                at_wall=at_wall,
            )
            for service, slot, created_wall, run, code, oom, lived, stopped, at_wall in rows
        )
