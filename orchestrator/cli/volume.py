"""``pyorch volume``: what is kept, whose it is, and taking it away."""

import argparse
import json
import sys
import time
from typing import Any

from orchestrator.cli.removing import remove_each
from orchestrator.cli.render import ago, table
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("ls", help="list volumes")
    listing.add_argument("-q", "--quiet", action="store_true", help="names only")
    listing.add_argument("--unused", action="store_true", help="those no stack names")
    listing.add_argument("--format", choices=["table", "json"], default="table")
    inspect = verbs.add_parser("inspect", help="print everything about volumes, as JSON")
    inspect.add_argument("names", nargs="+", metavar="NAME")
    create = verbs.add_parser("create", help="make an empty volume, for `external: true`")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--label", action="append", default=[], metavar="K=V")
    removal = verbs.add_parser("rm", help="delete volumes that no stack names, with their data")
    removal.add_argument("names", nargs="+", metavar="NAME")
    removal.add_argument("-f", "--force", action="store_true", help="no error for one not there")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    client = connect(Settings.from_environ())
    match args.verb:
        case "ls":
            found = client.get("/v1/volumes")
            show(args, [one for one in found if not (args.unused and one["users"])])
        case "inspect":
            found = [client.get(f"/v1/volumes/{name}") for name in args.names]
            sys.stdout.write(json.dumps(found, indent=2) + "\n")
        case "create":
            pairs = [entry.partition("=") for entry in args.label]
            labels = {key: value for key, _, value in pairs}
            client.put(f"/v1/volumes/{args.name}", {"labels": labels})
            sys.stdout.write(f"{args.name}\n")
        case _:
            return remove_each(client, "volumes", args.names, force=args.force)
    return 0


def show(args: argparse.Namespace, volumes: list[dict[str, Any]]) -> None:
    """Print volumes the way that was asked for."""
    if args.quiet:
        sys.stdout.write("".join(f"{one['name']}\n" for one in volumes))
    elif args.format == "json":
        sys.stdout.write("".join(json.dumps(one) + "\n" for one in volumes))
    else:
        rows = [
            (
                one["name"],
                one["stack"],
                ", ".join(one["users"]),
                f"{ago(time.time() - one['created_wall'])} ago",
            )
            for one in volumes
        ]
        sys.stdout.write(table(("NAME", "STACK", "USED BY", "CREATED"), rows) + "\n")
