"""``pyorch restart``."""

import argparse

from orchestrator.cli.selecting import add_services, add_timeout, ask, have_started


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    add_services(parser)
    add_timeout(parser)
    parser.add_argument("--no-deps", action="store_true", help="not what is to restart with them")


def run(args: argparse.Namespace) -> int:
    """Have the same containers end and begin anew; what the file says now is not looked at."""
    query = {"no_deps": "1"} if args.no_deps else {}
    ask(args, "restart", query, until=have_started)
    return 0
