"""``pyorch pull``."""

import argparse

from orchestrator.cli.exchanging import exchange, tell, wanted_images
from orchestrator.cli.obtaining import is_here
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.settings import Settings

NEVER = ("never", "build")
"""Pull policies of images that no registry is asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="else all of the stack")
    parser.add_argument("--policy", choices=["missing", "always"], default="always")
    parser.add_argument("--include-deps", action="store_true", help="what they depend on, too")
    parser.add_argument(
        "--ignore-buildable", action="store_true", help="not those that can be built"
    )
    parser.add_argument(
        "--ignore-pull-failures", action="store_true", help="go on, and count it as success"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")


def run(args: argparse.Namespace) -> int:
    """Fetch the images of services; return 1 where one cannot be had, else 0."""
    found = wanted_images(args, dependencies=args.include_deps)
    wanted = tuple(one for one in found if one.policy not in NEVER)
    client = connect(Settings.from_environ())
    if args.policy == "missing":
        wanted = tuple(one for one in wanted if not is_here(client, one.image))
    if args.ignore_buildable:
        wanted = tuple(one for one in wanted if not one.builds)
    failed = exchange(client, "pull", wanted, quiet=args.quiet)
    built = {one: error for one, error in failed.items() if one.builds}
    for item, error in built.items():
        say(f"warning: services.{item.service}: {error}; `pyorch build` makes it")
    lost = {one: error for one, error in failed.items() if not one.builds}
    tell(lost)
    return 1 if lost and not args.ignore_pull_failures else 0
