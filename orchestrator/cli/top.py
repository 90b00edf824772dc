"""``pyorch top``."""

import argparse
import pwd
import sys
import time
from typing import Any

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import table
from orchestrator.client.launch import connect
from orchestrator.settings import Settings

HEAD = ("SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
DAY = 86400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="else all of the stack")
    parser.add_argument("--format", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Print the processes of what runs."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    found = client.get(f"/v1/stacks/{name}/processes", {"service": args.services})
    if args.format == "json":
        import json

        for one in found:
            sys.stdout.write(json.dumps(one) + "\n")
        return 0
    rows = [
        (one["service"], one["container"].rpartition("-")[2], *_row(process))
        for one in found
        for process in one["processes"]
    ]
    sys.stdout.write(table(HEAD, rows) + "\n")
    return 0


def _row(process: dict[str, Any]) -> tuple[str, ...]:
    alive = max(time.clock_gettime(time.CLOCK_BOOTTIME) - process["started"], 0.01)
    used = int(process["cpu"])
    return (
        _user(process["uid"]),
        str(process["pid"]),
        str(process["parent"]),
        str(min(int(process["cpu"] / alive * 100), 99)),
        time.strftime("%H:%M" if alive < DAY else "%b%d", time.localtime(time.time() - alive)),
        "pts" if process["terminal"] else "?",
        f"{used // 3600:02}:{used // 60 % 60:02}:{used % 60:02}",
        process["command"],
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
