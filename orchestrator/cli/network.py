"""``pyorch network``: what networks there are, who is in them, and taking them away."""

import argparse
from collections.abc import Sequence
from typing import Any

from orchestrator.cli.named import add_listing, inspect, remove_each, show
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.settings import Settings

HEADERS = ("NAME", "STACK", "SUBNET", "INTERNAL", "CONTAINERS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    add_listing(verbs.add_parser("ls", help="list networks"))
    showing = verbs.add_parser("inspect", help="print everything about networks, as JSON")
    showing.add_argument("names", nargs="+", metavar="NAME")
    removal = verbs.add_parser("rm", help="take away networks that no stack names")
    removal.add_argument("names", nargs="+", metavar="NAME")
    removal.add_argument("-f", "--force", action="store_true", help="no error for one not there")
    verbs.add_parser("prune", help="take away every network that no stack names")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    client = connect(Settings.from_environ())
    match args.verb:
        case "ls":
            show(args, client.get("/v1/networks"), HEADERS, _row)
        case "inspect":
            inspect(client, "networks", args.names)
        case "prune":
            for name in client.post("/v1/networks/prune")["removed"]:
                say(f"removed {name}")
        case _:
            return remove_each(client, "networks", args.names, force=args.force)
    return 0


def _row(network: dict[str, Any]) -> Sequence[str]:
    return (
        network["name"],
        network["stack"],
        network["subnet"],
        "yes" if network["internal"] else "",
        str(len(network["containers"])),
    )
