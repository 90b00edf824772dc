"""Requests to a published port, all the time and from many sides, and what became of each.

Half of the clients make a connection for every request, the others keep theirs; every third
request is a POST. Nothing is asked twice: a connection that is refused or reset, an answer that
is none, says 5xx or takes more than two seconds is a failure.
"""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

SLOWEST = 2.0
"""Seconds an answer may take."""
CLIENTS = 12
PAUSE = 0.025
"""Seconds between two requests of a client: some 300 requests a second together."""
BODY = b"x" * 200

SERVING = r"""
import asyncio, os, signal, sys

RELEASE, leaving, open_ones = os.environ["RELEASE"], False, set()


async def serve(reader, writer):
    open_ones.add(writer)
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            sizes = [line for line in head.lower().split(b"\r\n") if b"content-length:" in line]
            if sizes:
                await reader.readexactly(int(sizes[0].split(b":")[1]))
            broken = os.path.exists("/tmp/ill")
            state = "500 Broken" if broken else "200 OK"
            last = "close" if leaving or b"connection: close" in head.lower() else "keep-alive"
            writer.write(f"HTTP/1.1 {state}\r\nContent-Length: {len(RELEASE)}\r\n"
                         f"Connection: {last}\r\n\r\n{RELEASE}".encode())
            await writer.drain()
            if last == "close":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        open_ones.discard(writer)
        writer.close()


async def main():
    global leaving
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = await asyncio.start_server(serve, "0.0.0.0", 80, backlog=1024)
    await told.wait()
    leaving = True
    while open_ones:
        await asyncio.sleep(0.02)
    server.close()

asyncio.run(main())
"""
"""A server that goes as one should: who asks it last is told to come back by another way."""


@dataclass(slots=True)
class Load:
    """Asks as long as its context lasts."""

    port: int
    answers: Counter[str] = field(default_factory=Counter)
    """How many were given by which release."""
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    took: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _begun: float = 0.0

    def __enter__(self) -> "Load":
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask_all()))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()
        self.took = time.monotonic() - self._begun

    @property
    def rate(self) -> float:
        """How many answers came in a second."""
        return self.answers.total() / self.took

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(CLIENTS)))

    async def _client(self, number: int) -> None:
        keeps = number % 2 == 0
        kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        count = 0
        while not self._over.is_set():
            count += 1
            began = time.monotonic()
            try:
                async with asyncio.timeout(SLOWEST):
                    if kept is None:
                        kept = await asyncio.open_connection("127.0.0.1", self.port)
                    release, goes_on = await _ask(*kept, post=count % 3 == 0, keep=keeps)
                self.answers[release] += 1
                if not goes_on:
                    kept[1].close()
                    kept = None
            except (OSError, EOFError, ValueError) as error:
                moment = time.strftime("%H:%M:%S")
                self.failures.append(f"{moment}, request {count} of client {number}: {error!r}")
                if kept is not None:
                    kept[1].close()
                kept = None
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(PAUSE)
        if kept is not None:
            kept[1].close()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, post: bool, keep: bool
) -> tuple[str, bool]:
    """Ask once; return who answered, and whether the connection is kept."""
    verb, body = ("POST", BODY) if post else ("GET", b"")
    size = f"Content-Length: {len(body)}\r\n" if post else ""
    last = "keep-alive" if keep else "close"
    writer.write(
        f"{verb} / HTTP/1.1\r\nHost: x\r\n{size}Connection: {last}\r\n\r\n".encode() + body
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if not head.startswith("HTTP/1.1 200 "):
        raise ValueError(head.partition("\r\n")[0])
    length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0])
    answer = (await reader.readexactly(length)).decode()
    return answer, "connection: keep-alive" in head.lower()
