"""``pyorch ls``."""

import argparse
import json
import sys
from collections import Counter

from orchestrator.cli.render import table
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    parser.add_argument("--format", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Print a line a stack."""
    stacks = connect(Settings.from_environ()).get("/v1/stacks")
    rows = []
    for stack in stacks:
        phases = Counter(replica["phase"] for replica in stack["replicas"])
        words = ", ".join(f"{phase}({count})" for phase, count in sorted(phases.items()))
        rows.append((stack["name"], words, str(stack["generation"])))
    if args.quiet:
        sys.stdout.write("".join(f"{name}\n" for name, *_ in rows))
    elif args.format == "json":
        found = [{"Name": name, "Status": words} for name, words, _ in rows]
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.write(table(("NAME", "STATUS", "GENERATION"), rows) + "\n")
    return 0
