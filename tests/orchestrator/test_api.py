"""What the socket answers to whoever speaks to it, however badly."""

import asyncio
import json
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.api.app import create_app
from orchestrator.frames import STDIN, frame
from runtime.oci.exec import RuntimeExec
from runtime.testing import FakeContainers
from tests.orchestrator.world import World

PATIENCE = 30.0
MUCH = 64 * 1024 * 1024
"""More than may ever wait in the daemon."""
ONE = """
name: shop
services:
  web: {image: app}
"""


def run(main):
    """Run in real time: the other end is a real socket."""
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


class RealCommands(FakeContainers):
    """Containers in memory, beside which commands really run."""

    folder: Path
    sessions: list[RuntimeExec]

    async def exec(self, container, config):
        session = await RuntimeExec.begin(
            config.argv,
            pid_file=self.folder / "pid",
            scratch=self.folder / "scratch",
            tty=config.tty,
        )
        self.sessions.append(session)
        return session


@asynccontextmanager
async def serving(folder):
    """Serve a host in memory on which one container runs."""
    world = World(folder)
    host = world.host
    containers = RealCommands(images=host.images, volumes=host.volumes, clock=host.clock)
    containers.folder, containers.sessions = folder, []
    sessions = containers.sessions
    world.containers = containers
    world.drivers = replace(world.drivers, containers=containers)
    async with world.daemon() as orchestrator:
        await world.up(ONE)
        app = create_app(orchestrator, asyncio.Event())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        path = str(folder / "socket")
        await web.UnixSite(runner, path).start()
        try:
            yield path, sessions
        finally:
            await runner.cleanup()
            for session in sessions:
                await session.close()
    world.store.close()


async def ask(path, method, target, body=b"{}"):
    """Return the status and the document of an answer."""
    reader, writer = await asyncio.open_unix_connection(path)
    head = f"{method} {target} HTTP/1.1\r\nHost: pyorch\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    top, _, rest = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), rest


async def begin_command(path, *argv):
    """Begin a command; return the connection frames are spoken over."""
    reader, writer = await asyncio.open_unix_connection(path)
    body = json.dumps({"argv": argv}).encode()
    head = "POST /v1/stacks/shop/exec?service=web HTTP/1.1\r\nHost: pyorch\r\n"
    head += "Connection: Upgrade\r\nUpgrade: pyorch-exec\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("PUT", "/v1/stacks/shop", b"[]"),
        ("PUT", "/v1/stacks/shop", b"[" * 100_000),
        ("PUT", "/v1/stacks/shop", b'{"model": 7}'),
        ("PUT", "/v1/stacks/shop", b"\xff"),
        ("POST", "/v1/stacks/shop/plan", b"7"),
        ("POST", "/v1/shutdown", b"[]"),
        ("POST", "/v1/images/load", b'{"path": 7}'),
        ("POST", "/v1/images/load", b"null"),
        ("POST", "/v1/stacks/shop/exec?service=web", b"[]"),
        ("POST", "/v1/stacks/shop/exec?service=web", b'{"argv": "true"}'),
        ("POST", "/v1/stacks/shop/exec?service=web", b'{"argv": []}'),
        ("POST", "/v1/stacks/shop/exec?service=web&index=x", b'{"argv": ["true"]}'),
        ("POST", "/v1/stacks/shop/exec?service=web", b'{"argv": ["true"], "env": [1]}'),
        ("POST", "/v1/stacks/shop/stop?grace=nan", b"{}"),
        ("POST", "/v1/stacks/shop/stop?grace=inf", b"{}"),
        ("GET", "/v1/stacks/shop/logs?tail=x", b""),
        ("GET", "/v1/stacks/shop/logs?tail=-1", b""),
        ("GET", "/v1/stacks/shop/logs?since=nan", b""),
        ("GET", "/v1/stacks/shop/logs?until=1e999999", b""),
        ("GET", "/v1/stacks/shop/logs?index=one", b""),
        ("GET", "/v1/stacks/..%2f..%2fetc/logs", b""),
        ("DELETE", "/v1/images", b""),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_as_one(tmp_path, method, target, body):
    async def refused():
        async with serving(tmp_path) as (path, _):
            return await ask(path, method, target, body)

    status, document = run(refused())

    assert 400 <= status < 500
    assert json.loads(document)["detail"]


def test_what_a_command_does_not_read_waits_with_its_client(tmp_path):
    async def pour():
        async with serving(tmp_path) as (path, _):
            _, writer = await begin_command(path, "sleep", "600")
            poured = 0
            with suppress(TimeoutError):
                while poured < MUCH:
                    writer.write(frame(STDIN, bytes(65536)))
                    async with asyncio.timeout(1):
                        await writer.drain()
                    poured += 65536
            writer.transport.abort()
            return poured

    assert run(pour()) < MUCH


@pytest.mark.parametrize(
    "said",
    [
        frame(1, b"no JSON"),
        frame(1, b'{"columns": 80}'),
        frame(2, b'{"number": 99999}'),
        frame(2, b"[]"),
        struct.pack(">BI", STDIN, 2**32 - 1),
    ],
)
def test_whoever_speaks_no_frames_loses_its_command(tmp_path, said):
    async def speak():
        async with serving(tmp_path) as (path, _):
            script = f"echo $$ > {tmp_path}/pid; echo begun; exec sleep 600"
            reader, writer = await begin_command(path, "sh", "-c", script)
            await reader.readuntil(b"begun\n")
            writer.write(said)
            last = await reader.read()
            writer.close()
            return last

    assert b'{"code": 137}' in run(speak())


def test_a_client_that_goes_away_leaves_no_request_behind(tmp_path):
    async def leave():
        async with serving(tmp_path) as (path, sessions):
            before = asyncio.all_tasks()
            _, writer = await begin_command(path, "sleep", "600")
            writer.close()
            await sessions[0].wait()
            left = {task for task in asyncio.all_tasks() - before if not task.done()}
            await asyncio.wait(left, timeout=PATIENCE / 2)
            return [task.get_name() for task in left if not task.done()]

    assert run(leave()) == []
