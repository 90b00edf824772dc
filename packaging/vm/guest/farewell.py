"""What is checked at the end: everything goes, by the commands that say so."""

import os
import subprocess
from pathlib import Path

from guestbook import PYORCH, run
from report import Check, need

from orchestrator.settings import Settings
from tests.leaks import find_leaks


def down() -> None:
    """`down -v` takes the guestbook away."""
    run(PYORCH, "-p", "guestbook", "down", "-v")
    need(len(run(PYORCH, "ls").splitlines()) == 1, run(PYORCH, "ls"))


def refused() -> None:
    """A daemon that cannot start is told of, with its reason."""
    taken = {"PYORCH_INSTANCE": "two", "PYORCH_DATA": "/var/lib/pyorch", "PYORCH_RUN": "/run/two"}
    done = subprocess.run(
        [PYORCH, "ls"], capture_output=True, text=True, check=False, env={**os.environ, **taken}
    )
    need(done.returncode == 1 and "another pyorchd already runs" in done.stderr, done.stderr)


def stop() -> None:
    """`daemon stop` ends the installed daemon, and systemd does not start it again."""
    run(PYORCH, "daemon", "stop")
    state = subprocess.run(
        ["systemctl", "is-active", "pyorchd"], capture_output=True, text=True, check=False
    ).stdout.strip()
    need(state == "inactive", state)


def starts() -> None:
    """The next command starts the installed one again."""
    run(PYORCH, "ls")
    run("systemctl", "is-active", "pyorchd")


def uninstall() -> None:
    """`daemon uninstall` takes the unit away."""
    run(PYORCH, "daemon", "uninstall")
    need(not Path("/etc/systemd/system/pyorchd.service").exists(), "the unit file is there")
    done = subprocess.run([PYORCH, "daemon", "status"], capture_output=True, check=False)
    need(done.returncode == 1, "the daemon still answers")


def transient() -> None:
    """Without it, the first command starts the daemon in a unit of its own."""
    run(PYORCH, "ls")
    unit = run("systemctl", "show", "--property=ActiveState,Delegate,KillMode", "pyorchd")
    wanted = {"ActiveState=active", "Delegate=yes", "KillMode=process"}
    need(set(unit.split()) == wanted, unit)
    run(PYORCH, "daemon", "stop")


def nothing() -> None:
    """Nothing of it is left on the machine."""
    left = find_leaks(Settings.from_environ().instance())
    need(not left, "\n".join(left))


CHECKS: tuple[Check, ...] = (down, refused, stop, starts, uninstall, transient, nothing)
