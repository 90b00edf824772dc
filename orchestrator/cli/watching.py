"""A stack's files, followed: each time they say something else it is wanted, and only then.

Loading is done here, with the rights of whoever watches. What cannot be loaded is told and
changes nothing: a file that is half written, or gone, says nothing about what is to run.
"""

import argparse
import asyncio
import contextlib
import json
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.cli.cache import GRAIN, Settled
from orchestrator.cli.loading import request_of
from orchestrator.cli.obtaining import obtain, with_pull_policy
from orchestrator.cli.render import say
from orchestrator.client import Client
from orchestrator.errors import Paint, PyorchError
from orchestrator.spec.load import load_stack
from runtime.logs.changes import Changes

QUIET = 0.2
"""Seconds in which nothing must be written for files to be whole: editors write in pieces."""
POLL = 2.0
"""Seconds between looks that nobody has hinted at: a hint may be lost, or never come."""

Look = Mapping[Path, tuple[int, int, int, int] | None]
"""What tells a file from another one, or from itself before; None where there is none."""
UNSEEN = (0, 0, 0, 0)


def look_at(paths: Collection[Path]) -> Look:
    """Return how files are now, without opening any."""
    return {path: _look(path) for path in paths}


def _look(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _seen_since(path: Path, began: int) -> tuple[int, int, int, int] | None:
    """Return how a file is that was read since ``began``, or what none is like."""
    found = _look(path)
    return UNSEEN if found is not None and found[-1] >= began - GRAIN else found


async def until_changed(seen: Look) -> None:
    """Return once files are not as they were seen, and have been left alone for a moment."""
    changes, hint = Changes(), asyncio.Event()
    running = asyncio.create_task(changes.run())
    try:
        while True:
            for folder in {path.parent for path in seen}:
                changes.ask(folder, hint)
            now = look_at(seen.keys())
            if now != seen:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hint.wait(), POLL)
            hint.clear()
        while True:
            await asyncio.sleep(QUIET)
            after = look_at(seen.keys())
            if after == now:
                return
            now = after
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@dataclass(slots=True, kw_only=True)
class Follower:
    """Has a daemon want what the files of one stack say, again and again."""

    args: argparse.Namespace
    client: Client
    options: Mapping[str, Any] = field(default_factory=dict)
    """What is sent beside the file."""
    name: str = ""
    seen: Look = field(default_factory=dict)
    wanted: Any = None
    """What the last valid files said."""
    _told: str = ""

    def follow(self) -> None:
        """Go on until the process ends."""
        while True:
            asyncio.run(until_changed(self.seen))
            self.look()

    def look(self, *, send: bool = True) -> None:
        """Load the files and send what they say, if that is new; tell what is wrong with them."""
        read: list[Path] = []
        try:
            settled = self._load(read)
            news = settled.document != self.wanted
            if news and send:
                self._send(settled)
            self.wanted = settled.document
            if self._told:
                say("the stack file is in order again")
            self._told = ""
        except PyorchError as error:
            told = error.report(Paint())
            if told != self._told:
                self._told = told
                say(f"{told}nothing is changed")

    def _load(self, read: list[Path]) -> Settled:
        request = replace(request_of(self.args, to_run=True), read=read)
        # Seen before it is read: what is written meanwhile is another change.
        before, began = look_at(self.seen.keys()), time.time_ns()
        try:
            loaded = load_stack(request)
        finally:
            paths = {Path(os.path.normpath(request.cwd / path)) for path in read} - set(before)
            self.seen = {**before, **{path: _seen_since(path, began) for path in paths}}
        name = loaded.stack.name
        if self.name and name != self.name:
            raise PyorchError(
                f"the file is of stack `{name}` now, and `{self.name}` is what is watched",
                hint=f"end this and watch `{name}`, or take `{self.name}` down first",
            )
        self.name = name
        if not loaded.fetched:
            # Where the file goes away, no other one is to take its place.
            self.args.file = [os.path.normpath(request.cwd / file) for file in loaded.found.files]
        document = json.loads(loaded.stack.model_dump_json())
        return Settled(name=name, document=document, warnings=loaded.warnings)

    def _send(self, settled: Settled) -> None:
        obtain(self.args, settled, self.client)
        document = with_pull_policy(self.args, settled.document)
        body = {"model": document, "options": dict(self.options)}
        applied = self.client.put(f"/v1/stacks/{settled.name}", body)
        if applied["changed"]:
            say(f"stack {settled.name}: generation {applied['generation']}")
