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

ALIVE = ("running", "stopping", "restarting", "paused")
STATES = (*ALIVE, "created", "exited")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE")
    parser.add_argument("-a", "--all", action="store_true", help="those that do not run, too")
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    parser.add_argument(
        "--services", action="store_true", dest="names", help="names of services only"
    )
    parser.add_argument(
        "--status",
        action="append",
        default=[],
        choices=STATES,
        metavar="STATE",
        help=", ".join(STATES),
    )
    parser.add_argument(
        "--filter", action="append", default=[], metavar="status=STATE", help="as --status has it"
    )
    parser.add_argument("--no-trunc", action="store_true", help="commands in full")
    # Those are shown as long as they are there: for scripts that ask for it.
    parser.add_argument("--orphans", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--format", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Print a line a replica."""
    import time

    wanted = {*args.status, *(_status_of(entry) for entry in args.filter)}
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
        if (state(one) in wanted if wanted else args.all or state(one) in ALIVE)
        and (not one["one_off"] or args.all)
        and (not args.services or (one["one_off"] or one["service"]) in args.services)
    ]
    if args.names:
        names = dict.fromkeys(one["one_off"] or one["service"] for one in shown)
        lines = "".join(f"{one}\n" for one in names)
    elif args.quiet:
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
                f'"{one["command"]}"' if args.no_trunc else _short(one["command"]),
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


def _status_of(entry: str) -> str:
    key, _, value = entry.partition("=")
    if key != "status" or value not in STATES:
        hint = f"write status= and one of {', '.join(STATES)}"
        raise PyorchError(f"--filter: `{entry}` is no filter", hint=hint)
    return value


def _ports(replica: Mapping[str, Any]) -> str:
    return ", ".join(replica["ports"]) if replica["phase"] == "running" else ""


def _short(command: str) -> str:
    return f'"{command}"' if len(command) <= 24 else f'"{command[:22]}…"'
