"""The only place that starts a program: an argument list in, bytes out, no shell."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runtime.errors import UnavailableError, UnsupportedError
from runtime.files import in_thread
from runtime.syscalls import posix_spawn

LONGEST = 400
"""Characters of a complaint."""
MOMENT = 0.002
"""Seconds until the event loop has surely noticed what the kernel tells."""

_awaited: set[int] = set()


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended and what it printed."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last line it printed on stderr, or its exit code where it printed none."""
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return readable(lines[-1]) if lines else f"exit code {self.returncode}"


def readable(text: str) -> str:
    """Return what a program printed as one line a person can read, and no terminal minds."""
    clean = "".join(mark if mark.isprintable() else " " for mark in text).strip()
    return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]}…"


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    check: bool = True,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program to its end, in a session of its own. Cancelling kills it and waits for that.

    The program finds ``pass_fds`` as its descriptors 3, 4 and so on. Raises UnsupportedError
    when it is not installed and, with ``check``, UnavailableError when it fails.
    """
    program = _find(argv[0])
    with _memory(stdin) as given, _memory() as told, _memory() as complained:
        descriptors = (given, told, complained, *pass_fds)
        starting = asyncio.ensure_future(
            in_thread(_start, program, argv, env or os.environ, descriptors)
        )
        try:
            pid = await asyncio.shield(starting)
            code = await _end(pid)
        except BaseException:
            pid = await starting
            with contextlib.suppress(ProcessLookupError):
                # The session is its own: what it has begun goes with it.
                os.killpg(pid, signal.SIGKILL)
                await _end(pid)
            raise
        done = Completed(code, _content(told), _content(complained))
    if check and done.returncode != 0:
        raise UnavailableError("run", argv[0], done.complaint)
    return done


async def spawn(
    argv: Sequence[str],
    *,
    capture: bool = False,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    env: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Start a program to talk to, in a session of its own, so that it survives who started it.

    With ``capture`` its streams are pipes; otherwise those given, else closed ones.
    Raises UnsupportedError when the program is not installed.
    """
    closed = subprocess.PIPE if capture else subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        _find(argv[0]),
        *argv[1:],
        stdin=closed if stdin is None else stdin,
        stdout=closed if stdout is None else stdout,
        stderr=closed if stderr is None else stderr,
        env=env,
        start_new_session=True,
    )


async def wait_for(process: asyncio.subprocess.Process) -> int:
    """Return the exit code of a program from :func:`spawn`, whoever still holds its output open.

    Its own ``wait`` waits for the pipes as well before Python 3.12, and so for grandchildren.
    """
    while (code := process.returncode) is None:
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            pass
        else:
            await _readable(fd)
        # The event loop collects it; it hears of its end in the same moment.
        await asyncio.sleep(MOMENT)
    return code


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise UnsupportedError(
            "run", program, "the program is not installed", hint="see `pyorch doctor`"
        )
    return found


@contextlib.contextmanager
def _memory(content: bytes = b"") -> Iterator[int]:
    """Hold a file in memory: unlike a pipe, nobody has to read along while it is written."""
    fd = os.memfd_create("stdio", os.MFD_CLOEXEC)
    try:
        if content:
            with os.fdopen(fd, "wb", closefd=False) as file:
                file.write(content)
            os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _content(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def awaited() -> frozenset[int]:
    """Return the ids of programs whose end :func:`run` is waiting for, ended ones included."""
    return frozenset(_awaited)


def _start(
    program: str, argv: Sequence[str], env: Mapping[str, str], descriptors: Sequence[int]
) -> int:
    pid = posix_spawn(program, argv, env, descriptors)
    _awaited.add(pid)
    return pid


async def _end(pid: int) -> int:
    """Wait for a child and collect it; return its exit code, negative for a signal."""
    try:
        await _readable(os.pidfd_open(pid))
        found = os.waitid(os.P_PID, pid, os.WEXITED)
    finally:
        _awaited.discard(pid)
    if found is None or found.si_code == os.CLD_EXITED:
        return found.si_status if found else 0
    return -found.si_status


async def _readable(fd: int) -> None:
    """Wait until a descriptor can be read from, and close it."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
