"""``pyorch logs``."""

import argparse
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.cli.loading import stack_name
from orchestrator.cli.moments import parse_moment
from orchestrator.cli.render import COLOURS, colours_wanted, say, size
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.settings import Settings

COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
"""The one escape sequence that cannot move, hide or answer anything for longer than a line."""
RESET = "\x1b[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument(
        "-n", "--tail", default="all", type=_count, metavar="N", help="only the last N lines"
    )
    parser.add_argument("--since", metavar="WHEN", help="not what is older: a time, or 10m")
    parser.add_argument("--until", metavar="WHEN", help="not what is newer: a time, or 10m")
    parser.add_argument("--index", type=_index, metavar="N", help="only of replica N")
    parser.add_argument(
        "--previous", action="store_true", help="only of the run before the last one"
    )
    parser.add_argument("-t", "--timestamps", action="store_true", help="when, too")
    parser.add_argument("--no-color", action="store_true", help="no colours")
    parser.add_argument("--no-log-prefix", action="store_true", help="lines as they were written")
    parser.add_argument(
        "--raw", action="store_true", help="leave control characters to the terminal"
    )


def run(args: argparse.Namespace) -> int:
    """Print lines, oldest first."""
    name = stack_name(args)
    now = time.time()
    query: dict[str, object] = {"tail": args.tail, "service": args.services}
    for option in ("since", "until"):
        if given := getattr(args, option):
            query[option] = parse_moment(f"--{option}", given, now=now)
    if args.index is not None:
        query["index"] = args.index
    for flag in ("follow", "previous"):
        if getattr(args, flag):
            query[flag] = "1"
    print_logs(
        connect(Settings.from_environ()),
        name,
        query,
        prefix=not args.no_log_prefix,
        colour=not args.no_color,
        timestamps=args.timestamps,
        raw=args.raw,
    )
    return 0


def _count(given: str) -> str:
    if given != "all" and not (given.isascii() and given.isdigit()):
        raise argparse.ArgumentTypeError(f"`{given}` is no number of lines, and not `all`")
    return given


def _index(given: str) -> int:
    if not (given.isascii() and given.isdigit()):
        raise argparse.ArgumentTypeError(f"`{given}` is no number of a replica")
    return int(given)


def print_logs(
    client: Client,
    stack: str,
    query: Mapping[str, object],
    *,
    prefix: bool,
    colour: bool,
    timestamps: bool = False,
    raw: bool = False,
) -> None:
    """Print a stack's log stream until it ends.

    Lines come out byte for byte, but to a terminal, where they can do nothing but be read.
    """
    out = sys.stdout.buffer
    terminal = sys.stdout.isatty()
    coloured = colour and colours_wanted()
    following = query.get("follow") == "1"
    paints: dict[str, str] = {}
    for entry in client.stream("GET", f"/v1/stacks/{stack}/logs", query):
        replica = entry["replica"].replace(".", "-")
        if "unlogged" in entry:
            say(f"{replica}: the driver `none` keeps nothing to show")
            continue
        if "lost" in entry:
            sys.stdout.flush()
            lost = entry["lost"]
            say(f"{replica}: about {size(lost['bytes'])} of output lost: {lost['why']}")
            continue
        paint = paints.setdefault(replica, COLOURS[len(paints) % len(COLOURS)])
        head = f"{replica:<12} | " if prefix else ""
        if coloured and head:
            head = f"\x1b[{paint}m{head}{RESET}"
        if timestamps:
            head += f"{entry['at']} "
        if terminal and not raw:
            text = tame(entry["line"], colours=coloured).encode()
        else:
            text = _bytes(entry)
        out.write(head.encode() + text + b"\n")
        if following:
            out.flush()


def tame(text: str, *, colours: bool) -> str:
    """Return a line that can do nothing to a terminal; its colours may stay, to its end."""
    # Programs that believe to be on a terminal end their lines with both.
    parts = COLOUR.split(text.removesuffix("\r"))
    kept = [
        (part if colours else "") if number % 2 else "".join(map(_seen, part))
        for number, part in enumerate(parts)
    ]
    return "".join(kept) + (RESET if colours and len(parts) > 1 else "")


def _seen(mark: str) -> str:
    return mark if mark.isprintable() or mark == "\t" else repr(mark)[1:-1]


def is_line(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of the stream of logs is a line, and not a remark about them."""
    return "raw" in entry or "line" in entry


def text_of(entry: Mapping[str, Any]) -> str:
    """Return a line as text; what is no UTF-8 is shown as it can be."""
    return _bytes(entry).decode(errors="replace")


def _bytes(entry: Mapping[str, Any]) -> bytes:
    if "raw" in entry:
        import base64

        return base64.b64decode(entry["raw"])
    return str(entry["line"]).encode()
