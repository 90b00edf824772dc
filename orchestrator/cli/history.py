"""``pyorch history``."""

import argparse
import json
import pwd
import sys
import time

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import ago, table
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("-q", "--quiet", action="store_true", help="numbers only")
    parser.add_argument("--format", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Print a line a generation, the newest first."""
    name = stack_name(args)
    found = connect(Settings.from_environ()).get(f"/v1/stacks/{name}/generations")
    if args.quiet:
        sys.stdout.write("".join(f"{one['number']}\n" for one in found))
    elif args.format == "json":
        sys.stdout.write("".join(json.dumps(one) + "\n" for one in found))
    else:
        rows = [
            (
                f"{one['number']}{' *' if one['present'] else ''}",
                f"{ago(time.time() - one['accepted_wall'])} ago",
                _user(one["accepted_uid"]),
                one["origin"] or "up",
                one["changed"],
            )
            for one in found
        ]
        head = ("GENERATION", "ACCEPTED", "BY", "FROM", "CHANGED")
        sys.stdout.write(table(head, rows) + "\n")
    return 0


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)
