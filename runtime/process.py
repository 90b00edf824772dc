"""The only place that starts a program: an argument list in, bytes out, no shell."""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.errors import UnavailableError, UnsupportedError


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
        return lines[-1].strip() if lines else f"exit code {self.returncode}"


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    check: bool = True,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program to its end. Cancelling kills it and waits for that.

    Raises UnsupportedError when the program is not installed and, with ``check``,
    UnavailableError when it fails.
    """
    process = await spawn(argv, env=env, pass_fds=pass_fds, capture=True)
    try:
        stdout, stderr = await process.communicate(stdin)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    done = Completed(process.returncode or 0, stdout, stderr)
    if check and done.returncode != 0:
        raise UnavailableError("run", argv[0], done.complaint)
    return done


async def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    capture: bool = False,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> asyncio.subprocess.Process:
    """Start a program in a session of its own, so that it survives whoever started it.

    With ``capture`` its streams are pipes; otherwise those given, else closed ones.
    Raises UnsupportedError when the program is not installed.
    """
    closed = subprocess.PIPE if capture else subprocess.DEVNULL
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=closed if stdin is None else stdin,
            stdout=closed if stdout is None else stdout,
            stderr=closed if stderr is None else stderr,
            env=dict(env) if env is not None else None,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise UnsupportedError(
            "run", argv[0], "the program is not installed", hint="see `pyorch doctor`"
        ) from error
