"""Who is told of what happens to a stack: over real connections, by real programs."""

import asyncio
import json
import os
import stat
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from orchestrator.changes import changes
from orchestrator.events import Event
from orchestrator.notifier import MOST_WAITING, Notifier, called
from orchestrator.spec.models.extensions import NotifyExtension

PATIENCE = 30.0
SECRET = "geheim"


def run(main):
    """Run in real time: the other end is a real socket, or a real program."""
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


class Listener:
    """An HTTP server that answers with the codes it is given, and keeps what it hears."""

    def __init__(self, *codes):
        self.codes = list(codes)
        self.heard = []
        self.news = asyncio.Event()
        self.port = 0
        self.let_go = asyncio.Event()
        self.let_go.set()

    @property
    def url(self):
        return f"http://user:{SECRET}@127.0.0.1:{self.port}/{SECRET}?key={SECRET}"

    async def answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.heard.append((head, json.loads(await reader.readexactly(length))))
        self.news.set()
        await self.let_go.wait()
        code = self.codes.pop(0) if self.codes else 200
        more = f"Location: {self.url}/elsewhere\r\n" if code == 302 else ""
        writer.write(f"HTTP/1.1 {code} So\r\n{more}Content-Length: 0\r\n\r\n".encode())
        writer.close()

    async def hears(self, count):
        """Wait until it has been told so often, and return what."""
        while len(self.heard) < count:
            self.news.clear()
            await self.news.wait()
        return [fact for _, fact in self.heard]


@asynccontextmanager
async def listening(*codes):
    listener = Listener(*codes)
    server = await asyncio.start_server(listener.answer, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        listener.let_go.set()
        server.close()


class Told(list):
    """What the notifier itself has told, and a way to wait for it."""

    def __init__(self):
        self.news = asyncio.Event()

    def __call__(self, *fact):
        self.append(fact)
        self.news.set()


@asynccontextmanager
async def notifying(*wanted, owner=None):
    told = Told()
    owner = os.geteuid() if owner is None else owner
    notifier = Notifier(
        wishes=lambda _: (owner, wanted), tell=told, instance="test", pauses=(0.01, 0.01)
    )
    task = asyncio.create_task(notifier.run())
    await asyncio.sleep(0)
    try:
        yield notifier, told
    finally:
        task.cancel()


async def told_everybody():
    """Wait until nobody is being told anything any more."""
    await asyncio.gather(
        *(task for task in asyncio.all_tasks() if task.get_name().startswith("notify "))
    )


def alive_in(group):
    """Return the processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if fields[2] == group and fields[0] not in "ZX":
                found.append(path.parent.name)
    return found


def looping(subject="web.1", name="replica.crash_looping"):
    return Event(stack="shop", name=name, subject=subject, reason="3 restarts", at_wall=5.0)


def webhook(listener, **more):
    return NotifyExtension(webhook=listener.url, **more)


def test_a_fact_is_posted_as_json_and_what_was_not_asked_for_is_not():
    async def main():
        async with listening() as ear:
            async with notifying(webhook(ear, on=("crash_loop", "disk"))) as (notifier, told):
                notifier.note(looping(name="replica.started"))
                notifier.note(looping(name="replica.healing"))
                notifier.note(looping())
                (fact,) = await ear.hears(1)
            return ear.heard[0][0], fact, list(told)

    head, fact, told = run(main())

    assert head.startswith(b"POST /geheim?key=geheim HTTP/1.1\r\n")
    assert b"Content-Type: application/json\r\n" in head
    assert len(fact.pop("id")) == 32
    assert fact == {
        "kind": "crash_loop",
        "event": "replica.crash_looping",
        "stack": "shop",
        "subject": "web.1",
        "reason": "3 restarts",
        "at": 5.0,
        "host": os.uname().nodename,
        "instance": "test",
    }
    assert told == []


def test_who_is_busy_is_told_again_and_it_is_the_same_fact():
    async def main():
        async with listening(503, 429) as ear, notifying(webhook(ear)) as (notifier, told):
            notifier.note(looping())
            return await ear.hears(3), list(told)

    facts, told = run(main())

    assert len({fact["id"] for fact in facts}) == 1
    assert told == []


@pytest.mark.parametrize(
    ("codes", "heard", "why"),
    [
        ((404,), 1, "the answer was HTTP 404"),
        ((302,), 1, "the answer was HTTP 302"),
        ((500, 500, 500), 3, "the answer was HTTP 500, 3 times"),
    ],
)
def test_who_does_not_take_it_is_told_of_without_the_password_in_the_url(codes, heard, why):
    async def main():
        async with listening(*codes) as ear, notifying(webhook(ear)) as (notifier, told):
            notifier.note(looping())
            await told.news.wait()
            return len(ear.heard), ear.port, list(told)

    count, port, told = run(main())

    reason = f"of replica.crash_looping: {why}"
    assert count == heard
    assert told == [("shop", "notify.failed", f"http://127.0.0.1:{port}", reason)]


def test_who_cannot_be_reached_is_told_of_without_the_password_in_the_url():
    async def main():
        async with listening() as ear:
            gone = webhook(ear)
        async with notifying(gone) as (notifier, told):
            notifier.note(looping())
            await told.news.wait()
            return list(told)

    ((_, name, whom, reason),) = run(main())

    assert name == "notify.failed"
    assert "it cannot be reached (ClientConnectorError), 3 times" in reason
    assert SECRET not in whom + reason


def test_who_does_not_answer_holds_up_nobody_else_and_loses_the_oldest_facts():
    async def main():
        async with listening() as slow, listening() as quick:
            slow.let_go.clear()
            wanted = (webhook(slow, timeout=60.0), webhook(quick))
            async with notifying(*wanted) as (notifier, told):
                notifier.note(looping("web.0"))
                await slow.hears(1)
                for number in range(1, MOST_WAITING + 4):
                    notifier.note(looping(f"web.{number}"))
                    await quick.hears(number + 1)
                slow.let_go.set()
                await told.news.wait()
                return await slow.hears(MOST_WAITING + 1), list(told)

    facts, told = run(main())

    assert [fact["subject"] for fact in facts] == [
        "web.0",
        *(f"web.{number}" for number in range(4, MOST_WAITING + 4)),
    ]
    assert [reason for *_, reason in told] == [
        "3 facts were not told: they came faster than they were taken"
    ]


def test_an_answer_that_takes_too_long_is_waited_for_no_longer():
    async def main():
        async with listening() as ear, notifying(webhook(ear, timeout=0.05)) as (notifier, told):
            ear.let_go.clear()
            notifier.note(looping())
            await told.news.wait()
            return list(told)

    ((*_, reason),) = run(main())

    assert reason == "of replica.crash_looping: no answer within 0.05 s, 3 times"


def program(folder, text):
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_command_is_run_without_a_shell_with_the_fact_on_its_input(tmp_path):
    path = program(
        tmp_path,
        f'cd {tmp_path}; echo "$PYORCH_STACK $PYORCH_EVENT $1" >told; cat >all',
    )
    words = NotifyExtension(command=(path, "$(touch injected); `id`"))

    async def main():
        async with notifying(words) as (notifier, told):
            notifier.note(looping())
            await told_everybody()
            return list(told)

    told = run(main())

    assert told == []
    line = (tmp_path / "told").read_text()
    assert line == "shop replica.crash_looping $(touch injected); `id`\n"
    assert json.loads((tmp_path / "all").read_text())["subject"] == "web.1"
    assert not (tmp_path / "injected").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 3", "it exited with 3, 3 times"),
        ("echo $$ >>pids; sleep 1000 & sleep 1000", "it had not ended after 0.2 s, 3 times"),
    ],
)
def test_a_command_that_fails_or_hangs_is_told_of_and_nothing_of_it_is_left(tmp_path, text, why):
    path = program(tmp_path, f"cd {tmp_path}; {text}")

    async def main():
        async with notifying(NotifyExtension(command=(path,), timeout=0.2)) as (notifier, told):
            notifier.note(looping())
            await told.news.wait()
            return list(told)

    told = run(main())

    assert told == [("shop", "notify.failed", path, f"of replica.crash_looping: {why}")]
    pids = tmp_path / "pids"
    for pid in pids.read_text().split() if pids.exists() else ():
        assert alive_in(pid) == []


def test_a_program_that_is_not_there_is_not_tried_again():
    async def main():
        async with notifying(NotifyExtension(command=("/no/such",))) as (notifier, told):
            notifier.note(looping())
            await told.news.wait()
            return list(told)

    ((*_, reason),) = run(main())

    assert "it cannot be run: " in reason
    assert "times" not in reason


@pytest.mark.root
def test_a_command_runs_as_the_stacks_owner_in_none_of_the_daemons_groups(tmp_path):
    tmp_path.chmod(0o777)
    for folder in (tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    path = program(
        tmp_path, f'id -u >{tmp_path}/id; id -G >>{tmp_path}/id; echo "$HOME" >>{tmp_path}/id'
    )
    os.chmod(path, 0o755)
    nobody = 65534

    async def main():
        async with notifying(NotifyExtension(command=(path,)), owner=nobody) as (notifier, told):
            notifier.note(looping())
            await told_everybody()
            return list(told)

    assert run(main()) == []
    uid, groups, home = (tmp_path / "id").read_text().splitlines()
    assert (uid, groups, home) == ("65534", "65534", "/nonexistent")


def test_whom_it_is_that_is_told_is_said_without_what_may_be_a_password():
    assert called(NotifyExtension(webhook="https://me:x@hooks.example:8443/T/x?y=z#x")) == (
        "https://hooks.example:8443"
    )
    assert called(NotifyExtension(command=("/usr/bin/mail", "x"))) == "/usr/bin/mail"


def test_what_differs_between_two_generations_is_told_without_urls():
    old = {"x_pyorch": {"notify": [{"webhook": f"http://a/{SECRET}"}]}}
    new = {"x_pyorch": {"notify": [{"webhook": f"http://b/{SECRET}"}]}}

    for one, other in ((old, new), ({}, new), (old, {"x_pyorch": {}})):
        told = [str(change) for change in changes(one, other)]
        assert told
        assert SECRET not in " ".join(told)
