"""``pyorch push``."""

import argparse

from orchestrator.cli.exchanging import exchange, tell, wanted_images
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="else all of the stack")
    parser.add_argument("--include-deps", action="store_true", help="what they depend on, too")
    parser.add_argument(
        "--ignore-push-failures", action="store_true", help="go on, and count it as success"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")


def run(args: argparse.Namespace) -> int:
    """Upload the images of services that are built; return 1 where one fails, else 0."""
    found = wanted_images(args, dependencies=args.include_deps)
    wanted = tuple(one for one in found if one.builds)
    if not wanted:
        say("there is nothing to push: no service has a `build`")
        return 0
    failed = exchange(connect(Settings.from_environ()), "push", wanted, quiet=args.quiet)
    tell(failed)
    return 1 if failed and not args.ignore_push_failures else 0
