"""A daemon is killed while it brings a database to today's schema: it is the old or the new one."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from orchestrator.store import SCHEMA, Store
from tests.sweep.test_kill_sweep import POINTS, SEED, check_it_fired, choose
from tests.sweep.traced import Point

pytestmark = pytest.mark.root

CALLS = "pwrite64,fdatasync,fsync,ftruncate,unlink,openat,mkdir,fchmodat,chmod"
OPEN = "import sys; from pathlib import Path; from orchestrator.store import Store; {}"
STORE = OPEN.format("Store(Path(sys.argv[1])).close()")
"""Whatever is done besides is done before the first line about the database."""


def make_old(folder):
    """Write a database of the first schema that holds a stack."""
    folder.mkdir()
    with sqlite3.connect(folder / "state.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(SCHEMA[0])
        database.execute("PRAGMA user_version = 1")
        database.execute("INSERT INTO stacks VALUES ('shop', 'run', 1, 0, NULL, 0, 1.0)")
        database.execute("INSERT INTO generations VALUES ('shop', 1, '{}', '{}', 1.0)")
        database.execute("INSERT INTO events VALUES (1, 'shop', 'x', 'web.1', 'why', 1.0)")
    database.close()
    return folder


def migrate(folder, log, point=None):
    """Open a database in a process of its own, which may be killed at a call."""
    line = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS}"]
    if point is not None:
        line += ["-e", f"inject={point.call}:signal=KILL:when={point.number}"]
    done = subprocess.run(
        [*line, sys.executable, "-c", STORE, str(folder)], env=os.environ, check=False
    )
    return done.returncode, log.read_text()


def points_of(log):
    """Return the calls from the first one about the database on."""
    found, counts, begun = [], {}, False
    for line in log.splitlines():
        if call := re.match(r"\d+\s+(\w+)\(", line):
            counts[call[1]] = counts.get(call[1], 0) + 1
            begun = begun or "state.db" in line
            if begun:
                found.append(Point(call[1], counts[call[1]]))
    return found


def test_f9_a_kill_at_any_point_of_a_migration_leaves_the_old_schema_or_the_new(tmp_path, request):
    old = make_old(tmp_path / "old")
    shutil.copytree(old, tmp_path / "counted")
    code, log = migrate(tmp_path / "counted", tmp_path / "log")
    assert code == 0

    fired, seen = {}, set()
    for number, point in enumerate(choose(request, "migration", points_of(log), times=4)):
        where = f"killed at {point} of a migration (seed {SEED})"
        folder = tmp_path / str(number)
        shutil.copytree(old, folder)
        _, log = migrate(folder, tmp_path / "log", point)
        fired[point] = "killed by SIGKILL" in log
        with sqlite3.connect(folder / "state.db") as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",), where
        database.close()
        seen.add(version)
        assert 1 <= version <= len(SCHEMA), where

        store = Store(folder)
        assert [one.name for one in store.stacks.all()] == ["shop"], where
        assert len(store.events.last("shop", most=10)) == 1, where
        store.close()
        with sqlite3.connect(folder / "state.db") as database:
            assert database.execute("PRAGMA user_version").fetchone() == (len(SCHEMA),), where
        database.close()
    check_it_fired(fired)
    assert POINTS < 20 or len(seen) == len(SCHEMA), "every version was seen in between"
