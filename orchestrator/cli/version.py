"""``pyorch version``."""

import argparse
import json
import sys

from orchestrator import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("--short", action="store_true", help="the number only")
    # `-f` is FORMAT here, as people know it, and no stack file.
    parser.add_argument("-f", "--format", choices=["pretty", "json"], default="pretty")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    if args.format == "json":
        sys.stdout.write(json.dumps({"version": __version__}) + "\n")
        return 0
    sys.stdout.write(f"{__version__}\n" if args.short else f"pyorch version {__version__}\n")
    return 0
