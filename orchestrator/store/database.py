"""One SQLite file, and the two ways of changing it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import PyorchError, UnwritableError
from orchestrator.store.schema import migrate

Connection = sqlite3.Connection
"""What statements of one change are run on."""


class Database:
    """Two connections to one file. Statements are small and local, and run in place."""

    def __init__(self, path: Path) -> None:
        """Open or make it, as this version has it.

        Raises PyorchError for one that is broken, or that a newer pyorch wrote.
        """
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            path.chmod(0o600)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {pragma}")
            self._check()
            migrate(self._db, path)
            self._brief = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
                self._brief.execute(f"PRAGMA {pragma}")
        except PyorchError:
            self._db.close()
            raise
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise PyorchError(
                f"cannot open the state database `{path}`: {error}",
                hint="move it aside; running containers are found again without it",
            ) from error

    def close(self) -> None:
        """Write everything back into the one file and let go of it."""
        self._brief.close()
        self._db.close()

    def read(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Return what a query finds."""
        return self._db.execute(statement, values)

    def try_to_write(self) -> None:
        """Write what is there already. Raises UnwritableError where nothing can be written."""
        with self.brief_transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {version:d}")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Change everything or nothing, on disk before it returns."""
        with _all_or_nothing(self._db):
            yield self._db

    @contextmanager
    def brief_transaction(self) -> Iterator[Connection]:
        """Change everything or nothing, safe from a kill but not from a power cut at once.

        For what describes processes, which a power cut ends too, and what is found out again.
        Waiting for the disk a few times a container would be most of what starting it costs.
        """
        with _all_or_nothing(self._brief):
            yield self._brief

    def _check(self) -> None:
        # Found later, a broken page would end the daemon in the middle of a pass.
        (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).splitlines()[-1])


@contextmanager
def _all_or_nothing(db: Connection) -> Iterator[None]:
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        _undo(db)
        raise unwritable(error) from error
    except BaseException:
        _undo(db)
        raise


def unwritable(error: Exception) -> UnwritableError:
    """Return what to say of a change that did not come to disk."""
    return UnwritableError(
        f"the state database cannot be written: {error}",
        hint="see how much is free where it is; what runs goes on, and nothing is lost of it",
        code="no_space",
    )


def _undo(db: Connection) -> None:
    # A full disk ends some transactions by itself, and others not.
    if db.in_transaction:
        db.execute("ROLLBACK")
