"""``pyorch pause``."""

import argparse

from orchestrator.cli.selecting import add_services, are_paused, ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    add_services(parser)
    parser.epilog = "example: pyorch pause web; `pyorch unpause web` has it go on"


def run(args: argparse.Namespace) -> int:
    """Have what runs of services stand still; it is so until `unpause`, or until it stops."""
    ask(args, "pause", until=are_paused)
    return 0
