"""``pyorch rollout``: how updates of services go, and who decides what becomes of them."""

import argparse
import json
import sys
import time

from orchestrator.cli.following import follow_until_settled
from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import ago, say, table
from orchestrator.client.launch import connect
from orchestrator.settings import Settings

HEADERS = ("SERVICE", "STATE", "GENERATION", "BEFORE", "CHANGED", "REASON")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    status = verbs.add_parser("status", help="list the last update of every service")
    status.add_argument("--format", choices=["table", "json"], default="table")
    pause = verbs.add_parser("pause", help="replace no further replicas")
    resume = verbs.add_parser("resume", help="have updates that are paused go on")
    for one in (pause, resume):
        one.add_argument("services", nargs="*", metavar="SERVICE", help="else all of them")
    resume.add_argument("--wait", action="store_true", help="return when everything is healthy")
    resume.add_argument("--wait-timeout", type=float, metavar="S", help="give up after S seconds")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    if args.verb == "status":
        _print(client.get(f"/v1/stacks/{name}")["updates"], args.format)
        return 0
    asked = {"services": args.services}
    found = client.post(f"/v1/stacks/{name}/rollout/{args.verb}", asked)["services"]
    if not found:
        what = "goes on" if args.verb == "pause" else "is paused"
        say(f"no update of stack `{name}` {what}")
    elif args.verb == "resume" and args.wait:
        generation = client.get(f"/v1/stacks/{name}")["generation"]
        follow_until_settled(client, name, generation, wait=True, timeout=args.wait_timeout)
    return 0


def _print(updates: list[dict[str, object]], form: str) -> None:
    if form == "json":
        sys.stdout.write("".join(json.dumps(one) + "\n" for one in updates))
        return
    now = time.time()
    rows = [
        (
            str(one["service"]),
            str(one["state"]),
            str(one["generation"]),
            "" if one["before"] is None else str(one["before"]),
            f"{ago(now - float(str(one['changed_wall'])))} ago",
            str(one["reason"]),
        )
        for one in updates
    ]
    sys.stdout.write(table(HEADERS, rows) + "\n")
