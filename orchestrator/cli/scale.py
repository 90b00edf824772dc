"""``pyorch scale``."""

import argparse

from orchestrator.cli.following import follow_until_settled
from orchestrator.cli.loading import stack_name
from orchestrator.cli.selecting import scale_of
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("scale", nargs="+", metavar="SERVICE=N", help="so many replicas")
    # Others are never touched: for scripts that ask for it.
    parser.add_argument("--no-deps", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Have as many replicas from now on; the rest of the stack stays as it is."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    applied = client.post(f"/v1/stacks/{name}/scale", {"scale": scale_of(args.scale)})
    follow_until_settled(client, name, applied["generation"], wait=False, timeout=None)
    return 0
