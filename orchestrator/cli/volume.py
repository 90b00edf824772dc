"""``pyorch volume``: what is kept, whose it is, and taking it away."""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.cli.named import add_listing, inspect, remove_each, show
from orchestrator.cli.render import ago
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("ls", help="list volumes")
    listing.add_argument("--unused", action="store_true", help="those no stack names")
    add_listing(listing)
    showing = verbs.add_parser("inspect", help="print everything about volumes, as JSON")
    showing.add_argument("names", nargs="+", metavar="NAME")
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
            show_volumes(args, [one for one in found if not (args.unused and one["users"])])
        case "inspect":
            inspect(client, "volumes", args.names)
        case "create":
            pairs = [entry.partition("=") for entry in args.label]
            labels = {key: value for key, _, value in pairs}
            client.put(f"/v1/volumes/{args.name}", {"labels": labels})
            sys.stdout.write(f"{args.name}\n")
        case _:
            return remove_each(client, "volumes", args.names, force=args.force)
    return 0


def show_volumes(args: argparse.Namespace, volumes: Iterable[dict[str, Any]]) -> None:
    """Print volumes the way that was asked for."""
    show(args, volumes, ("NAME", "STACK", "USED BY", "CREATED"), _row)


def _row(volume: dict[str, Any]) -> Sequence[str]:
    return (
        volume["name"],
        volume["stack"],
        ", ".join(volume["users"]),
        f"{ago(time.time() - volume['created_wall'])} ago",
    )
