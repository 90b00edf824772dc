"""Programs are started clean, heard to the end, and never left behind."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path

import pytest

from runtime.errors import UnavailableError, UnsupportedError
from runtime.process import run


def test_what_a_program_prints_and_its_exit_code_come_back():
    done = asyncio.run(run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin=b"yes", check=False))
    assert (done.returncode, done.stdout, done.complaint) == (3, b"yes", "no")


def test_more_than_a_pipe_holds_goes_both_ways():
    data = os.urandom(1 << 20)
    assert asyncio.run(run(["cat"], stdin=data)).stdout == data


def test_a_failure_is_told_in_the_programs_own_words():
    with pytest.raises(UnavailableError, match="what went wrong"):
        asyncio.run(run(["sh", "-c", "echo what went wrong >&2; exit 1"]))


def test_a_signal_is_told_apart_from_an_exit_code():
    done = asyncio.run(run(["sh", "-c", "kill -9 $$"], check=False))
    assert done.returncode == -signal.SIGKILL


def test_a_program_that_is_not_installed_is_named():
    with pytest.raises(UnsupportedError, match="no-such-program"):
        asyncio.run(run(["no-such-program"]))


def test_only_what_is_handed_over_is_open_in_the_program():
    reading, writing = os.pipe()
    secret = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        line = ["sh", "-c", "echo handed >&3; ls /proc/$$/fd"]
        found = asyncio.run(run(line, pass_fds=[writing])).stdout.split()
        assert os.read(reading, 100) == b"handed\n"
    finally:
        for fd in (reading, writing, secret):
            os.close(fd)
    assert str(secret).encode() not in found
    assert set(found) <= {b"0", b"1", b"2", b"3", b"10"}


def test_a_program_has_a_session_of_its_own_and_ordinary_signals():
    line = ["sh", "-c", "cut -d' ' -f6 /proc/$$/stat; echo $$; grep SigIgn /proc/$$/status"]
    session, pid, _, ignored = asyncio.run(run(line)).stdout.split()
    assert session == pid
    ours = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
    assert int(ignored, 16) & ours == 0


def test_the_environment_is_the_one_given():
    done = asyncio.run(run(["/usr/bin/env"], env={"ONLY": "this"}))
    assert done.stdout == b"ONLY=this\n"


def test_cancelling_ends_the_program():
    async def cancel(started: str) -> int:
        os.mkfifo(started)
        task = asyncio.ensure_future(run(["sh", "-c", f"echo $$ > {started}; exec sleep 1000"]))
        pid = int(await asyncio.to_thread(Path(started).read_text))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    with tempfile.TemporaryDirectory() as folder:
        pid = asyncio.run(cancel(f"{folder}/started"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
