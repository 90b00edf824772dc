"""Connections to whoever takes log lines: datagrams, streams, TLS, and the journal.

Nothing here blocks: a socket that takes no more is waited for. A message is taken out of what is
to be sent once it is known to have arrived, as far as that can be known: a datagram was taken by
the kernel, a stream's bytes by the kernel of the other side, or by a local reader itself.
"""

import array
import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import ssl
import termios
from collections import deque
from typing import Protocol

from typing_extensions import override

CHUNK = 16 * 1024
"""Bytes given to a stream at once: what fits in one record of TLS."""
SHORTEST, LONGEST = 0.001, 0.5
"""Seconds between looks at whether what was sent has arrived."""
CROWDED = 0.05
"""Seconds a datagram waits for room in a queue that cannot be waited for otherwise."""
SILENT = 60_000
"""Milliseconds in which the other side must take something of what it is sent."""
ROOM = 8 * 1024 * 1024
"""Bytes of one entry that go to the journal as a datagram, where the kernel lets them."""


class Channel(Protocol):
    """A connection."""

    async def send(self, pending: deque[bytes]) -> None:
        """Send messages in order, and take each out of ``pending``.

        Raises OSError when the connection is of no use any more; what is still pending then has
        not arrived, or it is not known.
        """

    def close(self) -> None:
        """Let go of it."""


class Datagrams(Channel):
    """Messages as datagrams, on a socket that is connected."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over ``sock``, which does not block."""
        self._sock = sock
        self._last: bytes | None = None

    @override
    async def send(self, pending: deque[bytes]) -> None:
        while pending:
            try:
                await self._send_one(pending[0])
            except ConnectionRefusedError:
                # That is what became of the one before.
                if self._last is not None:
                    pending.appendleft(self._last)
                    self._last = None
                raise
            self._last = pending.popleft()

    async def _send_one(self, message: bytes) -> None:
        while True:
            try:
                self._sock.send(message)
            except BlockingIOError:
                await _ready(self._sock, write=True)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                await asyncio.sleep(CROWDED)
            else:
                return

    @override
    def close(self) -> None:
        self._sock.close()


class Journal(Datagrams):
    """Entries to the journal: those that are too long for a datagram as a file in memory."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over ``sock``, which does not block."""
        super().__init__(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)

    @override
    async def _send_one(self, message: bytes) -> None:
        try:
            await super()._send_one(message)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            await self._send_file(message)

    async def _send_file(self, message: bytes) -> None:
        fd = os.memfd_create("log entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(message)
            # The journal takes none that could still change under it.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
            while True:
                try:
                    self._sock.sendmsg([b""], rights)
                except BlockingIOError:
                    await _ready(self._sock, write=True)
                else:
                    return
        finally:
            os.close(fd)


class Stream(Channel):
    """Messages one after the other, on a stream that may be encrypted."""

    def __init__(self, sock: socket.socket, *, counted: bool = False) -> None:
        """Take over ``sock``, which is connected and does not block.

        Messages that are not ``counted`` end with a newline.
        """
        self._sock = sock
        self._counted = counted
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT)

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS with ``host``. Raises OSError where that fails."""
        sock = context.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)
        self._sock = sock
        while True:
            try:
                sock.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(sock, write=False)
            except ssl.SSLWantWriteError:
                await _ready(sock, write=True)
            else:
                return

    @override
    async def send(self, pending: deque[bytes]) -> None:
        left = memoryview(b"".join(self._framed(one) for one in pending))
        while left:
            self._hear()
            try:
                sent = self._sock.send(left[:CHUNK])
            except (BlockingIOError, ssl.SSLWantWriteError):
                await _ready(self._sock, write=True)
            except ssl.SSLWantReadError:
                await _ready(self._sock, write=False)
            else:
                left = left[sent:]
        await self._arrived()
        pending.clear()

    def _framed(self, message: bytes) -> bytes:
        return b"%d %s" % (len(message), message) if self._counted else message + b"\n"

    async def _arrived(self) -> None:
        """Wait until the other side has taken everything."""
        pause = SHORTEST
        while _queued(self._sock):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)
            self._hear()
        self._hear()

    def _hear(self) -> None:
        """Take what is said back, which is nothing but that it ends. Raises OSError then."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            # Tickets for another session come this way, too; of anything else there is no end.
            if not self._sock.recv(CHUNK):
                raise ConnectionResetError(errno.ECONNRESET, "the other side has closed it")

    @override
    def close(self) -> None:
        if isinstance(self._sock, ssl.SSLSocket):
            # Say that it ends here; what is said to that is of no interest.
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()
        self._sock.close()


def _queued(sock: socket.socket) -> int:
    """Return how many bytes the other side has not taken yet (tcp(7), SIOCOUTQ)."""
    found = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, found)
    return found[0]


async def _ready(sock: socket.socket, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    begin, end = (
        (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    )

    def is_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    begin(sock.fileno(), is_ready)
    try:
        await ready
    finally:
        end(sock.fileno())
