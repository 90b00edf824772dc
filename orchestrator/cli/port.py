"""``pyorch port``."""

import argparse
import sys

from orchestrator.cli.loading import stack_name
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("port", type=int, metavar="PORT", help="the container's")
    parser.add_argument("--protocol", default="tcp", choices=["tcp", "udp", "sctp"])
    parser.add_argument("--index", type=int, metavar="N", help="which replica, else the first")


def run(args: argparse.Namespace) -> int:
    """Print the addresses a port is published at, one a line."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    state = client.get(f"/v1/stacks/{name}", {"service": [args.service]})
    replicas = state["replicas"]
    wanted = f"->{args.port}/{args.protocol}"
    of_service = [one for one in replicas if one["service"] == args.service]
    chosen = [one for one in of_service if args.index in (None, one["slot"])][:1]
    found = [port for one in chosen for port in one["ports"] if port.endswith(wanted)]
    if not found:
        hint = "add it to the file's `ports`"
        if published := ", ".join(chosen[0]["ports"]) if chosen else "":
            hint = f"published are {published}"
        elif waits := [held["reason"] for held in state["held"] if held["subject"] == args.service]:
            hint = f"`{args.service}` waits: {'; '.join(waits)}"
        raise PyorchError(
            f"port {args.port}/{args.protocol} of `{args.service}` is not published", hint=hint
        )
    sys.stdout.write("".join(f"{port.removesuffix(wanted)}\n" for port in found))
    return 0
