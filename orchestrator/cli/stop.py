"""``pyorch stop``."""

import argparse

from orchestrator.cli.selecting import add_services, add_timeout, are_at_rest, ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    add_services(parser)
    add_timeout(parser)


def run(args: argparse.Namespace) -> int:
    """Have services stopped; they stay so until `start` or `up`."""
    ask(args, "stop", until=are_at_rest)
    return 0
