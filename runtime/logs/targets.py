"""Where log lines are sent: one connection for all that go to one place, made again when it breaks.

A place that cannot be reached is tried again, ever more seldom, and whoever sends waits for it.
"""

import asyncio
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.files import in_thread
from runtime.logs.channels import Channel, Datagrams, Journal, Stream
from runtime.logs.syslog import is_counted
from runtime.types import LogConfig, LogDriver, SyslogConfig

PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before it is tried again: at once first, as a connection may only have grown old."""
PATIENCE = 10.0
"""Seconds making a connection may take."""
Address = Path | tuple[Any, ...]
KINDS = {
    "udp": socket.SOCK_DGRAM,
    "unixgram": socket.SOCK_DGRAM,
    "tcp": socket.SOCK_STREAM,
    "tcp+tls": socket.SOCK_STREAM,
    "unix": socket.SOCK_STREAM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSockets:
    """Where the host itself listens for lines."""

    journal: Path = Path("/run/systemd/journal/socket")
    syslog: tuple[Path, ...] = (Path("/dev/log"), Path("/var/run/syslog"), Path("/var/run/log"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why nothing can be sent, and since when (seconds since the epoch)."""

    since_wall: float
    cause: str


class Target:
    """A place lines go to. Whoever sends there takes turns."""

    def __init__(self, name: str, connect: Callable[[], Awaitable[Channel]]) -> None:
        """Be called ``name``; ``connect`` is called when something is to be sent."""
        self.name = name
        self.trouble: Trouble | None = None
        """Set while it cannot be reached."""
        self._connect = connect
        self._channel: Channel | None = None
        self._failures = 0
        self._turn = asyncio.Lock()
        self._watchers: set[Callable[[], None]] = set()

    @property
    def is_used(self) -> bool:
        """Whether anybody wants to know of it."""
        return bool(self._watchers)

    def watch(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when there is trouble, and when it is over."""
        self._watchers.add(callback)

    def unwatch(self, callback: Callable[[], None]) -> None:
        """Do not call ``callback`` any more."""
        self._watchers.discard(callback)

    async def send(self, pending: deque[bytes]) -> None:
        """Return once all messages have been sent, however long that takes."""
        async with self._turn:
            while pending:
                try:
                    if self._channel is None:
                        async with asyncio.timeout(PATIENCE):
                            self._channel = await self._connect()
                    await self._channel.send(pending)
                except OSError as error:
                    self.close()
                    await self._wait(error)
                except BaseException:
                    # Half a message may be on its way.
                    self.close()
                    raise
                else:
                    self._failures = 0
                    self._say(None)

    def close(self) -> None:
        """Let go of the connection; there is another one when something is to be sent."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def _wait(self, error: OSError) -> None:
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        if pause:
            self._say(_cause(error))
        await asyncio.sleep(pause)

    def _say(self, cause: str | None) -> None:
        before = self.trouble
        if cause is None:
            self.trouble = None
        else:
            since = before.since_wall if before else time.time()
            self.trouble = Trouble(since_wall=since, cause=cause)
        if (before is None) != (cause is None):
            for callback in [*self._watchers]:
                callback()


class Targets:
    """The places lines go to at present, each of them once."""

    def __init__(self, local: LocalSockets) -> None:
        """Know where the host listens."""
        self._local = local
        self._targets: dict[tuple[object, ...], Target] = {}

    def find(self, config: LogConfig) -> Target:
        """Return where lines of a container go."""
        self._forget_unused()
        to = config.syslog
        key: tuple[object, ...] = (LogDriver.JOURNALD,)
        if config.driver is LogDriver.SYSLOG:
            key = (to.network, to.host, to.port, to.path)
            key += (to.ca_cert, to.cert, to.key, to.skip_verify, is_counted(to))
        if key not in self._targets:
            self._targets[key] = self._make(config)
        return self._targets[key]

    def close(self) -> None:
        """Let go of every connection."""
        for target in self._targets.values():
            target.close()

    def _forget_unused(self) -> None:
        for key in [key for key, target in self._targets.items() if not target.is_used]:
            self._targets.pop(key).close()

    def _make(self, config: LogConfig) -> Target:
        to = config.syslog
        if config.driver is LogDriver.JOURNALD:
            return Target("the journal", self._to_journal)
        if to.network in ("unix", "unixgram"):
            path = Path(to.path)
            return Target(f"{to.network}://{to.path}", lambda: _to_path(to.network, path))
        if to.network:
            host = f"[{to.host}]" if ":" in to.host else to.host
            return Target(f"{to.network}://{host}:{to.port}", lambda: _to_host(to))
        return Target("the host's syslog", self._to_syslog)

    async def _to_journal(self) -> Channel:
        return Journal(await _connected(socket.AF_UNIX, socket.SOCK_DGRAM, self._local.journal))

    async def _to_syslog(self) -> Channel:
        failed: Exception | None = None
        for path in self._local.syslog:
            for network in ("unixgram", "unix"):
                try:
                    return await _to_path(network, path)
                except OSError as error:
                    failed = failed or error
        raise failed or FileNotFoundError(2, "there is no socket of a syslog daemon")


async def _to_path(network: str, path: Path) -> Channel:
    kind = KINDS[network]
    sock = await _connected(socket.AF_UNIX, kind, path)
    return Datagrams(sock) if kind is socket.SOCK_DGRAM else Stream(sock)


async def _to_host(to: SyslogConfig) -> Channel:
    # Files first: what is wrong with them is no matter of the network.
    context = await in_thread(_tls, to) if to.network == "tcp+tls" else None
    kind = KINDS[to.network]
    sock = None
    failed: OSError | None = None
    for family, address in await _resolve(to.host, to.port, kind):
        try:
            sock = await _connected(family, kind, address)
            break
        except OSError as error:
            failed = failed or error
    if sock is None:
        raise failed or OSError(f"`{to.host}` has no address")
    if kind is socket.SOCK_DGRAM:
        return Datagrams(sock)
    channel = Stream(sock, counted=is_counted(to))
    if context is not None:
        try:
            await channel.encrypt(context, to.host)
        except BaseException:
            channel.close()
            raise
    return channel


async def _connected(family: int, kind: int, address: Address) -> socket.socket:
    sock = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        where = str(address) if isinstance(address, Path) else address
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError) and isinstance(address, Path):
            raise type(error)(error.errno, error.strerror, str(address)) from error
        raise
    return sock


async def _resolve(host: str, port: int, kind: int) -> Sequence[tuple[int, Address]]:
    """Return a host's addresses. A resolver that hangs has a thread nobody else waits for."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[tuple[int, Address]]] = loop.create_future()

    def tell(found: Sequence[tuple[int, Address]], error: OSError | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: Sequence[tuple[int, Address]] = ()
        error = None
        try:
            entries = socket.getaddrinfo(host, port, type=kind)
            found = [(family, address) for family, _, _, _, address in entries]
        except OSError as failed:
            error = failed
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, found, error)

    threading.Thread(target=ask, name=f"address of {host}", daemon=True).start()
    return await answer


def _tls(to: SyslogConfig) -> ssl.SSLContext:
    """Return how to speak TLS. Raises OSError naming the file that is wrong."""
    try:
        context = ssl.create_default_context(cafile=to.ca_cert or None)
    except OSError as error:
        raise _unusable(to.ca_cert, error) from error
    if to.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if to.cert or to.key:
        try:
            context.load_cert_chain(to.cert or to.key, to.key or None, password=lambda: "")
        except OSError as error:
            raise _unusable(" or ".join(filter(None, (to.cert, to.key))), error) from error
    return context


def _unusable(files: str, error: OSError) -> OSError:
    why = error.strerror or str(error)
    return OSError(f"cannot use `{files}`: {why}")


def _cause(error: OSError) -> str:
    if isinstance(error, TimeoutError) and not error.args:
        return f"no answer within {PATIENCE:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    said = error.strerror or str(error)
    return f"{said}: `{error.filename}`" if error.filename else said
