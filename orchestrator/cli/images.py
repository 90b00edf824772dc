"""``pyorch images``."""

import argparse
import json
import sys

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import size, table
from orchestrator.client.launch import connect
from orchestrator.settings import Settings

SHORT = 12
"""Characters of an image's id that people compare."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE")
    parser.add_argument("-q", "--quiet", action="store_true", help="ids only")
    parser.add_argument("--format", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Print a line a container."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    replicas = client.get(f"/v1/stacks/{name}", {"service": args.services})["replicas"]
    known = {image["id"]: image for image in client.get("/v1/images")}
    rows = []
    for one in replicas:
        if args.services and one["service"] not in args.services:
            continue
        image = known.get(one["image_id"], {})
        rows.append(
            {
                "ContainerName": one["container"],
                "Image": one["image"],
                "ID": one["image_id"],
                "Size": image.get("size", 0),
            }
        )
    if args.quiet:
        ids = dict.fromkeys(row["ID"].removeprefix("sha256:") for row in rows)
        sys.stdout.write("".join(f"{one}\n" for one in ids))
    elif args.format == "json":
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        lines = [
            (
                row["ContainerName"],
                row["Image"],
                row["ID"].removeprefix("sha256:")[:SHORT],
                size(row["Size"]),
            )
            for row in rows
        ]
        sys.stdout.write(table(("CONTAINER", "IMAGE", "IMAGE ID", "SIZE"), lines) + "\n")
    return 0
