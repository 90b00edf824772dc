"""``pyorch image``: what there is, ways in, ways out, names."""

import argparse
import json
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.cli.render import say, size, table
from orchestrator.cli.transfer import transfer
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

NAMELESS = "<none>"
UNTOLD = "(the image does not say)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("ls", help="list images")
    listing.add_argument("-q", "--quiet", action="store_true", help="references only")
    _format(listing)
    load = verbs.add_parser("load", help="take in an OCI or docker archive, or an OCI layout")
    load.add_argument("path")
    load.add_argument("--name", help="reference for an archive that carries none")
    imported = verbs.add_parser("import", help="make an image of a root filesystem")
    imported.add_argument("path", help="tarball or directory")
    imported.add_argument("name", help="reference the image gets")
    imported.add_argument("--cmd", help="command, as words or as a JSON list")
    imported.add_argument("--entrypoint", help="entrypoint, as words or as a JSON list")
    imported.add_argument("--env", action="append", default=[], metavar="K=V")
    imported.add_argument("--user")
    imported.add_argument("--workdir")
    imported.add_argument("--expose", action="append", default=[], metavar="PORT")
    pull = verbs.add_parser("pull", help="fetch images from their registries")
    pull.add_argument("references", nargs="+")
    pull.add_argument("--platform", help="os/architecture[/variant], else this machine's")
    pull.add_argument("-q", "--quiet", action="store_true", help="no progress")
    push = verbs.add_parser("push", help="upload an image to a registry")
    push.add_argument("reference")
    push.add_argument("target", nargs="?", help="reference it gets there, else its own")
    push.add_argument("-q", "--quiet", action="store_true", help="no progress")
    save = verbs.add_parser("save", help="write images to an archive, or to an empty directory")
    save.add_argument("references", nargs="+")
    save.add_argument("-o", "--output", required=True, metavar="PATH")
    tag = verbs.add_parser("tag", help="give an image one more name")
    tag.add_argument("reference")
    tag.add_argument("name")
    removal = verbs.add_parser("rm", help="remove images")
    removal.add_argument("references", nargs="+")
    removal.add_argument(
        "-f", "--force", action="store_true", help="all names; what is needed stays nameless"
    )
    prune = verbs.add_parser("prune", help="remove images without a name that nobody needs")
    prune.add_argument("-a", "--all", action="store_true", help="those with a name, too")
    _format(prune)
    inspect = verbs.add_parser("inspect", help="print everything about images, as JSON")
    inspect.add_argument("references", nargs="+")
    history = verbs.add_parser("history", help="list the steps an image was made in")
    history.add_argument("reference")
    _format(history)


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    client = connect(Settings.from_environ())
    match args.verb:
        case "ls":
            _list(client, args)
        case "load":
            body = {"path": str(_existing(args.path)), "name": args.name}
            for image in client.post("/v1/images/load", body):
                say(f"loaded {_names(image)}")
        case "import":
            body = {"path": str(_existing(args.path)), "name": args.name, "config": _config(args)}
            say(f"imported {_names(client.post('/v1/images/import', body))}")
        case "pull":
            for reference in args.references:
                body = {"reference": reference, "platform": args.platform}
                last = transfer(client, "pull", reference, body, quiet=args.quiet)
                say(f"pulled {_names(last['image'])}")
        case "push":
            body = {"reference": args.reference, "target": args.target}
            name = args.target or args.reference
            transfer(client, "push", name, body, quiet=args.quiet)
            say(f"pushed {name}")
        case "save":
            path = Path(args.output).absolute()
            client.post("/v1/images/save", {"references": args.references, "path": str(path)})
            say(f"saved {', '.join(args.references)} to {path}")
        case "tag":
            client.post("/v1/images/tag", {"reference": args.reference, "name": args.name})
            say(f"tagged {args.reference} as {args.name}")
        case "prune":
            _prune(client, args)
        case "inspect":
            place = "/v1/images/inspect"
            found = [client.get(place, {"reference": one}) for one in args.references]
            sys.stdout.write(json.dumps(found, indent=2) + "\n")
        case "history":
            _history(client, args)
        case _:
            for reference in args.references:
                query = {"reference": reference, "force": int(args.force)}
                client.delete("/v1/images", query)
                say(f"removed {reference}")
    return 0


def _list(client: Client, args: argparse.Namespace) -> None:
    images = client.get("/v1/images")
    if args.quiet:
        for image in images:
            sys.stdout.write("".join(f"{name}\n" for name in image["references"]))
        return
    if args.format == "json":
        _lines(
            {
                "Id": image["id"],
                "References": image["references"],
                "Size": image["size"],
                "CreatedAt": image["created_wall"],
            }
            for image in images
        )
        return
    rows = [
        (name, image["id"][7:19], size(image["size"]))
        for image in images
        for name in image["references"] or [NAMELESS]
    ]
    sys.stdout.write(table(("REFERENCE", "ID", "SIZE"), rows) + "\n")


def _history(client: Client, args: argparse.Namespace) -> None:
    found = client.get("/v1/images/inspect", {"reference": args.reference})
    steps = [
        {
            "Created": str(step.get("created") or ""),
            "CreatedBy": str(step.get("created_by") or ""),
            "Comment": str(step.get("comment") or ""),
            "EmptyLayer": bool(step.get("empty_layer")),
        }
        for step in reversed(found["Config"].get("history") or [])
    ]
    told = sum(not step["EmptyLayer"] for step in steps)
    # What an image says nothing about lies below: it was imported, or another one grew on it.
    untold = {"Created": "", "CreatedBy": "", "Comment": UNTOLD, "EmptyLayer": False}
    steps += [untold] * (len(found["Layers"]) - told)
    if args.format == "json":
        _lines(steps)
        return
    rows = [
        (
            str(step["Created"])[:19].replace("T", " "),
            "no" if step["EmptyLayer"] else "yes",
            str(step["CreatedBy"] or step["Comment"]),
        )
        for step in steps
    ]
    sys.stdout.write(table(("CREATED", "LAYER", "CREATED BY"), rows) + "\n")


def _prune(client: Client, args: argparse.Namespace) -> None:
    freed = client.post("/v1/images/prune", {"unused": args.all})
    if args.format == "json":
        _lines([{"Images": freed["images"], "Size": freed["size"]}])
        return
    for image in freed["images"]:
        sys.stdout.write(f"{image}\n")
    say(f"freed {size(freed['size'])}")


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("table", "json"), default="table")


def _lines(entries: Iterable[dict[str, Any]]) -> None:
    for entry in entries:
        sys.stdout.write(json.dumps(entry) + "\n")


def _names(image: dict[str, Any]) -> str:
    return ", ".join(image["references"]) or str(image["id"])


def _existing(text: str) -> Path:
    path = Path(text).absolute()
    if not path.exists():
        raise PyorchError(f"`{path}` does not exist")
    return path


def _config(args: argparse.Namespace) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, given in (("Cmd", args.cmd), ("Entrypoint", args.entrypoint)):
        if given:
            found[key] = json.loads(given) if given.startswith("[") else shlex.split(given)
    if args.env:
        found["Env"] = args.env
    if args.user:
        found["User"] = args.user
    if args.workdir:
        found["WorkingDir"] = args.workdir
    if args.expose:
        found["ExposedPorts"] = {port if "/" in port else f"{port}/tcp": {} for port in args.expose}
    return found
