"""``pyorch version``."""

import argparse
import sys

from orchestrator import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("--short", action="store_true", help="the number only")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    sys.stdout.write(f"{__version__}\n" if args.short else f"pyorch version {__version__}\n")
    return 0
