"""Questions over the network to what runs in a container, asked from inside its namespace.

Nothing in the image is needed for them, no address of the host is used, and a container that
is in no network is asked just so. Whoever answers is hostile: so much is read of an answer,
and no more, and the caller sets how long it may take.
"""

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import TypeVar

from runtime.files import in_thread
from runtime.grpc import HealthQuestion
from runtime.pins import in_own_thread
from runtime.syscalls import CLONE_NEWNET, setns
from runtime.types import GrpcProbe, HttpProbe, ProbeOutput, TcpProbe

T = TypeVar("T")

MOST = 4096
"""Bytes of an answer that are read, and told."""
ELSEWHERE = ("192.0.2.1", "2001:db8::1")
"""Addresses nobody has (RFC 5737, RFC 3849): where a packet to them would come from is asked."""
NOBODY = (errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)
"""What says that nobody listens at one address; another one may be listened at."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([^\r\n]*))?\r?\n")


async def ask(probe: HttpProbe | TcpProbe | GrpcProbe, namespace: int) -> ProbeOutput:
    """Ask what listens in the network namespace behind the file descriptor ``namespace``."""
    try:
        connection = await _connect(namespace, probe.port)
    except OSError as error:
        words = f"port {probe.port}: {os.strerror(error.errno) if error.errno else error}"
        return ProbeOutput(code=1, output=words.encode())
    if isinstance(probe, TcpProbe):
        connection.close()
        return ProbeOutput(code=0, output=b"accepted")
    tls = _unchecked() if isinstance(probe, HttpProbe) and probe.tls else None
    writer = None
    try:
        reader, writer = await asyncio.open_connection(
            sock=connection, ssl=tls, server_hostname="localhost" if tls else None, limit=MOST
        )
        if isinstance(probe, HttpProbe):
            return await _http(probe, reader, writer)
        return await _grpc(probe, reader, writer)
    except (OSError, EOFError) as error:
        return ProbeOutput(code=1, output=(str(error) or "it hung up").encode()[:MOST])
    finally:
        if writer is not None:
            writer.transport.abort()
        else:
            connection.close()


async def _connect(namespace: int, port: int) -> socket.socket:
    """Return a connection to ``port``: on the loopback, or where that is refused, its address."""
    refused: OSError | None = None
    for family, address in await in_thread(_addresses, namespace):
        connection = None
        try:
            connection = await in_thread(_open_inside, namespace, family)
            await asyncio.get_running_loop().sock_connect(connection, (address, port))
        except BaseException as error:
            if connection is not None:
                connection.close()
            if not isinstance(error, OSError) or error.errno not in NOBODY:
                raise
            refused = refused or error
        else:
            return connection
    raise refused or OSError(errno.EADDRNOTAVAIL, "it has no address")


def _addresses(namespace: int) -> list[tuple[socket.AddressFamily, str]]:
    """Return where a port may be listened at, the most likely one first. Blocks."""

    def look() -> Iterator[tuple[socket.AddressFamily, str]]:
        yield socket.AF_INET, "127.0.0.1"
        yield socket.AF_INET6, "::1"
        for family, nobody in zip((socket.AF_INET, socket.AF_INET6), ELSEWHERE, strict=True):
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as asking:
                    # Nothing is sent by this: the kernel only looks for a way.
                    asking.connect((nobody, 9))
                    yield family, str(asking.getsockname()[0])
            except OSError:
                continue

    return in_own_thread(lambda: _inside(namespace, lambda: list(look())))


def _open_inside(namespace: int, family: socket.AddressFamily) -> socket.socket:
    def make() -> socket.socket:
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        return socket.socket(family, kind)

    return in_own_thread(lambda: _inside(namespace, make))


def _inside(namespace: int, work: Callable[[], T]) -> T:
    """Call ``work`` in the namespace. The calling thread never leaves it again."""
    setns(namespace, CLONE_NEWNET)
    return work()


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _http(
    probe: HttpProbe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> ProbeOutput:
    lines = (
        f"GET {probe.path} HTTP/1.1",
        f"Host: localhost:{probe.port}",
        "User-Agent: pyorch-probe",
        "Accept: */*",
        "Connection: close",
    )
    writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    answer = await _read_most(reader, lambda so_far: b"\n" in so_far)
    status = _STATUS.match(answer)
    if status is None:
        return ProbeOutput(code=1, output=b"no HTTP: " + answer[:80])
    words = b" ".join(filter(None, (b"HTTP", status[1], status[2])))
    if 200 <= int(status[1]) < 400:
        return ProbeOutput(code=0, output=words)
    # Why it is not well is often said there.
    answer += await _read_most(reader, lambda _: False)
    _, _, body = answer.partition(b"\r\n\r\n")
    return ProbeOutput(code=1, output=b"\n".join(filter(None, (words, body)))[:MOST])


async def _read_most(reader: asyncio.StreamReader, enough: Callable[[bytes], bool]) -> bytes:
    found = b""
    while len(found) < MOST and not enough(found):
        data = await reader.read(MOST - len(found))
        if not data:
            break
        found += data
    return found


async def _grpc(
    probe: GrpcProbe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> ProbeOutput:
    question = HealthQuestion(probe.service)
    heard = 0
    while question.answer is None:
        writer.write(question.to_send())
        data = await reader.read(MOST)
        heard += len(data)
        if not data or heard > 16 * MOST:
            return ProbeOutput(code=1, output=b"no gRPC: " + (b"too much" if data else b"it ended"))
        question.hear(data)
    return ProbeOutput(code=int(question.answer != "SERVING"), output=question.answer.encode())
