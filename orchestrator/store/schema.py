"""The tables, and how a database of an older version comes to have them."""

import sqlite3
from pathlib import Path

from orchestrator.errors import PyorchError

SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE stacks (
        name TEXT PRIMARY KEY,
        intent TEXT NOT NULL,
        generation INTEGER NOT NULL,
        remove_volumes INTEGER NOT NULL DEFAULT 0,
        stop_grace REAL,
        owner_uid INTEGER NOT NULL,
        changed_wall REAL NOT NULL
    ) STRICT;
    CREATE TABLE generations (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        model TEXT NOT NULL,
        images TEXT NOT NULL DEFAULT '{}',
        accepted_wall REAL NOT NULL,
        PRIMARY KEY (stack, number)
    ) STRICT;
    CREATE TABLE replicas (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        slot INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        restarts INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (stack, service, slot)
    ) STRICT;
    CREATE TABLE addresses (
        network TEXT NOT NULL,
        address TEXT NOT NULL,
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        slot INTEGER NOT NULL,
        PRIMARY KEY (network, address)
    ) STRICT;
    CREATE TABLE ports (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        target INTEGER NOT NULL,
        protocol TEXT NOT NULL,
        host_ip TEXT NOT NULL,
        host_port INTEGER NOT NULL,
        PRIMARY KEY (protocol, host_ip, host_port)
    ) STRICT;
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stack TEXT NOT NULL,
        name TEXT NOT NULL,
        replica TEXT NOT NULL,
        reason TEXT NOT NULL,
        at_wall REAL NOT NULL
    ) STRICT;
    CREATE INDEX events_by_stack ON events (stack, id);
    """,
    """
    ALTER TABLE events RENAME COLUMN replica TO subject;
    """,
    """
    ALTER TABLE generations ADD COLUMN origin TEXT NOT NULL DEFAULT '';
    ALTER TABLE generations ADD COLUMN accepted_uid INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE anonymous_volumes (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        slot INTEGER NOT NULL,
        target TEXT NOT NULL,
        volume TEXT NOT NULL,
        PRIMARY KEY (stack, service, slot, target)
    ) STRICT;
    """,
    """
    CREATE TABLE services (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        intent TEXT NOT NULL,
        alone INTEGER NOT NULL,
        stop_grace REAL,
        restart_before REAL,
        PRIMARY KEY (stack, service)
    ) STRICT;
    """,
    """
    CREATE TABLE hooks (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        slot INTEGER NOT NULL,
        kind TEXT NOT NULL,
        number INTEGER NOT NULL,
        key TEXT NOT NULL,
        code INTEGER NOT NULL,
        words TEXT NOT NULL,
        PRIMARY KEY (stack, service, slot, kind, number)
    ) STRICT;
    """,
    "ALTER TABLE replicas ADD COLUMN counted TEXT NOT NULL DEFAULT '[]'",
    """
    ALTER TABLE replicas ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL
    ) STRICT;
    CREATE TABLE endings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        slot INTEGER NOT NULL,
        created_wall REAL NOT NULL,
        run INTEGER NOT NULL,
        code INTEGER NOT NULL,
        oom INTEGER NOT NULL,
        lived REAL NOT NULL,
        stopped INTEGER NOT NULL,
        at_wall REAL NOT NULL,
        UNIQUE (stack, service, slot, created_wall, run)
    ) STRICT;
    """,
    "ALTER TABLE replicas ADD COLUMN healing INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE replicas ADD COLUMN follows TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE replicas ADD COLUMN overdue INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE one_offs (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        service TEXT NOT NULL,
        generation INTEGER NOT NULL,
        document TEXT NOT NULL,
        alone INTEGER NOT NULL,
        attached INTEGER NOT NULL,
        remove INTEGER NOT NULL,
        going INTEGER NOT NULL,
        PRIMARY KEY (stack, name)
    ) STRICT;
    """,
    """
    CREATE TABLE clocks (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        schedule TEXT NOT NULL,
        seen_wall REAL NOT NULL,
        PRIMARY KEY (stack, service)
    ) STRICT;
    CREATE TABLE runs (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        number INTEGER NOT NULL,
        due_wall REAL NOT NULL,
        origin TEXT NOT NULL,
        state TEXT NOT NULL,
        count INTEGER NOT NULL,
        began_wall REAL,
        ended_wall REAL,
        code INTEGER,
        reason TEXT NOT NULL,
        PRIMARY KEY (stack, service, number)
    ) STRICT;
    """,
    """
    ALTER TABLE replicas ADD COLUMN trial REAL;
    ALTER TABLE replicas ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE replicas ADD COLUMN admitted REAL;
    ALTER TABLE replicas ADD COLUMN leaving REAL;
    ALTER TABLE generations ADD COLUMN undoes INTEGER;
    ALTER TABLE generations ADD COLUMN because TEXT NOT NULL DEFAULT '';
    CREATE TABLE updates (
        stack TEXT NOT NULL REFERENCES stacks(name) ON DELETE CASCADE,
        service TEXT NOT NULL,
        generation INTEGER NOT NULL,
        target TEXT NOT NULL,
        before INTEGER,
        state TEXT NOT NULL,
        reason TEXT NOT NULL DEFAULT '',
        began_wall REAL NOT NULL,
        changed_wall REAL NOT NULL,
        PRIMARY KEY (stack, service)
    ) STRICT;
    """,
)
"""One entry a version: entry N brings a database from version N to N + 1."""


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring a database to this version. Raises PyorchError for one of a newer version."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(SCHEMA):
        raise PyorchError(
            f"`{path}` was written by a newer pyorch (schema {version})",
            hint=f"this one knows schemas up to {len(SCHEMA)}; install the newer one again",
        )
    for number in range(version, len(SCHEMA)):
        # One transaction a version: after a kill it is the old schema or the new one.
        db.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
        )
