"""Begin a run, and believe what the kernel says of it rather than what the runtime does.

A runtime may hang, and it may say that it has done what it has not.
"""

import asyncio
import os
import re
from collections.abc import Sequence

from runtime.errors import UnavailableError
from runtime.process import run
from runtime.procfs import groups_of

PAUSE = 0.001
"""Seconds between two looks at a process that is about to run its program."""
VERB = "start container"
NOT_FOUND, NOT_RUNNABLE = 127, 126
"""Exit codes of programs that never ran, as shells tell them."""
_LOOKED_UP = re.compile(
    r"""exec: \\?"(?P<one>.*?)\\?": (?P<why>.+)"""  # runc
    r"""|executable file `(?P<other>.*?)` (?P<missing>not found.*)"""  # crun
    r"""|the path `(?P<barred>.*?)` exists but it is not executable"""  # a later crun
    r"""|open executable: (?P<cause>.+)"""
)


def unrunnable(complaint: str) -> tuple[int, str] | None:
    """Tell from a runtime's words that it found no program to run: an exit code, and why.

    Which program that is depends on mounts and on PATH inside: the runtime alone knows.
    """
    found = _LOOKED_UP.search(complaint)
    if found is None:
        return None
    cause = found["why"] or found["missing"] or found["cause"] or "permission denied"
    names = (found["one"], found["other"], found["barred"])
    program = next((name for name in names if name is not None), None)
    what = "its program" if program is None else f"its program `{program}`"
    if re.search("not found|no such file", cause, re.IGNORECASE):
        return NOT_FOUND, f"{what} was not found"
    return NOT_RUNNABLE, f"{what} cannot be run: {cause.rpartition(': ')[2].lower()}"


def check_group(container: str, pid: int, cgroup: str) -> None:
    """Raise UnavailableError for a process that is not in the container's own cgroup.

    Else whatever a runtime names would be taken for the container, and be killed with it.
    """
    try:
        paths = groups_of(pid)
    except OSError:
        paths = ()
    if not any(path == f"/{cgroup}" or path.startswith(f"/{cgroup}/") for path in paths):
        cause = f"the runtime says it made process {pid}, which is none of the container's"
        raise UnavailableError(VERB, container, cause)


async def start_process(
    container: str, pid: int, command: Sequence[str], *, patience: float
) -> None:
    """Have the runtime's ``command`` start process ``pid``; return once that runs its program.

    Raises UnavailableError where it does not, or not within ``patience`` seconds.
    """
    waiting = _program(pid)
    try:
        async with asyncio.timeout(patience):
            done = await run(command, check=False)
            if done.returncode != 0:
                raise UnavailableError(VERB, container, done.complaint)
            # The runtime returns when it has let the process go on, which may be a moment before
            # that runs anything; one that is gone already did run.
            while waiting is not None and _program(pid) == waiting:  # noqa: ASYNC110 - exec is told to nobody
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        cause = f"the runtime did not start it in {patience:g} s"
        raise UnavailableError(VERB, container, cause) from None


def _program(pid: int) -> tuple[int, int] | None:
    """Return what tells the program a process runs from every other; None once it has ended."""
    try:
        status = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return status.st_dev, status.st_ino
