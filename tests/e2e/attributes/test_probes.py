"""`x-pyorch.probes`: the daemon asks by itself, of images that have nothing to ask with."""

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from runtime.network.netns import run_inside
from tests.instance import PATIENCE
from tests.registry import make_certificate
from tests.runtime.test_asking import health_server, says

pytestmark = pytest.mark.root

STACK = """
name: asked
x-web: &web {image: busybox, stop_grace_period: 0s}
services:
  web:
    <<: *web
    command: sh -c 'mkdir /w; echo hi >/w/ready; echo is up; exec httpd -f -p 127.0.0.1:8080 -h /w'
    network_mode: none
    x-pyorch:
      probes:
        startup: {log: is up, interval: 100ms, retries: 300}
        readiness: {http: {port: 8080, path: /ready}, interval: 200ms, retries: 2}
        liveness: {tcp: 8080}
  quiet:
    <<: *web
    command: sleep 1000
    x-pyorch: {probes: {liveness: {http: {port: 80}, interval: 100ms, retries: 2}}}
  heals:
    <<: *web
    command: sh -c 'echo yes >/well; exec sleep 1000'
    restart: on-failure
    healthcheck: {test: test -e /well, interval: 200ms, retries: 2}
"""


def replicas(pyorch):
    return {one["Service"]: one for one in pyorch.ps("asked").values()}


@pytest.mark.attribute(
    "services.*.x-pyorch.probes.*.http.path",
    "services.*.x-pyorch.probes.*.http.port",
    "services.*.x-pyorch.probes.*.interval",
    "services.*.x-pyorch.probes.*.log",
    "services.*.x-pyorch.probes.*.retries",
    "services.*.x-pyorch.probes.*.tcp",
)
def test_the_daemon_asks_over_the_network_and_in_the_log_and_tells_what_was_answered(pyorch):
    pyorch.write(STACK)
    done = pyorch.try_("up", "-d", "--wait")
    shown = replicas(pyorch)

    assert done.code == 1
    assert "quiet.1 is unhealthy" in done.err
    assert "  quiet.1 |   port 80: Connection refused\n" in done.err
    assert shown["quiet"]["Health"] == "unhealthy"
    assert shown["quiet"]["Probes"][-1]["output"] == "port 80: Connection refused"
    pyorch.until("asked", lambda state: health(state, "web") == "healthy")
    answers = {one["kind"]: one for one in replicas(pyorch)["web"]["Probes"]}
    assert {kind: (one["code"], one["output"]) for kind, one in answers.items()} == {
        "startup": (0, "is up"),
        "readiness": (0, "HTTP 200 OK"),
        "liveness": (0, "accepted"),
    }

    pyorch.run("exec", "-T", "heals", "busybox", "rm", "/well")
    pyorch.until(
        "asked", lambda state: (restarts(state, "heals"), health(state, "heals")) == (1, "healthy")
    )

    pyorch.run("exec", "-T", "web", "busybox", "rm", "/w/ready")
    pyorch.until("asked", lambda state: health(state, "web") == "unready")
    last = [one for one in replicas(pyorch)["web"]["Probes"] if one["kind"] == "readiness"][-1]
    assert last["output"].startswith("HTTP 404 Not Found\n")


def health(state, name):
    return next(one["health"] for one in state["replicas"] if one["service"] == name)


def restarts(state, name):
    return next(one["restarts"] for one in state["replicas"] if one["service"] == name)


MORE = """
name: asked
x-one: &one {image: busybox, command: sleep 1000, stop_grace_period: 0s, network_mode: none}
services:
  served:
    <<: *one
    x-pyorch:
      probes:
        startup: {exec: [touch, /started], interval: 100ms}
        readiness: {grpc: {port: 5001, service: shop.Orders}, interval: 100ms, retries: 1}
        liveness:
          http: {port: 5002, tls: true}
          start_period: 1h
          start_interval: 100ms
          interval: 1h
          retries: 1
  slow:
    <<: *one
    restart: always
    x-pyorch:
      on_unhealthy: none
      probes: {liveness: {exec: [sleep, "1000"], timeout: 100ms, interval: 100ms, retries: 1}}
"""


@pytest.mark.attribute(
    "services.*.x-pyorch.on_unhealthy",
    "services.*.x-pyorch.probes.*.exec",
    "services.*.x-pyorch.probes.*.grpc",
    "services.*.x-pyorch.probes.*.http.tls",
    "services.*.x-pyorch.probes.*.start_interval",
    "services.*.x-pyorch.probes.*.start_period",
    "services.*.x-pyorch.probes.*.timeout",
)
async def test_f40_a_server_that_comes_late_is_found_and_a_check_that_hangs_is_not_waited_for(
    pyorch, tmp_path
):
    certificate, key = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    pyorch.write(MORE)
    await asyncio.to_thread(pyorch.try_, "up", "-d")
    before = pyorch.main_process("asked/slow.1")
    await becomes(pyorch, "slow", "unhealthy")
    shown = await asyncio.to_thread(replicas, pyorch)
    assert shown["served"]["Health"] == "starting", "nobody answers, and it has an hour"

    inside = Path(f"/proc/{pyorch.main_process('asked/served.1')}/ns/net")
    heard = []
    async with (
        listening(inside, 5001, health_server({"shop.Orders": 1}, heard)),
        listening(inside, 5002, says(b"HTTP/1.1 200 OK\r\n\r\n"), tls),
    ):
        await becomes(pyorch, "served", "healthy")

    assert pyorch.main_process("asked/slow.1") == before, "`on_unhealthy` leaves it alone"
    assert set(heard) == {b"/grpc.health.v1.Health/Check"}
    assert (await asyncio.to_thread(pyorch.run, "exec", "-T", "served", "ls", "/started")).strip()


async def becomes(pyorch, service, wanted):
    """Wait until a service is as it should be."""

    async def how():
        return (await asyncio.to_thread(replicas, pyorch))[service]["Health"]

    async with asyncio.timeout(PATIENCE):
        while await how() != wanted:
            pass


@contextlib.asynccontextmanager
async def listening(namespace, port, answer, tls=None):
    """Have a program of this test answer at a port of a network namespace."""

    async def handle(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await answer(reader, writer)
        writer.close()

    ear = run_inside(namespace, lambda: socket.create_server(("127.0.0.1", port)))
    server = await asyncio.start_server(handle, sock=ear, ssl=tls)
    try:
        yield
    finally:
        server.close()
