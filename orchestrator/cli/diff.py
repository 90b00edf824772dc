"""``pyorch diff``."""

import argparse
import json
import sys

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import safe, say
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("old", nargs="?", type=int, metavar="N", help="else the one before")
    parser.add_argument("new", nargs="?", type=int, metavar="M", help="else the present one")
    parser.add_argument("--format", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """Print what changed from one generation to another, a line a value."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    kept = client.get(f"/v1/stacks/{name}/generations")
    present = next(one["number"] for one in kept if one["present"])
    new = present if args.new is None else args.new
    old = args.old
    if old is None:
        older = [one["number"] for one in kept if one["number"] < new]
        if not older:
            raise PyorchError(
                f"generation {new} of stack `{name}` is the first one kept",
                hint="`pyorch history` lists them",
            )
        old = older[0]
    found = client.get(f"/v1/stacks/{name}/diff", {"old": old, "new": new})
    if args.format == "json":
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif found:
        sys.stdout.write("".join(f"{safe(one['text'])}\n" for one in found))
    else:
        say(f"generations {old} and {new} are the same")
    return 0
