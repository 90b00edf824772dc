"""``pyorch start``."""

import argparse

from orchestrator.cli.selecting import add_services, ask, have_started


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    add_services(parser)


def run(args: argparse.Namespace) -> int:
    """Have containers that are there run again, in the order of their dependencies."""
    ask(args, "start", until=have_started)
    return 0
