"""Things the daemon keeps by name, such as networks: listed, shown and taken away alike."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from orchestrator.cli.render import say, table
from orchestrator.client import Client
from orchestrator.errors import PyorchError

Row = Callable[[dict[str, Any]], Sequence[str]]


def add_listing(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of a list."""
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    parser.add_argument("--format", choices=["table", "json"], default="table")


def show(
    args: argparse.Namespace, found: Iterable[dict[str, Any]], headers: Sequence[str], row: Row
) -> None:
    """Print things the way that was asked for."""
    if args.quiet:
        sys.stdout.write("".join(f"{one['name']}\n" for one in found))
    elif args.format == "json":
        sys.stdout.write("".join(json.dumps(one) + "\n" for one in found))
    else:
        sys.stdout.write(table(headers, [row(one) for one in found]) + "\n")


def inspect(client: Client, kind: str, names: Iterable[str]) -> None:
    """Print everything about things, as JSON. Raises PyorchError for one that is not there."""
    found = [client.get(f"/v1/{kind}/{name}") for name in names]
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def remove_each(client: Client, kind: str, names: Iterable[str], *, force: bool) -> int:
    """Remove things by their names; return 1 where one could not be, else 0.

    With ``force`` one that is not there counts as removed.
    """
    code = 0
    for name in names:
        try:
            client.delete(f"/v1/{kind}/{name}")
            say(f"removed {name}")
        except PyorchError as error:
            if force and error.code == "not_found":
                continue
            say(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
            code = 1
    return code
