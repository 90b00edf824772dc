"""``pyorch ps``."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import ago, state, status, table
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE")
    parser.add_argument("-a", "--all", action="store_true", help="those that do not run, too")
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    parser.add_argument("--format", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Print a line a replica."""
    import time

    name = stack_name(args)
    client = connect(Settings.from_environ())
    try:
        query = {"service": args.services, "labels": "1" if args.format == "json" else "0"}
        replicas = client.get(f"/v1/stacks/{name}", query)["replicas"]
    except PyorchError as error:
        if error.code != "not_found":
            raise
        replicas = []
    shown = [
        one
        for one in replicas
        if (args.all or state(one) in ("running", "stopping", "restarting", "paused"))
        and (not one["one_off"] or args.all)
        and (not args.services or (one["one_off"] or one["service"]) in args.services)
    ]
    if args.quiet:
        lines = "".join(f"{one['container']}\n" for one in shown)
    elif args.format == "json":
        lines = "".join(
            json.dumps(
                {
                    "Name": one["container"],
                    "Project": name,
                    "Service": one["one_off"] or one["service"],
                    "Image": one["image"],
                    "Command": one["command"],
                    "State": state(one),
                    "Status": status(one),
                    "Health": "" if one["health"] == "none" else one["health"],
                    "Probes": one["probes"],
                    "ExitCode": one["exit_code"] or 0,
                    "OOMKilled": one["oom"],
                    "Restarts": one["restarts"],
                    "CrashLoop": one["crash_loop"],
                    "GivenUp": one["given_up"],
                    "LastExitCodes": one["last_codes"],
                    "Ports": _ports(one),
                    "Addresses": one["addresses"],
                    "Forwarding": one["forwarding"],
                    "Labels": ",".join(f"{key}={text}" for key, text in one["labels"].items()),
                }
            )
            + "\n"
            for one in shown
        )
    else:
        head = ("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS")
        rows = [
            (
                one["container"],
                one["image"],
                _short(one["command"]),
                one["one_off"] or one["service"],
                f"{ago(time.time() - one['created_wall'])} ago",
                status(one),
                _ports(one),
            )
            for one in shown
        ]
        lines = table(head, rows) + "\n"
    sys.stdout.write(lines)
    return 0


def _ports(replica: Mapping[str, Any]) -> str:
    return ", ".join(replica["ports"]) if replica["phase"] == "running" else ""


def _short(command: str) -> str:
    return f'"{command}"' if len(command) <= 24 else f'"{command[:22]}…"'
