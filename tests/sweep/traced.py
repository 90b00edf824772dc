"""A daemon under strace(1): its changing system calls are counted, and one of them kills it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from runtime.procfs import stat_of
from tests.instance import PATIENCE, Pyorch

CHANGING = (
    "mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mount,umount2,unshare,setns,"
    "sendto,sendmsg,fsync,fdatasync,pwrite64,symlinkat,linkat,pidfd_send_signal,fchown,chmod"
)
"""Calls after which something of the host is different."""

VARYING = {"sendto", "sendmsg"}

Calls = tuple[Counter[str], Counter[str]]
"""How often each call was made: by the main thread, and at most by any other one."""

_CALL = re.compile(r"(\d+)\s+(\w+)\(")


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """The ``number``-th call of that name, from 1, in any one thread."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} {self.number}"


class Traced:
    """A daemon that runs under strace from its first moment.

    With ``point`` the daemon is killed as it enters that call. With ``programs`` the programs
    it runs are traced, too, and whoever comes first to the point is killed. ``fault`` is what
    happens instead of a kill, as strace has it; ``every`` so many calls it happens again.
    """

    NOTHING: ClassVar[Calls] = (Counter(), Counter())
    """The calls of one that has not begun."""

    def __init__(
        self,
        pyorch: Pyorch,
        point: Point | None = None,
        *,
        programs: bool = False,
        fault: str = "signal=KILL",
        every: int = 0,
    ):
        self._pyorch = pyorch
        self._log = pyorch.home / "strace.log"
        self._log.unlink(missing_ok=True)
        calls = CHANGING if point is None else f"{CHANGING},{point.call}"
        line = ["strace", "-f", "-qq", "-o", str(self._log), "-e", f"trace={calls}"]
        if not programs:
            line += ["-b", "execve"]
        if point is not None:
            when = f"{point.number}+{every}" if every else str(point.number)
            line += ["-e", f"inject={point.call}:{fault}:when={when}"]
        with pyorch.settings.daemon_log.open("ab") as told:
            self._process = subprocess.Popen(
                [*line, sys.executable, "-m", "orchestrator.daemon"],
                env=pyorch.environment,
                cwd="/",
                stdout=told,
                stderr=told,
                start_new_session=True,
            )

    def wait_until_it_answers_or_is_dead(self) -> None:
        """Return when it can be talked to, or never will be."""
        deadline = time.monotonic() + PATIENCE
        while not self._pyorch.client.is_up() and not self.daemon_was_killed():
            assert time.monotonic() < deadline, "the traced daemon neither answers nor ends"
            assert self._process.poll() is None or self.daemon_was_killed(), "strace has ended"
            time.sleep(0.01)

    def wait_until_fired_or(self, process: "subprocess.Popen[str]") -> None:
        """Return when the kill came, or when ``process`` has ended without it."""
        deadline = time.monotonic() + PATIENCE
        while not self.fired() and process.poll() is None:
            assert time.monotonic() < deadline, "neither has the kill come nor the command ended"
            time.sleep(0.01)

    def end(self) -> None:
        """End the daemon if it still runs, and let go of everything that is traced."""
        done = self._pyorch.try_("daemon", "stop")
        assert done.code == 0, done.err
        # Told to end it would wait for processes that hang; what it traces outlives its death.
        self._process.kill()
        self._process.wait()

    def abandon(self) -> None:
        """Kill the daemon if it still runs, as it is; nobody takes its place."""
        if not self.daemon_was_killed():
            daemon = self._pyorch.daemon_pid()
            os.kill(daemon, signal.SIGKILL)
            # Until it is gone it holds the lock.
            deadline = time.monotonic() + PATIENCE
            while is_alive(daemon):
                assert time.monotonic() < deadline, "the daemon does not die"
                time.sleep(0.01)
        self._process.kill()
        self._process.wait()

    def fired(self) -> bool:
        """Whether the kill came."""
        return "+++ killed by SIGKILL +++" in self._lines()

    def injected(self) -> bool:
        """Whether a fault that is no kill came."""
        return "(INJECTED)" in self._lines()

    def daemon_was_killed(self) -> bool:
        """Whether it was the daemon itself that was killed."""
        main = self._lines().split(" ", 1)[0]
        return (
            bool(main) and re.search(rf"^{main}\s+\+\+\+ killed", self._lines(), re.M) is not None
        )

    def calls(self) -> Calls:
        """Return what was called so far."""
        by_thread: dict[str, Counter[str]] = {}
        for thread, call in _CALL.findall(self._lines()):
            by_thread.setdefault(thread, Counter())[call] += 1
        main, *others = by_thread.values() or [Counter()]
        most: Counter[str] = Counter()
        for one in others:
            most |= one
        return main, most

    def _lines(self) -> str:
        try:
            return self._log.read_text(errors="replace")
        except FileNotFoundError:
            return ""


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that is dead and not collected yet does not."""
    try:
        return stat_of(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def points_between(before: Calls, after: Calls) -> list[Point]:
    """Return the points that were passed between two counts.

    Only those that are sure to come again: what is sent varies a little from one time to the
    next, and what other threads do is spread over them anew, but for the first call of a name.
    """
    main = {
        Point(call, number)
        for call, count in after[0].items()
        for number in range(before[0][call] + 1, count + 1)
        if call not in VARYING or number <= before[0][call] + (count - before[0][call]) * 0.8
    }
    others = {Point(call, 1) for call in after[1] if not after[0][call]}
    return sorted(main | others)
