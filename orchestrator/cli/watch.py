"""``pyorch watch``."""

import argparse

from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("--no-up", action="store_true", help="begin with the next change")
    parser.add_argument("--quiet", action="store_true", help="do not show how images are made")
    parser.set_defaults(build=False, no_build=False, pull=None)


def run(args: argparse.Namespace) -> int:
    """Follow the files until somebody ends it; the stack goes on."""
    # Loads what no other command of the client needs.
    from orchestrator.cli.watching import Follower

    args.quiet_build = args.quiet_pull = args.quiet
    follower = Follower(args=args, client=connect(Settings.from_environ()))
    follower.look(send=not args.no_up)
    follower.follow()
    return 0
