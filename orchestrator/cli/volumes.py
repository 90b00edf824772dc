"""``pyorch volumes``: those of one stack."""

import argparse

from orchestrator.cli.loading import stack_name
from orchestrator.cli.named import add_listing
from orchestrator.cli.volume import show_volumes
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    add_listing(parser)


def run(args: argparse.Namespace) -> int:
    """Print a line a volume the stack names."""
    name = stack_name(args)
    found = connect(Settings.from_environ()).get("/v1/volumes")
    show_volumes(args, [one for one in found if name in (one["stack"], *one["users"])])
    return 0
