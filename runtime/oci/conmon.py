"""conmon: the small process that holds a container's output, log and exit code.

It is what lets the daemon die at any time: conmon keeps the log going and leaves the exit
code in a file.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import UnavailableError
from runtime.process import readable, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Where one container's monitor finds and leaves things."""

    container: str
    bundle: Path
    run: Path
    exits: Path
    log: Path | None
    """Where output goes; None: nowhere."""
    runtime: str
    runtime_args: Sequence[str]
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    """Standard input ends with the first who was attached to it, instead of never."""
    patience: float = 30.0
    """Seconds to wait for a container to be created."""
    log_size: int = -1
    """Bytes after which the log begins anew and what it held is lost: the last resort."""

    @property
    def pid_file(self) -> Path:
        """Where the pid of the main process is written."""
        return self.run / "pid"

    @property
    def conmon_pid_file(self) -> Path:
        """Where conmon writes its own pid."""
        return self.run / "conmon.pid"

    @property
    def control(self) -> Path:
        """The fifo it takes orders from."""
        return self.bundle / "ctl"

    def pid(self) -> int | None:
        """Return conmon's own process, if it still runs or nobody has collected it."""
        try:
            pid = int(self.conmon_pid_file.read_text())
            return pid if "conmon" in Path(f"/proc/{pid}/comm").read_text() else None
        except (OSError, ValueError):
            return None

    @property
    def exit_file(self) -> Path:
        """Where conmon leaves the exit code."""
        return self.exits / self.container

    def argv(self) -> list[str]:
        """Return conmon's command line. Without --socket-dir-path it dies without a word."""
        line = ["conmon", "--api-version", "1", "-c", self.container, "-u", self.container]
        line += ["-r", self.runtime, "-b", str(self.bundle), "--persist-dir", str(self.run)]
        line += ["-p", str(self.pid_file), "-P", str(self.conmon_pid_file)]
        line += ["-l", "none" if self.log is None else f"k8s-file:{self.log}"]
        line += ["--log-size-max", str(self.log_size), "--no-sync-log"]
        line += ["--exit-dir", str(self.exits), "--socket-dir-path", str(self.run)]
        # A warning for every line that cannot be written would cost more than the lines.
        line += ["--log-level", "error"]
        if self.tty:
            line.append("-t")
        if self.stdin:
            line.append("-i")
            if not self.stdin_once:
                line.append("--leave-stdin-open")
        for argument in self.runtime_args:
            line += ["--runtime-arg", argument]
        return line

    async def create(self) -> int:
        """Have conmon create the container; return the pid of its main process, not started.

        Raises UnavailableError with the runtime's own words when it cannot.
        """
        for path in (self.pid_file, self.conmon_pid_file, self.exit_file):
            path.unlink(missing_ok=True)
        reading, writing = os.pipe()
        try:
            try:
                # It leaves a child behind and ends at once; the child answers over the pipe.
                await run(
                    self.argv(),
                    env={**os.environ, "_OCI_SYNCPIPE": "3", "TZ": "UTC0"},
                    pass_fds=(writing,),
                    check=False,
                )
            finally:
                os.close(writing)
            answer = await self._answer(reading)
        finally:
            os.close(reading)
        found = _parse(answer)
        if found is None or found[0] <= 0:
            cause = found[1] if found else "its monitor said nothing"
            raise UnavailableError("start container", self.container, _tidy(cause))
        return found[0]

    def exit_code(self) -> int | None:
        """Return the exit code conmon left, if it has."""
        try:
            return int(self.exit_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def is_alive(self) -> bool:
        """Whether conmon itself still runs."""
        return self._pid() is not None

    def open(self) -> int | None:
        """Return a pidfd of conmon itself; None where it has ended."""
        pid = self._pid()
        try:
            return None if pid is None else os.pidfd_open(pid)
        except ProcessLookupError:
            return None

    def abandon(self) -> None:
        """End conmon and a runtime it still waits for."""
        pid = self._pid()
        if pid is None:
            return
        for one in (*_descendants(pid), pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)

    def _pid(self) -> int | None:
        try:
            pid = int(self.conmon_pid_file.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        # The number may be another process's by now, and even that of another monitor.
        mine = b"conmon" in words[0] and self.container.encode() in words
        return pid if mine else None

    async def _answer(self, reading: int) -> bytes:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[None] = loop.create_future()
        os.set_blocking(reading, False)
        found = b""

        def ready() -> None:
            nonlocal found
            with contextlib.suppress(BlockingIOError):
                data = os.read(reading, 65536)
                found += data
                if (not data or b"\n" in found) and not arrived.done():
                    arrived.set_result(None)

        loop.add_reader(reading, ready)
        try:
            async with asyncio.timeout(self.patience):
                await arrived
        except TimeoutError:
            cause = f"the runtime did not answer in {self.patience:g} s"
            raise UnavailableError("start container", self.container, cause) from None
        finally:
            loop.remove_reader(reading)
        return found


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [*_descendants(child), child]
    return found


def _parse(answer: bytes) -> tuple[int, str] | None:
    try:
        found = json.loads(answer.split(b"\n")[0])
        pid = found.get("data", found.get("pid", -1))
        return int(pid), str(found.get("message", ""))
    except (ValueError, AttributeError, TypeError):
        return None


def _tidy(message: str) -> str:
    """Return the runtime's last word without time stamps and log decoration."""
    lines = [line for line in message.strip().splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "the runtime gave no reason"
    for mark in ('msg="', "error: "):
        _, found, rest = last.partition(mark)
        if found:
            last = rest.rstrip('"')
    return readable(last)
