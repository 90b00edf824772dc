"""``pyorch create``."""

import argparse

from orchestrator.cli import up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments: those of `up` that are about making containers."""
    up.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make containers and start none."""
    args.no_start = True
    return up.run(args)
