"""What is checked after the machine has started again: nobody has typed a command yet."""

import json

import first_boot
import guestbook
from guestbook import ENTRY, PYORCH, run
from report import Check, need, until

PATIENCE = 180.0


def back() -> None:
    """The guestbook runs again by itself, and the entry is there."""
    until(lambda: guestbook.shows(ENTRY), within=PATIENCE, reason=journal)


def everybody() -> None:
    """Every container of it is healthy."""
    guestbook.wait_until_healthy()
    need(set(guestbook.main_pids()) == set(guestbook.REPLICAS), str(guestbook.statuses()))


def order() -> None:
    """Each was started once, and only when what it depends on was healthy."""
    story = []
    for line in run("journalctl", "-b", "-u", "pyorchd", "-o", "cat", "--no-pager").splitlines():
        if not line.startswith("{"):
            continue
        entry = json.loads(line)
        if entry["event"] == "replica.started":
            story.append(f"{entry['replica'].rpartition('.')[0]} started")
        elif entry["event"] == "health.changed" and entry["health"] == "healthy":
            story.append(f"{entry['container'].split('.')[1]} healthy")
    wanted = ["redis started", "redis healthy", "web started", "web started"]
    wanted += ["web healthy", "web healthy", "proxy started", "proxy healthy"]
    need(story == wanted, ", ".join(story))
    began = {name: guestbook.start_ticks(pid) for name, pid in guestbook.main_pids().items()}
    ranked = sorted(began, key=lambda name: began[name])
    need(ranked[0] == "redis.1" and ranked[-1] == "proxy.1", f"{began}")


def kept() -> None:
    """What a container wrote beside its volume is there, too."""
    found = run(PYORCH, "-p", "guestbook", "exec", "-T", "redis", "cat", "/tmp/mark")
    need(found.strip() == "kept", found)


def journal() -> str:
    """Return the daemon's last words."""
    return run("journalctl", "-b", "-u", "pyorchd", "-n", "30", "--no-pager")


CHECKS: tuple[Check, ...] = (
    back,
    everybody,
    order,
    first_boot.answer,
    first_boot.limits,
    kept,
)
