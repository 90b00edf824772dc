"""Limits of a container's processes, kept within what this machine lets anybody have.

Raising a hard limit, or asking to be killed later than others, takes CAP_SYS_RESOURCE, which
not every root has (setrlimit(2), proc_pid_oom_score_adj(5)).
"""

import os
import resource
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from runtime.errors import InvalidError
from runtime.oci.capabilities import available

NAMES = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "locks": 10,  # means nothing since Linux 2.4, and is in old files
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "rttime": resource.RLIMIT_RTTIME,
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}
UNLIMITED = 2**64 - 1
LATE = ("fsize",)
"""What a runtime would trip over itself: crun writes a container's filter into a file."""


def rlimits(ulimits: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Return the limits as runtimes want them. Raises InvalidError for one nobody knows."""
    found = []
    for name, (soft, hard) in sorted(ulimits.items()):
        most = ceiling(name)
        hard = min(_written(hard), most)
        limit = {"type": f"RLIMIT_{name.upper()}", "soft": min(_written(soft), hard), "hard": hard}
        found.append(limit)
    return found


def first(ulimits: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Return the limits a runtime makes a container under; :func:`settle` sees to the others."""
    late = LATE if _may_settle() else ()
    return rlimits({name: limit for name, limit in ulimits.items() if name not in late})


def settle(pid: int, ulimits: Mapping[str, tuple[int, int]]) -> None:
    """Give a process that waits for its program the limits only that is to have.

    One of them is that of open files: a runtime written in Go raises its own soft limit as it
    begins, and may do so only after it was given the container's.
    """
    late = ("nofile", *LATE) if _may_settle() else ("nofile",)
    for name in late:
        for wanted in rlimits({name: ulimits[name]} if name in ulimits else {}):
            limit = (_ours(wanted["soft"]), _ours(wanted["hard"]))
            try:
                if resource.prlimit(pid, NAMES[name]) != limit:
                    resource.prlimit(pid, NAMES[name], limit)
            except ProcessLookupError:
                return
            except PermissionError:
                # It is as the runtime left it, which was told the same.
                if _may_settle():
                    raise


def _may_settle() -> bool:
    # A process that has become somebody else is out of reach otherwise.
    return "CAP_SYS_RESOURCE" in available()


def lowered(ulimits: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Yield ``(name, asked, given)`` for every limit that cannot be as high as asked."""
    for name, (soft, hard) in sorted(ulimits.items()):
        asked, most = max(_written(soft), _written(hard)), ceiling(name)
        if asked > most:
            yield name, asked, most


def ceiling(name: str) -> int:
    """Return how high a limit can be here. Raises InvalidError for one nobody knows."""
    number = NAMES.get(name)
    if number is None:
        known = ", ".join(NAMES)
        raise InvalidError("set limit", name, "no such resource limit", hint=f"there are {known}")
    # Not even root may have more open files than this.
    most = _most_files() if name == "nofile" else UNLIMITED
    if "CAP_SYS_RESOURCE" in available():
        return most
    hard = resource.prlimit(os.getpid(), number)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def oom_score(wanted: int | None) -> int:
    """Return how soon the kernel kills it for want of memory, as far as that can be chosen.

    A container that says nothing is like any process, not like whoever started it.
    """
    asked, ours = wanted or 0, _own_score()
    return asked if asked >= ours or "CAP_SYS_RESOURCE" in available() else ours


@cache
def _own_score() -> int:
    return int(Path("/proc/self/oom_score_adj").read_text())


@cache
def _most_files() -> int:
    return int(Path("/proc/sys/fs/nr_open").read_text())


def _ours(limit: int) -> int:
    """Return a limit in this language's way of writing it: none is less than nothing."""
    return resource.RLIM_INFINITY if limit == UNLIMITED else limit


def _written(limit: int) -> int:
    """Return a limit in the kernel's way of writing it: none is the highest number."""
    return UNLIMITED if limit < 0 else limit
