"""``pyorch logs``."""

import argparse
import sys
from collections.abc import Mapping

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import COLOURS, colours_wanted, safe
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument(
        "-n", "--tail", default="all", type=_count, metavar="N", help="only the last N lines"
    )
    parser.add_argument("-t", "--timestamps", action="store_true", help="when, too")
    parser.add_argument("--no-color", action="store_true", help="no colours")
    parser.add_argument("--no-log-prefix", action="store_true", help="lines as they were written")


def run(args: argparse.Namespace) -> int:
    """Print lines, oldest first."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    query = {"tail": args.tail, "service": args.services, "follow": "1" if args.follow else "0"}
    print_logs(
        client,
        name,
        query,
        prefix=not args.no_log_prefix,
        colour=not args.no_color,
        timestamps=args.timestamps,
    )
    return 0


def _count(given: str) -> str:
    if given != "all" and not (given.isascii() and given.isdigit()):
        raise argparse.ArgumentTypeError(f"`{given}` is no number of lines, and not `all`")
    return given


def print_logs(
    client: Client,
    stack: str,
    query: Mapping[str, object],
    *,
    prefix: bool,
    colour: bool,
    timestamps: bool = False,
) -> None:
    """Print a stack's log stream until it ends."""
    coloured = colour and colours_wanted()
    terminal = sys.stdout.isatty()
    seen: dict[str, str] = {}
    for line in client.stream("GET", f"/v1/stacks/{stack}/logs", query):
        replica = line["replica"].replace(".", "-")
        paint = seen.setdefault(replica, COLOURS[len(seen) % len(COLOURS)])
        head = f"{replica:<12} | " if prefix else ""
        if coloured and head:
            head = f"\x1b[{paint}m{head}\x1b[0m"
        at = f"{line['at']} " if timestamps else ""
        text = safe(line["line"]) if terminal else line["line"]
        sys.stdout.write(f"{head}{at}{text}\n")
        sys.stdout.flush()
