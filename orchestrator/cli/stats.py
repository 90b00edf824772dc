"""``pyorch stats``."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import size, table
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

HEAD = ("NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS")
PAUSE = 1.0
"""Seconds between two looks."""
REDRAW = "\x1b[H\x1b[J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="else all of the stack")
    parser.add_argument("--no-stream", action="store_true", help="only once")
    parser.add_argument("-a", "--all", action="store_true", help="those that do not run, too")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    # Names are never cut here: for scripts that ask for it.
    parser.add_argument("--no-trunc", action="store_true", help=argparse.SUPPRESS)
    parser.epilog = "example: pyorch stats --no-stream --format json"


def run(args: argparse.Namespace) -> int:
    """Print what runs uses, once a second until somebody has seen enough."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    before = _look(client, name, args.services)
    while True:
        # What is used in a second takes two looks to tell.
        time.sleep(PAUSE)
        now = _look(client, name, args.services)
        rows = [_figures(one, before.get(one["container"])) for one in now.values()]
        if args.all:
            rows += [_nothing(one) for one in _resting(client, name, args.services)]
        _show(rows, args.format, redraw=not args.no_stream and sys.stdout.isatty())
        if args.no_stream:
            return 0
        before = now


def _look(client: Client, stack: str, services: list[str]) -> dict[str, Any]:
    try:
        found = client.get(f"/v1/stacks/{stack}/usage", {"service": services})
    except PyorchError as error:
        if error.code != "not_found":
            raise
        return {}
    return {one["container"]: one for one in found}


def _resting(client: Client, stack: str, services: list[str]) -> Iterable[str]:
    for one in client.get(f"/v1/stacks/{stack}")["replicas"]:
        asked = not services or one["service"] in services
        if asked and one["phase"] not in ("running", "stopping"):
            yield one["container"]


def _figures(now: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    took = now["at"] - before["at"] if before else 0.0
    cpu = None
    # A run that began in between counts from nothing again.
    if before and took > 0 and now["cpu"] is not None and now["cpu"] >= (before["cpu"] or 0.0):
        cpu = (now["cpu"] - (before["cpu"] or 0.0)) / took * 100
    used = None if now["memory"] is None else max(now["memory"] - (now["cache"] or 0), 0)
    limit = now["memory_limit"] or _all_memory()
    return {
        "Name": now["container"],
        "Service": now["service"],
        "CPUPerc": cpu,
        "Memory": used,
        "MemoryLimit": limit,
        "MemPerc": None if used is None else used / limit * 100,
        "NetReceived": now["received"],
        "NetSent": now["sent"],
        "BlockRead": now["read"],
        "BlockWritten": now["written"],
        "PIDs": now["pids"],
    }


def _nothing(name: str) -> dict[str, Any]:
    return {"Name": name}


def _all_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _show(rows: list[dict[str, Any]], form: str, *, redraw: bool) -> None:
    if form == "json":
        sys.stdout.write("".join(json.dumps(row) + "\n" for row in rows))
    else:
        shown = table(HEAD, [_line(row) for row in rows]) + "\n"
        sys.stdout.write((REDRAW if redraw else "") + shown)
    sys.stdout.flush()


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    def told(key: str, words: Callable[[Any], str]) -> str:
        return "--" if row.get(key) is None else words(row[key])

    return (
        row["Name"],
        told("CPUPerc", _percent),
        f"{told('Memory', size)} / {told('MemoryLimit', size)}",
        told("MemPerc", _percent),
        f"{told('NetReceived', size)} / {told('NetSent', size)}",
        f"{told('BlockRead', size)} / {told('BlockWritten', size)}",
        told("PIDs", str),
    )


def _percent(share: float) -> str:
    return f"{share:.2f}%"
