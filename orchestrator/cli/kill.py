"""``pyorch kill``."""

import argparse

from orchestrator.cli.selecting import add_services, are_at_rest, ask

KILLS = ("SIGKILL", "KILL", "9")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    add_services(parser)
    parser.add_argument(
        "-s", "--signal", default="SIGKILL", metavar="SIG", help="another than SIGKILL"
    )


def run(args: argparse.Namespace) -> int:
    """Send a signal to what runs; after SIGKILL it stays down until `start` or `up`."""
    kills = args.signal.upper() in KILLS
    until = are_at_rest if kills else lambda _state, _services: True
    ask(args, "kill", {"signal": args.signal}, until=until)
    return 0
