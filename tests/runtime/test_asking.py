"""Questions over the network, whatever answers: a server, nobody, or somebody who means ill."""

import asyncio
import os
import socket
import ssl
import subprocess
from contextlib import asynccontextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from runtime.asking import MOST, ask
from runtime.types import GrpcProbe, HttpProbe, TcpProbe

pytestmark = pytest.mark.root

PATIENCE = 30.0


@pytest.fixture
def here():
    """The network namespace of the test itself."""
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
    yield namespace
    os.close(namespace)


@asynccontextmanager
async def serving(answer, *, host="127.0.0.1", tls=None):
    """Have every connection answered by ``answer``; yields the port."""

    async def handle(reader, writer):
        try:
            await answer(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def asked(probe, namespace):
    async with asyncio.timeout(PATIENCE):
        return await ask(probe, namespace)


def says(data):
    async def answer(reader, writer):
        await reader.read(65536)
        writer.write(data)
        await writer.drain()

    return answer


async def floods(reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def test_an_http_answer_is_judged_by_its_status_and_shown(here):
    told = {
        b"HTTP/1.1 200 OK\r\n\r\nfine": (0, b"HTTP 200 OK"),
        b"HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n": (0, b"HTTP 302 Found"),
        b"HTTP/1.1 503 Busy\r\nA: b\r\n\r\nno room": (1, b"HTTP 503 Busy\nno room"),
        b"HTTP/1.1 404\r\n\r\n": (1, b"HTTP 404"),
        b"SSH-2.0-OpenSSH\r\n": (1, b"no HTTP: SSH-2.0-OpenSSH\r\n"),
        b"": (1, b"no HTTP: "),
    }
    for answer, (code, output) in told.items():
        async with serving(says(answer)) as port:
            found = await asked(HttpProbe(port=port, path="/health"), here)
        assert (found.code, found.output) == (code, output)


async def test_what_is_asked_for_is_the_path(here):
    heard = []

    async def answer(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 Empty\r\n\r\n")

    async with serving(answer) as port:
        assert (await asked(HttpProbe(port=port, path="/ready?now=1"), here)).code == 0
    assert heard[0].startswith(b"GET /ready?now=1 HTTP/1.1\r\nHost: localhost:")


async def test_no_more_is_read_of_an_answer_than_is_needed(here):
    async with serving(floods) as port:
        found = await asked(HttpProbe(port=port), here)
    assert found.code == 0

    async with serving(says(b"HTTP/1.1 500 Bad\r\n\r\n" + b"x" * 1_000_000)) as port:
        found = await asked(HttpProbe(port=port), here)
    assert found.code == 1
    assert len(found.output) <= MOST


@pytest.fixture
def tls(tmp_path):
    """A server's side of TLS, with a certificate for another name that nobody has signed."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    line = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout {} -out {}"
    made = line.format(key, certificate).split()
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_certificates_are_not_looked_at(here, tls):
    async with serving(says(b"HTTP/1.1 200 OK\r\n\r\n"), tls=tls) as port:
        well = await asked(HttpProbe(port=port, tls=True), here)
        plain = await asked(HttpProbe(port=port), here)
    async with serving(says(b"no TLS at all")) as port:
        ill = await asked(HttpProbe(port=port, tls=True), here)

    assert (well.code, plain.code, ill.code) == (0, 1, 1)


async def test_a_port_is_found_on_the_loopback_of_both_families_and_on_an_own_address(here):
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hosts = ["127.0.0.1", "::1"]
    with own:
        try:
            own.connect(("192.0.2.1", 9))
            hosts.append(own.getsockname()[0])
        except OSError:
            pass  # a machine without a way out has no such address
    for host in hosts:
        async with serving(says(b""), host=host) as port:
            found = await asked(TcpProbe(port), here)
        assert (host, found.code) == (host, 0)


async def test_a_port_nobody_listens_at_is_a_failure_in_words(here):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        found = await asked(TcpProbe(port), here)

    assert found.code == 1
    assert found.output == f"port {port}: Connection refused".encode()


# ── gRPC ─────────────────────────────────────────────────────────────────────────────────


def health_server(services, heard):
    """Answer as a gRPC server does whose health service knows ``services``."""

    async def answer(reader, writer):
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        body = b""
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    heard.append(dict(event.headers)[b":path"])
                elif isinstance(event, StreamEnded):
                    reply(connection, services, body[7:].decode())
                elif hasattr(event, "data"):
                    body += event.data
            writer.write(connection.data_to_send())

    return answer


def reply(connection, services, name):
    connection.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    if name not in services:
        connection.send_headers(1, [("grpc-status", "5")], end_stream=True)
        return
    message = bytes([8, services[name]]) if services[name] else b""
    connection.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message)
    connection.send_headers(1, [("grpc-status", "0")], end_stream=True)


async def test_the_health_service_of_grpc_is_asked_for_a_service_or_for_all(here):
    heard = []
    services = {"": 1, "shop.Orders": 2, "shop.Unknown": 0}
    async with serving(health_server(services, heard)) as port:
        told = {
            name: await asked(GrpcProbe(port=port, service=name), here)
            for name in (*services, "shop.None")
        }

    assert {name: (one.code, one.output) for name, one in told.items()} == {
        "": (0, b"SERVING"),
        "shop.Orders": (1, b"NOT_SERVING"),
        "shop.Unknown": (1, b"UNKNOWN"),
        "shop.None": (1, b"SERVICE_UNKNOWN"),
    }
    assert set(heard) == {b"/grpc.health.v1.Health/Check"}


async def test_what_is_no_grpc_is_a_failure_however_much_it_says(here):
    async def settings(reader, writer):
        while True:
            writer.write(b"\0\0\0\4\0\0\0\0\0" * 4096)
            await writer.drain()

    for answer in (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), says(b""), settings):
        async with serving(answer) as port:
            found = await asked(GrpcProbe(port=port), here)
        assert found.code == 1
        assert found.output.startswith(b"no gRPC: ")
