"""``pyorch ls``."""

import argparse
import json
import sys
from collections import Counter

from orchestrator.cli.render import table
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    # None is left out in any case: for scripts that ask for it.
    parser.add_argument("-a", "--all", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--filter", action="append", default=[], metavar="name=TEXT", help="whose name holds it"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    parser.add_argument("--format", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Print a line a stack."""
    texts = [_text_of(entry) for entry in args.filter]
    stacks = connect(Settings.from_environ()).get("/v1/stacks")
    rows = []
    for stack in stacks:
        if not all(text in stack["name"] for text in texts):
            continue
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


def _text_of(entry: str) -> str:
    key, _, text = entry.partition("=")
    if key != "name":
        raise PyorchError(f"--filter: `{entry}` is no filter", hint="write name=TEXT")
    return text
