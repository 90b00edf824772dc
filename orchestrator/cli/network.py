"""``pyorch network``: what networks there are, who is in them, and taking them away."""

import argparse
import json
import sys
from typing import Any

from orchestrator.cli.removing import remove_each
from orchestrator.cli.render import say, table
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("ls", help="list networks")
    listing.add_argument("-q", "--quiet", action="store_true", help="names only")
    listing.add_argument("--format", choices=["table", "json"], default="table")
    inspect = verbs.add_parser("inspect", help="print everything about networks, as JSON")
    inspect.add_argument("names", nargs="+", metavar="NAME")
    removal = verbs.add_parser("rm", help="take away networks that no stack names")
    removal.add_argument("names", nargs="+", metavar="NAME")
    removal.add_argument("-f", "--force", action="store_true", help="no error for one not there")
    verbs.add_parser("prune", help="take away every network that no stack names")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    client = connect(Settings.from_environ())
    match args.verb:
        case "ls":
            _list(args, client.get("/v1/networks"))
        case "inspect":
            found = [client.get(f"/v1/networks/{name}") for name in args.names]
            sys.stdout.write(json.dumps(found, indent=2) + "\n")
        case "prune":
            for name in client.post("/v1/networks/prune")["removed"]:
                say(f"removed {name}")
        case _:
            return remove_each(client, "networks", args.names, force=args.force)
    return 0


def _list(args: argparse.Namespace, networks: list[dict[str, Any]]) -> None:
    if args.quiet:
        sys.stdout.write("".join(f"{one['name']}\n" for one in networks))
    elif args.format == "json":
        sys.stdout.write("".join(json.dumps(one) + "\n" for one in networks))
    else:
        rows = [
            (
                one["name"],
                one["stack"],
                one["subnet"],
                "yes" if one["internal"] else "",
                str(len(one["containers"])),
            )
            for one in networks
        ]
        sys.stdout.write(table(("NAME", "STACK", "SUBNET", "INTERNAL", "CONTAINERS"), rows) + "\n")
