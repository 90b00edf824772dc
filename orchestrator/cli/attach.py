"""``pyorch attach``."""

import argparse
import sys

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import say
from orchestrator.cli.talking import DETACH_KEYS, parse_keys, resized, talk, terminal_size
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument(
        "--index", type=int, metavar="N", help="which replica; the first one by default"
    )
    parser.add_argument("--no-stdin", action="store_true", help="only listen")
    parser.add_argument(
        "--detach-keys",
        default=DETACH_KEYS,
        metavar="KEYS",
        help=f"keys that leave it to itself ({DETACH_KEYS})",
    )
    parser.add_argument(
        "--sig-proxy",
        type=_truth,
        nargs="?",
        const=True,
        default=True,
        metavar="BOOL",
        help="pass signals on to it (true)",
    )
    parser.epilog = "example: pyorch attach web --sig-proxy=false"


def run(args: argparse.Namespace) -> int:
    """Take part in what runs; return its exit code, or 0 where it goes on alone."""
    keys = parse_keys(args.detach_keys)
    name = stack_name(args)
    client = connect(Settings.from_environ())
    view = client.get(f"/v1/stacks/{name}")
    hears = not args.no_stdin
    has_terminal = any(one["tty"] for one in view["replicas"] if one["service"] == args.service)
    terminal = hears and has_terminal and sys.stdin.isatty() and sys.stdout.isatty()
    query = {"service": args.service}
    if args.index is not None:
        query["index"] = str(args.index)
    channel = client.attach(name, query)
    if terminal:
        channel.sendall(resized(*terminal_size()))
    code = talk(
        channel,
        terminal=terminal,
        hears=hears,
        passes_signals=args.sig_proxy,
        keys=keys if sys.stdin.isatty() else b"",
    )
    if code is None:
        say("\ndetached; it goes on running")
        return 0
    return code


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"`{text}` is neither true nor false")
    return text.lower() in ("true", "1")
