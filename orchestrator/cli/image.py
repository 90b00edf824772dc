"""``pyorch image ls|load|import|pull|rm``."""

import argparse
import json
import shlex
import sys
from pathlib import Path

from orchestrator.cli.render import say, size, table
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("ls", help="list images")
    listing.add_argument("-q", "--quiet", action="store_true", help="references only")
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
    removal = verbs.add_parser("rm", help="remove images")
    removal.add_argument("references", nargs="+")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    client = connect(Settings.from_environ())
    match args.verb:
        case "ls":
            _list(client, quiet=args.quiet)
        case "load":
            body = {"path": str(_existing(args.path)), "name": args.name}
            for image in client.post("/v1/images/load", body):
                say(f"loaded {', '.join(image['references'])}")
        case "import":
            body = {"path": str(_existing(args.path)), "name": args.name, "config": _config(args)}
            image = client.post("/v1/images/import", body)
            say(f"imported {', '.join(image['references'])}")
        case "pull":
            for reference in args.references:
                _pull(client, reference)
        case _:
            for reference in args.references:
                client.delete("/v1/images", {"reference": reference})
                say(f"removed {reference}")
    return 0


def _list(client: Client, *, quiet: bool) -> None:
    images = client.get("/v1/images")
    if quiet:
        for image in images:
            sys.stdout.write("".join(f"{name}\n" for name in image["references"]))
        return
    rows = [
        (name, image["id"][7:19], size(image["size"]))
        for image in images
        for name in image["references"]
    ]
    sys.stdout.write(table(("REFERENCE", "ID", "SIZE"), rows) + "\n")


def _pull(client: Client, reference: str) -> None:
    for entry in client.stream("POST", "/v1/images/pull", body={"reference": reference}):
        if "error" in entry:
            raise PyorchError(entry["error"]["detail"], hint=entry["error"].get("hint"))
        if "image" in entry:
            say(f"pulled {', '.join(entry['image']['references'])}")


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
