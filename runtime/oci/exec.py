"""A process beside a container's main one, through the runtime's own ``exec``."""

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from runtime.drivers import ExecSession
from runtime.process import spawn, wait_for
from runtime.procfs import groups_of

NOT_FOUND = 127
NOT_EXECUTABLE = 126
LINGER = 1.0
"""Seconds of silence after its end in which more may still be heard of a command."""


class RuntimeExec(ExecSession):
    """One such process; with a terminal, of a pseudo-terminal held here."""

    def __init__(
        self, process: asyncio.subprocess.Process, pid_file: Path, scratch: Path, master: int | None
    ) -> None:
        """Take over ``process`` and the files it needs; ``master`` is the terminal, if any."""
        self._process = process
        self._pid_file = pid_file
        self._scratch = scratch
        self._master = master
        self._chunks: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(64)
        self._heard_all = False
        self._handing_over = 0
        """How many pumps hold output that nobody has had the time to read."""
        self._stderr = b""
        self._readers = [
            asyncio.ensure_future(self._pump(1, process.stdout)),
            asyncio.ensure_future(self._pump(2, process.stderr)),
        ]
        if master is not None:
            self._readers.append(asyncio.ensure_future(self._pump_terminal(master)))
        self._end = asyncio.ensure_future(self._finish())

    @classmethod
    async def begin(
        cls, argv: Sequence[str], *, pid_file: Path, scratch: Path, tty: bool
    ) -> "RuntimeExec":
        """Start the runtime's exec; ``argv`` is its whole command line."""
        if not tty:
            process = await spawn(argv, capture=True)
            return cls(process, pid_file, scratch, None)
        master, slave = os.openpty()
        os.set_blocking(master, False)
        try:
            process = await spawn(argv, stdin=slave, stdout=slave, stderr=slave)
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        return cls(process, pid_file, scratch, master)

    @override
    async def read(self) -> tuple[int, bytes]:
        if self._heard_all:
            return (0, b"")
        stream, data = await self._chunks.get()
        self._heard_all = stream == 0
        return stream, data

    @override
    async def write(self, data: bytes) -> None:
        if self._master is not None:
            await _write_terminal(self._master, data or b"\x04")
            return
        stdin = self._process.stdin
        if stdin is None or stdin.is_closing():
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if data:
                stdin.write(data)
                await stdin.drain()
            else:
                stdin.close()

    @override
    async def resize(self, columns: int, rows: int) -> None:
        if self._master is not None:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGWINCH)

    @override
    async def signal(self, number: int) -> None:
        pid = await self._begun()
        # Once the runtime has collected it, its number may be somebody else's.
        if pid is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @override
    async def wait(self) -> int:
        await asyncio.wait([self._end])
        code = self._process.returncode or 0
        if code < 0:
            return 128 - code
        if code and self._pid() is None:
            # The runtime itself failed: it says so in words, a shell says it in numbers.
            words = self._stderr.lower()
            if b"permission denied" in words or b"not executable" in words:
                return NOT_EXECUTABLE
            if b"no such file" in words or b"not found" in words:
                return NOT_FOUND
        return code

    @override
    async def close(self) -> None:
        inner = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                inner = await self._begun()
        if self._process.returncode is None and inner is not None:
            # The process first: its parent, the runtime, then collects it and ends by itself.
            # Were the runtime killed first, the other would be nobody's child, and as long as
            # nobody collects it, its whole PID namespace cannot end (pid_namespaces(7)).
            _kill(inner)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await wait_for(self._process)
        if self._process.returncode is None:
            _kill(self._process.pid)
        for reader in self._readers:
            reader.cancel()
        await wait_for(self._process)
        self._end.cancel()
        # A grandchild may hold the other ends; and there is no public way to these ones.
        self._process._transport.close()  # type: ignore[attr-defined]
        # Whoever still reads is told the end; what was not read yet is not wanted any more.
        while not self._chunks.empty():
            self._chunks.get_nowait()
        self._chunks.put_nowait((0, b""))
        if inner is not None:
            await _collect(inner)
        if self._master is not None:
            os.close(self._master)
            self._master = None
        for path in (self._pid_file, self._scratch):
            path.unlink(missing_ok=True)

    async def _begun(self) -> int | None:
        """Return its process id. The runtime tells it a moment after the process has begun."""
        while True:
            pid = self._pid()
            if pid is not None or self._process.returncode is not None:
                return pid
            await asyncio.sleep(0.005)

    def _pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    async def _finish(self) -> None:
        await wait_for(self._process)
        # Output may still be in the pipes; what a grandchild holds open is not waited for.
        silent: set[asyncio.Future[None]] = set(self._readers)
        while silent:
            _, silent = await asyncio.wait(silent, timeout=LINGER)
            if not self._handing_over:
                break
        for reader in silent:
            reader.cancel()
        await self._chunks.put((0, b""))

    async def _pump(self, stream: int, source: asyncio.StreamReader | None) -> None:
        while source is not None and (data := await source.read(65536)):
            if stream == 2:
                self._stderr = (self._stderr + data)[-4096:]
            await self._hand_over(stream, data)

    async def _hand_over(self, stream: int, data: bytes) -> None:
        self._handing_over += 1
        try:
            await self._chunks.put((stream, data))
        finally:
            self._handing_over -= 1

    async def _pump_terminal(self, master: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_reader(master, _settle, ready)
            try:
                await ready
            finally:
                loop.remove_reader(master)
            try:
                data = os.read(master, 65536)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not data:
                return
            await self._hand_over(1, data)


async def _write_terminal(master: int, data: bytes) -> None:
    """Write it all, as fast as it is read there; nothing more once nobody can."""
    loop = asyncio.get_running_loop()
    while data:
        try:
            data = data[os.write(master, data) :]
        except BlockingIOError:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_writer(master, _settle, ready)
            try:
                await ready
            finally:
                loop.remove_writer(master)
        except OSError:
            return


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def end_leftovers(folder: Path, cgroup: str) -> None:
    """End the commands an earlier daemon left in a container: nobody hears them any more.

    ``folder`` holds their process ids. A number is only believed of a process in ``cgroup``.
    """
    for pid_file in folder.glob("exec-*.pid"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid = int(pid_file.read_text())
            if any(f"{group}/".startswith(f"/{cgroup}/") for group in groups_of(pid)):
                _kill(pid)
        pid_file.unlink(missing_ok=True)
        pid_file.with_suffix(".json").unlink(missing_ok=True)


def _kill(leader: int) -> None:
    """End a process that leads a session, and its children with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(leader, signal.SIGKILL)


async def _collect(pid: int) -> None:
    """Reap ``pid`` where it has become our own child; wait a moment for it to die."""
    for _ in range(200):
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None:
                return
        except ChildProcessError:
            return
        await asyncio.sleep(0.005)
