"""``pyorch cron``: what runs by the clock, how its runs went, and running it now."""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from orchestrator.cli.following import follow_until
from orchestrator.cli.loading import stack_name
from orchestrator.cli.logs import print_logs
from orchestrator.cli.render import say, table
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

BEFORE = 1.0
"""Seconds a run's log begins earlier, and ends later: two clocks tell when."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("ls", help="list what runs by the clock, and when next")
    listing.add_argument("-a", "--all", action="store_true", help="of every stack")
    listing.add_argument("--format", choices=["table", "json"], default="table")
    past = verbs.add_parser("history", help="list the runs of a service, the newest first")
    past.add_argument("service", metavar="SERVICE")
    past.add_argument("--format", choices=["table", "json"], default="table")
    running = verbs.add_parser("run", help="run a service now")
    running.add_argument("service", metavar="SERVICE")
    running.add_argument("-d", "--detach", action="store_true", help="do not wait for its end")
    logs = verbs.add_parser("logs", help="print what a run has printed; the last one's")
    logs.add_argument("service", metavar="SERVICE")
    logs.add_argument("run", nargs="?", type=int, metavar="RUN")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    client = connect(Settings.from_environ())
    match args.verb:
        case "ls":
            _list(args, client)
        case "history":
            _history(args, _one(client, stack_name(args), args.service)["runs"])
        case "run":
            return _run(args, client, stack_name(args))
        case _:
            _logs(args, client, stack_name(args))
    return 0


def _schedules(client: Client, stack: str) -> list[dict[str, Any]]:
    return list(client.get(f"/v1/stacks/{stack}/schedules"))


def _one(client: Client, stack: str, service: str) -> dict[str, Any]:
    found = _schedules(client, stack)
    for one in found:
        if one["service"] == service:
            return one
    known = ", ".join(one["service"] for one in found) or "none"
    raise PyorchError(
        f"service `{service}` of stack `{stack}` has no schedule",
        hint=f"those that have one: {known}; `x-pyorch.schedule` gives it one",
    )


def _list(args: argparse.Namespace, client: Client) -> None:
    stacks = [one["name"] for one in client.get("/v1/stacks")] if args.all else [stack_name(args)]
    found = [one for stack in stacks for one in _schedules(client, stack)]
    if args.format == "json":
        sys.stdout.write("".join(json.dumps(one) + "\n" for one in found))
        return
    rows = [
        (
            one["stack"],
            one["service"],
            one["cron"],
            one["zone"],
            _moment(one["next_wall"]) if one["next_wall"] else "is stopped",
            _last(one["runs"]),
        )
        for one in found
    ]
    sys.stdout.write(table(("STACK", "SERVICE", "CRON", "ZONE", "NEXT", "LAST"), rows) + "\n")


def _history(args: argparse.Namespace, runs: Iterable[dict[str, Any]]) -> None:
    if args.format == "json":
        sys.stdout.write("".join(json.dumps(one) + "\n" for one in runs))
        return
    rows = [
        (
            str(one["number"]),
            _moment(one["due_wall"]),
            "by hand" if one["origin"] == "hand" else "",
            one["state"],
            "" if one["code"] is None else str(one["code"]),
            _took(one),
            one["reason"],
        )
        for one in runs
    ]
    head = ("RUN", "DUE", "FROM", "STATE", "CODE", "TOOK", "WHY")
    sys.stdout.write(table(head, rows) + "\n")


def _run(args: argparse.Namespace, client: Client, stack: str) -> int:
    service = args.service
    number = client.post(f"/v1/stacks/{stack}/schedules/{service}/runs")["number"]
    if args.detach:
        sys.stdout.write(f"{number}\n")
        return 0
    last: dict[str, Any] = {}

    def is_over(state: dict[str, Any]) -> bool:
        del state
        runs = _one(client, stack, service)["runs"]
        last.update(next(one for one in runs if one["number"] == number))
        return last["state"] not in ("waiting", "running")

    follow_until(client, stack, is_over, (service,))
    code = "" if last["code"] is None else f" with {last['code']}"
    say(f" Run {number} of {service} {last['state']}{code}")
    return 0 if last["state"] == "succeeded" else 1


def _logs(args: argparse.Namespace, client: Client, stack: str) -> None:
    runs = [one for one in _one(client, stack, args.service)["runs"] if one["began_wall"]]
    if args.run is not None:
        runs = [one for one in runs if one["number"] == args.run]
    if not runs:
        which = "has not run yet" if args.run is None else f"has no run {args.run}"
        raise PyorchError(
            f"`{args.service}` {which}", hint=f"see `pyorch cron history {args.service}`"
        )
    one = runs[0]
    query: dict[str, object] = {
        "service": [args.service],
        "since": f"{one['began_wall'] - BEFORE:.6f}",
    }
    if one["ended_wall"]:
        query["until"] = f"{one['ended_wall'] + BEFORE:.6f}"
    print_logs(client, stack, query, prefix=False, colour=True)


def _moment(wall: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))


def _last(runs: list[dict[str, Any]]) -> str:
    for one in runs:
        if one["began_wall"] or one["count"] > 1:
            return f"{one['state']} {_moment(one['due_wall'])}"
    return ""


def _took(one: dict[str, Any]) -> str:
    if not one["began_wall"]:
        return ""
    return f"{(one['ended_wall'] or time.time()) - one['began_wall']:.1f} s"
