"""What happened, for as long as there is room for it."""

from orchestrator.store.database import Database

KEPT_EVENTS = 10_000


class Events:
    """The facts told of stacks; the oldest go, and those of a stack outlive it."""

    def __init__(self, db: Database) -> None:
        """Keep it in ``db``."""
        self._db = db

    def record(self, stack: str, name: str, subject: str, reason: str, at_wall: float) -> None:
        """Append to the history, and let the oldest go."""
        with self._db.brief_transaction() as db:
            number = db.execute(
                "INSERT INTO events (stack, name, subject, reason, at_wall) VALUES (?, ?, ?, ?, ?)",
                (stack, name, subject, reason, at_wall),
            ).lastrowid
            if number and number % 256 == 0:
                db.execute("DELETE FROM events WHERE id <= ?", (number - KEPT_EVENTS,))

    def last(
        self, stack: str, *, most: int, since_wall: float = 0.0
    ) -> tuple[tuple[str, str, str, float], ...]:
        """Return the last facts of a stack, the oldest first: name, subject, reason and moment."""
        rows = self._db.read(
            "SELECT name, subject, reason, at_wall FROM events"
            " WHERE stack = ? AND at_wall >= ? ORDER BY id DESC LIMIT ?",
            (stack, since_wall, most),
        )
        return tuple(reversed(rows.fetchall()))
