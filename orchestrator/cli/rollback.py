"""``pyorch rollback``."""

import argparse

from orchestrator.cli.following import follow_until_settled
from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument(
        "generation", nargs="?", type=int, metavar="N", help="else the last that was different"
    )
    parser.add_argument("--wait", action="store_true", help="return when everything is healthy")
    parser.add_argument("--wait-timeout", type=float, metavar="S", help="give up after S seconds")


def run(args: argparse.Namespace) -> int:
    """Have a generation wanted again, and follow until it is so."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    applied = client.post(f"/v1/stacks/{name}/rollback", {"generation": args.generation})
    if not applied["changed"]:
        say(f"stack `{name}` is as generation {args.generation} says already")
    follow_until_settled(
        client, name, applied["generation"], wait=args.wait, timeout=args.wait_timeout
    )
    return 0
