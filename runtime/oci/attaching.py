"""The standard streams of a container's main process, through the socket its monitor listens on.

Whoever attaches before a run begins hears it from the first byte. Output of a run that is not
read is not lost: the monitor waits, and so does the container.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from typing_extensions import override

from runtime.drivers import ExecSession
from runtime.errors import NotFoundError
from runtime.types import ContainerId

SOCKET = "attach"
STREAMS = {2: 1, 3: 2}
"""How conmon marks what it passes on, and which stream that is (conmon, utils.h)."""
PACKET = 8192
"""Bytes conmon reads of a packet at most, both ways; it cuts off the rest."""
RESIZE = 1
"""What the fifo of orders calls another size of the terminal (conmon, ctrl.c)."""

Send = Callable[[int], Awaitable[None]]


class Attached(ExecSession):
    """One who takes part in a container's streams, in its run or in the next one."""

    def __init__(self, send: Send, leave: "Callable[[Attached], None]") -> None:
        """Wait for a run; ``send`` signals its process, ``leave`` is told of the end."""
        self._send = send
        self._leave = leave
        self._chunks: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(64)
        self._heard_all = False
        self._channel: socket.socket | None = None
        self._control: Path | None = None
        self._tty = False
        self._size: tuple[int, int] | None = None
        self._begun = asyncio.Event()
        self._known = asyncio.Event()
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pump: asyncio.Task[None] | None = None

    def connect(self, bundle: Path, *, tty: bool) -> None:
        """Take part in the run whose monitor listens in ``bundle``. Raises OSError."""
        if self._channel is not None:
            return
        folder = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # By the folder's descriptor: the name of a socket may have 107 bytes, a path more.
            channel.connect(f"/proc/self/fd/{folder}/{SOCKET}")
        except BaseException:
            channel.close()
            raise
        finally:
            os.close(folder)
        channel.settimeout(0)
        self._channel, self._control, self._tty = channel, bundle / "ctl", tty
        self._pump = asyncio.ensure_future(self._hear(channel))
        self._begun.set()
        if self._size is not None:
            self._tell_size(*self._size)

    def know(self) -> None:
        """Learn that the run is on record, so that its process can be sent something."""
        self._known.set()

    def end(self, code: int) -> None:
        """Learn how the run ended; what it said last is still to be read."""
        if self._code.done():
            return
        self._code.set_result(code)
        self._begun.set()
        self._known.set()
        if self._pump is None:
            self._pump = asyncio.ensure_future(self._chunks.put((0, b"")))

    @override
    async def read(self) -> tuple[int, bytes]:
        if self._heard_all:
            return (0, b"")
        stream, data = await self._chunks.get()
        self._heard_all = stream == 0
        return stream, data

    @override
    async def write(self, data: bytes) -> None:
        await self._begun.wait()
        if self._channel is None:
            return
        loop = asyncio.get_running_loop()
        if not data and self._tty:
            data = b"\x04"
        with contextlib.suppress(OSError):
            if not data:
                self._channel.shutdown(socket.SHUT_WR)
            for start in range(0, len(data), PACKET):
                await loop.sock_sendall(self._channel, data[start : start + PACKET])

    @override
    async def resize(self, columns: int, rows: int) -> None:
        self._size = (columns, rows)
        if self._channel is not None:
            self._tell_size(columns, rows)

    @override
    async def signal(self, number: int) -> None:
        await self._known.wait()
        with contextlib.suppress(NotFoundError):
            await self._send(number)

    @override
    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    @override
    async def close(self) -> None:
        self._leave(self)
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        if self._channel is not None:
            self._channel.close()
        while not self._chunks.empty():
            self._chunks.get_nowait()
        self._chunks.put_nowait((0, b""))

    async def _hear(self, channel: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while packet := await loop.sock_recv(channel, PACKET + 1):
                stream = STREAMS.get(packet[0])
                if stream is not None and len(packet) > 1:
                    await self._chunks.put((stream, packet[1:]))
        await self._chunks.put((0, b""))

    def _tell_size(self, columns: int, rows: int) -> None:
        if not self._tty or self._control is None:
            return
        with contextlib.suppress(OSError):
            # Nobody reads the fifo any more once the run is over.
            fd = os.open(self._control, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.write(fd, f"{RESIZE} {rows} {columns}\n".encode())
            finally:
                os.close(fd)


class Attachments:
    """Who takes part in which container's streams."""

    def __init__(self) -> None:
        self._sessions: dict[ContainerId, list[Attached]] = {}

    def begin(self, container: ContainerId, send: Send) -> Attached:
        """Return one who waits for the container's next run."""
        session = Attached(send, lambda one: self._leave(container, one))
        self._sessions.setdefault(container, []).append(session)
        return session

    def connect(self, container: ContainerId, bundle: Path, *, tty: bool) -> None:
        """Have all who wait take part in a run that is there. Raises OSError."""
        for session in self._sessions.get(container, ()):
            session.connect(bundle, tty=tty)

    def know(self, container: ContainerId) -> None:
        """Tell all who take part that the run is on record."""
        for session in self._sessions.get(container, ()):
            session.know()

    def end(self, container: ContainerId, code: int) -> None:
        """Tell all who take part how the run ended."""
        for session in self._sessions.pop(container, ()):
            session.end(code)

    def _leave(self, container: ContainerId, session: Attached) -> None:
        left = [one for one in self._sessions.get(container, ()) if one is not session]
        if left:
            self._sessions[container] = left
        else:
            self._sessions.pop(container, None)
