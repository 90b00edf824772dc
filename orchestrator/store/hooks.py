"""Which hooks have run, and how they ended."""

from orchestrator.store.database import Database
from orchestrator.store.values import Hook, HookMark


class Hooks:
    """The last run of each hook."""

    def __init__(self, db: Database) -> None:
        """Keep it in ``db``."""
        self._db = db

    def of(self, stack: str) -> dict[Hook, HookMark]:
        """Return what is known of hooks that have run."""
        rows = self._db.read(
            "SELECT service, slot, kind, number, key, code, words FROM hooks WHERE stack = ?",
            (stack,),
        )
        return {tuple(row[:4]): HookMark(*row[4:]) for row in rows}

    def record(self, stack: str, hook: Hook, mark: HookMark) -> None:
        """Remember that a hook has run; what is known of an earlier run goes."""
        with self._db.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO hooks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (stack, *hook, *mark),
            )

    def renew(self, stack: str) -> None:
        """Let hooks that have failed run again, and those of stopping in any case."""
        with self._db.transaction() as db:
            db.execute(
                "DELETE FROM hooks WHERE stack = ? AND (code != 0 OR kind = 'pre_stop')", (stack,)
            )
