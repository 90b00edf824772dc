"""A command beside a container's own: all it says is heard, all it is told arrives.

What the session needs is a program that behaves as the runtime's ``exec`` does; any will do.
"""

import asyncio
import contextlib
import os
import signal

from runtime.oci.exec import RuntimeExec

PATIENCE = 20.0
LONGER_THAN_IT_LINGERS = 1.5
MUCH = 6_000_000
"""More bytes than the session, a pipe and a stream hold together."""


async def begin(tmp_path, script, *, tty=False):
    return await RuntimeExec.begin(
        ["sh", "-c", script], pid_file=tmp_path / "pid", scratch=tmp_path / "scratch", tty=tty
    )


def test_whoever_reads_slowly_is_told_everything_all_the_same(tmp_path):
    async def read_slowly():
        session = await begin(tmp_path, f"head -c {MUCH} /dev/zero &")
        heard = 0
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(session.wait(), LONGER_THAN_IT_LINGERS)
        while (chunk := await session.read())[0]:
            heard += len(chunk[1])
        await session.close()
        return heard

    assert asyncio.run(asyncio.wait_for(read_slowly(), PATIENCE)) == MUCH


def test_what_a_grandchild_holds_open_is_not_waited_for(tmp_path):
    async def read():
        session = await begin(tmp_path, "echo said; sleep 600 & echo $!; exit 3")
        heard = b""
        while (chunk := await session.read())[0]:
            heard += chunk[1]
        code = await session.wait()
        await session.close()
        said, child = heard.split()
        os.kill(int(child), signal.SIGKILL)
        return said, code

    assert asyncio.run(asyncio.wait_for(read(), PATIENCE)) == (b"said", 3)


def test_whoever_reads_a_session_that_is_closed_is_told_its_end(tmp_path):
    async def close_under_a_reader():
        session = await begin(tmp_path, "exec sleep 600")
        reading = asyncio.create_task(session.read())
        await asyncio.sleep(0)
        await session.close()
        return await reading

    assert asyncio.run(asyncio.wait_for(close_under_a_reader(), PATIENCE)) == (0, b"")


def test_more_than_a_terminal_takes_at_once_arrives_whole(tmp_path):
    async def paste():
        count = f"stty raw -echo; echo ready; head -c {MUCH} | wc -c"
        session = await begin(tmp_path, count, tty=True)
        heard = b""
        while b"ready" not in heard:
            heard += (await session.read())[1]
        await session.write(b"x" * MUCH)
        while (chunk := await session.read())[0]:
            heard += chunk[1]
        await session.close()
        return heard.split()[-1]

    assert asyncio.run(asyncio.wait_for(paste(), PATIENCE)) == str(MUCH).encode()
