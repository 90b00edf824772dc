"""``pyorch logout``."""

import argparse

from orchestrator.cli.login import DEFAULT
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("registry", nargs="?", default=DEFAULT)


def run(args: argparse.Namespace) -> int:
    """Have the daemon forget a login; those of other programs stay theirs."""
    client = connect(Settings.from_environ())
    was = client.post("/v1/registries/logout", {"registry": args.registry})["was_logged_in"]
    say(f"logged out of {args.registry}" if was else f"there was no login for {args.registry}")
    return 0
