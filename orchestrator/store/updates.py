"""What is remembered of updates: the last one of each service."""

import time
from dataclasses import replace

from orchestrator.store.database import Database
from orchestrator.store.values import Update
from scheduler.ids import ServiceName
from scheduler.observed import UpdateState


class Updates:
    """The last update of each service of every stack."""

    def __init__(self, db: Database) -> None:
        """Keep them in ``db``."""
        self._db = db

    def of(self, stack: str) -> dict[ServiceName, Update]:
        """Return the last update of each service that has had one."""
        rows = self._db.read(
            "SELECT service, generation, target, before, state, reason, began_wall, changed_wall"
            " FROM updates WHERE stack = ? ORDER BY service",
            (stack,),
        )
        return {
            ServiceName(service): Update(
                service=ServiceName(service),
                generation=generation,
                target=target,
                before=before,
                state=UpdateState(state),
                reason=reason,
                began_wall=began,
                changed_wall=changed,
            )
            for service, generation, target, before, state, reason, began, changed in rows
        }

    def begin(
        self,
        stack: str,
        service: ServiceName,
        *,
        generation: int,
        target: str,
        before: int | None,
    ) -> None:
        """Remember that a service is updated, and which generation there is to go back to."""
        now = time.time()
        self._save(
            stack,
            Update(
                service=service,
                generation=generation,
                target=target,
                before=before,
                state=UpdateState.RUNNING,
                reason="",
                began_wall=now,
                changed_wall=now,
            ),
        )

    def turn(
        self, stack: str, service: ServiceName, state: UpdateState, *, reason: str = ""
    ) -> None:
        """Remember how far the last update of a service is; nothing where there was none."""
        found = self.of(stack).get(service)
        if found is not None:
            changed = replace(found, state=state, reason=reason, changed_wall=time.time())
            self._save(stack, changed)

    def _save(self, stack: str, one: Update) -> None:
        with self._db.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO updates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stack,
                    one.service,
                    one.generation,
                    one.target,
                    one.before,
                    one.state.value,
                    one.reason,
                    one.began_wall,
                    one.changed_wall,
                ),
            )
