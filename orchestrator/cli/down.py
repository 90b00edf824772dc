"""``pyorch down``."""

import argparse

from orchestrator.cli.following import follow_until_gone
from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument(
        "-v", "--volumes", action="store_true", help="its volumes and their data, too"
    )
    parser.add_argument(
        # All of the stack goes, whatever its file says: for scripts that ask for it.
        "--remove-orphans",
        action="store_true",
        help=argparse.SUPPRESS,
    )
    parser.add_argument("-t", "--timeout", type=float, metavar="S", help="seconds before SIGKILL")


def run(args: argparse.Namespace) -> int:
    """Have the stack removed and follow until nothing is left."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    query = {"volumes": "true" if args.volumes else "false"}
    if args.timeout is not None:
        query["grace"] = str(args.timeout)
    try:
        client.delete(f"/v1/stacks/{name}", query)
    except PyorchError as error:
        if error.code != "not_found":
            raise
        say(f"warning: nothing of stack `{name}` is here")
        return 0
    follow_until_gone(client, name)
    return 0
