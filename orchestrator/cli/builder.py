"""``pyorch builder``: what builds keep to be faster the next time."""

import argparse

from orchestrator.cli.render import say, size
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    prune = verbs.add_parser("prune", help="forget every cached step; images stay")
    # Nothing is asked, and there is nothing but all of it: hands type these.
    for flag in ("-a", "--all", "-f", "--force"):
        prune.add_argument(flag, action="store_true", dest="ignored", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    del args
    freed = connect(Settings.from_environ()).post("/v1/builds/prune")
    say(f"{size(freed['size'])} freed")
    return 0
