"""``pyorch volumes``: those of one stack."""

import argparse

from orchestrator.cli.loading import stack_name
from orchestrator.cli.volume import show
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    parser.add_argument("--format", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Print a line a volume the stack names."""
    name = stack_name(args)
    found = connect(Settings.from_environ()).get("/v1/volumes")
    show(args, [one for one in found if name in (one["stack"], *one["users"])])
    return 0
