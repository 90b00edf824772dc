"""What is checked after the machine has started again: nobody has typed a command yet."""

import json
from collections.abc import Iterator

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


def orderly() -> None:
    """Before the machine went down, each was stopped before what it depends on."""
    story = [line for line in _story("-1") if line.endswith(" stopping")]
    wanted = ["proxy stopping", "web stopping", "web stopping", "redis stopping"]
    need(story[-4:] == wanted, ", ".join(story))


def order() -> None:
    """Each was started once, and only when what it depends on was healthy."""
    story = list(_story("0"))
    told = ", ".join(story)
    started = sorted(line for line in story if line.endswith(" started"))
    need(started == ["proxy started", "redis started", "web started", "web started"], told)
    for later, earlier, replicas in (("web", "redis", 1), ("proxy", "web", 2)):
        before = story[: story.index(f"{later} started")]
        need(before.count(f"{earlier} healthy") == replicas, told)


def _story(boot: str) -> Iterator[str]:
    """Yield what the daemon logged in a boot: which service started, stopped, or was healthy."""
    for line in run("journalctl", "-b", boot, "-u", "pyorchd", "-o", "cat").splitlines():
        if not line.startswith("{"):
            continue
        entry = json.loads(line)
        if entry["event"] in ("replica.started", "replica.stopping", "replica.healthy"):
            yield f"{entry['subject'].rpartition('.')[0]} {entry['event'].partition('.')[2]}"


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
