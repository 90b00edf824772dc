"""``pyorch volume``: what is kept, whose it is, and taking it away."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.cli.named import add_listing, inspect, remove_each, show
from orchestrator.cli.render import ago, say
from orchestrator.client import PIECE, Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

DECLINED = 130


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
    prune = verbs.add_parser("prune", help="delete volumes without a name that nobody uses")
    prune.add_argument("-a", "--all", action="store_true", help="those with a name, too")
    prune.add_argument("-f", "--force", action="store_true", help="do not ask")
    export = verbs.add_parser("export", help="write what is in a volume to a tarball")
    export.add_argument("name", metavar="NAME")
    export.add_argument("-o", "--output", default="-", metavar="FILE", help="instead of stdout")
    taking = verbs.add_parser("import", help="make a volume of what is in a tarball")
    taking.add_argument("name", metavar="NAME")
    taking.add_argument("source", nargs="?", default="-", metavar="FILE", help="instead of stdin")
    for verb, text in (("clone", "copy a volume"), ("rename", "give a volume another name")):
        moving = verbs.add_parser(verb, help=text)
        moving.add_argument("name", metavar="NAME")
        moving.add_argument("new", metavar="NEW")


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
        case "prune":
            return _prune(client, named=args.all, force=args.force)
        case "export":
            _export(client, args.name, args.output)
        case "import":
            _import(client, args.name, args.source)
        case "clone" | "rename":
            client.post(f"/v1/volumes/{args.name}/{args.verb}", {"to": args.new})
            sys.stdout.write(f"{args.new}\n")
        case _:
            return remove_each(client, "volumes", args.names, force=args.force)
    return 0


def _prune(client: Client, *, named: bool, force: bool) -> int:
    if not force and sys.stdin.isatty():
        whose = "every volume no stack names" if named else "every volume without a name"
        say(f"going to delete {whose} and no container has, with what is in it")
        sys.stderr.write("are you sure? [yN] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return DECLINED
    for name in client.post("/v1/volumes/prune", {"named": named})["removed"]:
        sys.stdout.write(f"{name}\n")
    return 0


def _export(client: Client, name: str, output: str) -> None:
    pieces = client.download(f"/v1/volumes/{name}/content", {})
    if output == "-":
        for data in pieces:
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        with open(output, "xb") as file:
            for data in pieces:
                file.write(data)
    except FileExistsError:
        raise PyorchError(f"`{output}` exists", hint="name a new file") from None


def _import(client: Client, name: str, source: str) -> None:
    if source != "-":
        try:
            with open(source, "rb") as file:
                client.upload(f"/v1/volumes/{name}/content", {}, file)
        except OSError as error:
            raise PyorchError(f"cannot read `{source}`: {error.strerror}") from None
    else:
        with tempfile.TemporaryFile() as spool:
            while data := sys.stdin.buffer.read(PIECE):
                spool.write(data)
            spool.seek(0)
            client.upload(f"/v1/volumes/{name}/content", {}, spool)
    sys.stdout.write(f"{name}\n")


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
