"""Tell somebody outside what happened to a stack, as its file asks: by HTTP, or by a command.

Whoever is told may be slow, or away. Facts wait for each of them by themselves, no more than a
few, and what is in memory only is lost with the daemon; the history has it. Where they are told
may be a secret, and is never told to anybody: only the host's name is.
"""

import asyncio
import json
import os
import pwd
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from orchestrator.events import Event
from orchestrator.spec.models.extensions import NotifyExtension
from runtime.errors import DriverError
from runtime.process import spawn, wait_for

KINDS: Mapping[str, tuple[str, ...]] = {
    "crash_loop": ("replica.crash_looping",),
    "given_up": ("replica.given_up",),
    "heal": ("replica.healing",),
    "rollback": ("stack.rolled_back",),
    "disk": ("disk.nearly_full", "disk.has_room"),
}
"""What a file calls them → the facts that are meant."""
MOST_WAITING = 32
"""Facts that wait for one who is told; of more the oldest go."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

log = structlog.get_logger()

Tell = Callable[[str, str, str, str], None]
"""Told of a stack, the name of a fact, what it happened to, and why."""
Wishes = Callable[[str], "tuple[int, Sequence[NotifyExtension]]"]
"""Returns whose a stack is, and whom it wants told."""


class _UndeliveredError(Exception):
    """It was not taken; ``again``: the next attempt may do better."""

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


@dataclass(slots=True)
class _Line:
    """Facts on their way to one who is told."""

    waiting: deque[dict[str, Any]] = field(default_factory=deque)
    lost: int = 0
    task: asyncio.Task[None] | None = None


@dataclass(slots=True, kw_only=True)
class Notifier:
    """Holds a task for everybody who is being told something, and none while nobody is."""

    wishes: Wishes
    tell: Tell
    instance: str
    pauses: Sequence[float] = PAUSES
    _lines: dict[tuple[str, int, NotifyExtension], _Line] = field(default_factory=dict)
    _group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the deliveries until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def note(self, event: Event) -> None:
        """Have a fact told to everybody who is to be told of it; does not wait."""
        kind = next((kind for kind, names in KINDS.items() if event.name in names), None)
        if kind is None or self._group is None:
            return
        owner, wanted = self.wishes(event.stack)
        for one in wanted:
            if kind in one.on:
                self._put((event.stack, owner, one), kind, event)

    def _put(self, key: tuple[str, int, NotifyExtension], kind: str, event: Event) -> None:
        assert self._group is not None
        line = self._lines.setdefault(key, _Line())
        if len(line.waiting) >= MOST_WAITING:
            line.waiting.popleft()
            line.lost += 1
        line.waiting.append(
            {
                "id": uuid4().hex,
                "kind": kind,
                "event": event.name,
                "stack": event.stack,
                "subject": event.subject,
                "reason": event.reason,
                "at": event.at_wall,
                "host": socket.gethostname(),
                "instance": self.instance,
            }
        )
        if line.task is None:
            line.task = self._group.create_task(self._empty(key, line), name=f"notify {key[0]}")

    async def _empty(self, key: tuple[str, int, NotifyExtension], line: _Line) -> None:
        stack, owner, wanted = key
        try:
            while line.waiting:
                fact = line.waiting.popleft()
                if why := await self._deliver(wanted, owner, fact):
                    reason = f"of {fact['event']}: {why}"
                    self.tell(stack, "notify.failed", called(wanted), reason)
            if line.lost:
                reason = f"{line.lost} facts were not told: they came faster than they were taken"
                self.tell(stack, "notify.failed", called(wanted), reason)
        except Exception:
            # A bug must not take the other deliveries down.
            log.exception("notify.crashed", stack=stack)
        finally:
            del self._lines[key]

    async def _deliver(self, wanted: NotifyExtension, owner: int, fact: Mapping[str, Any]) -> str:
        """Return why a fact could not be told; nothing where it was."""
        why = ""
        for pause in (0.0, *self.pauses):
            await asyncio.sleep(pause)
            try:
                if wanted.webhook:
                    await _post(wanted, fact)
                else:
                    await _call(wanted, owner, fact)
            except _UndeliveredError as error:
                why = str(error)
                log.info("notify.refused", whom=called(wanted), why=why)
                if not error.again:
                    return why
            else:
                log.info("notify.done", whom=called(wanted), fact=fact["event"])
                return ""
        return f"{why}, {len(self.pauses) + 1} times"


def called(wanted: NotifyExtension) -> str:
    """Return what people may read of whom is told: a URL's path and query may be a password."""
    if wanted.webhook:
        parts = urlsplit(wanted.webhook)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    return wanted.command[0]


async def _post(wanted: NotifyExtension, fact: Mapping[str, Any]) -> None:
    # The registry's client has loaded it already, or most daemons never need it.
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=wanted.timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.post(wanted.webhook, json=fact, allow_redirects=False) as answer,
        ):
            status = answer.status
    except TimeoutError:
        raise _UndeliveredError(f"no answer within {wanted.timeout:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # What it says may have the URL in it.
        raise _UndeliveredError(f"it cannot be reached ({type(error).__name__})") from None
    if not 200 <= status < 300:
        busy = status == 429 or status >= 500
        raise _UndeliveredError(f"the answer was HTTP {status}", again=busy)


async def _call(wanted: NotifyExtension, owner: int, fact: Mapping[str, Any]) -> None:
    try:
        user = pwd.getpwuid(owner)
    except KeyError:
        why = f"nobody has the number {owner} of the stack's owner"
        raise _UndeliveredError(why, again=False) from None
    argv = list(wanted.command)
    if owner != os.geteuid():
        given = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
        argv = ["setpriv", *given, "--", *argv]
    environment = {
        "HOME": user.pw_dir,
        "LOGNAME": user.pw_name,
        "PATH": PATH,
        "PYORCH_EVENT": fact["event"],
        "PYORCH_STACK": fact["stack"],
        "PYORCH_SUBJECT": fact["subject"],
        "USER": user.pw_name,
    }
    with os.fdopen(os.memfd_create("fact", os.MFD_CLOEXEC), "wb", buffering=0) as given_in:
        given_in.write(json.dumps(fact).encode() + b"\n")
        given_in.seek(0)
        try:
            process = await spawn(argv, stdin=given_in.fileno(), env=environment)
        except (DriverError, OSError) as error:
            raise _UndeliveredError(f"it cannot be run: {error}", again=False) from None
    try:
        async with asyncio.timeout(wanted.timeout):
            code = await wait_for(process)
    except TimeoutError:
        raise _UndeliveredError(f"it had not ended after {wanted.timeout:g} s") from None
    finally:
        if process.returncode is None:
            # The session is its own: what it has begun goes with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await wait_for(process)
    if code != 0:
        raise _UndeliveredError(f"it exited with {code}")
