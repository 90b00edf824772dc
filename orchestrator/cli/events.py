"""``pyorch events``."""

import argparse
import json
import sys
import time
from typing import Any

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import safe
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only what is about these")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as more happens")
    parser.add_argument("-n", "--tail", type=int, metavar="N", help="only the last N")
    parser.add_argument("--since", metavar="AGE", help="only what is not older, as 90s, 10m, 2h")
    parser.add_argument("--format", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """Print a line for everything that happened, the oldest first."""
    name = stack_name(args)
    query: dict[str, Any] = {"service": args.services, "follow": str(int(args.follow))}
    if args.tail is not None:
        query["tail"] = str(max(args.tail, 0))
    if args.since is not None:
        query["since"] = str(time.time() - _age(args.since))
    client = connect(Settings.from_environ())
    for event in client.stream("GET", f"/v1/stacks/{name}/chronicle", query):
        line = json.dumps(event) if args.format == "json" else line_of(event)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 0


def line_of(event: dict[str, Any]) -> str:
    """Return a fact as a person reads it."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["at_wall"]))
    subject = event["subject"] or "the stack"
    reason = f": {event['reason']}" if event["reason"] else ""
    return f"{moment}  {safe(subject)}  {event['name']}{safe(reason)}"


def _age(text: str) -> float:
    number, unit = (text[:-1], text[-1:]) if text[-1:] in UNITS else (text, "s")
    try:
        age = float(number) * UNITS[unit]
    except ValueError:
        age = -1.0
    if not 0 <= age < float("inf"):
        raise PyorchError(f"--since: `{safe(text)}` is no age", hint="write 90s, 10m, 2h or 7d")
    return age
