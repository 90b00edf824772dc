"""``pyorch export``."""

import argparse
from pathlib import Path

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("-o", "--output", required=True, metavar="PATH", help="the tarball")
    parser.add_argument(
        "--index", type=int, metavar="N", help="which replica; the first one by default"
    )


def run(args: argparse.Namespace) -> int:
    """Have the daemon write the tarball; what is mounted in the container is left out."""
    path = Path(args.output).absolute()
    if path.exists():
        raise PyorchError(f"`{path}` exists", hint="name a new file")
    body = {"service": args.service, "index": args.index, "path": str(path)}
    connect(Settings.from_environ()).post(f"/v1/stacks/{stack_name(args)}/export", body)
    say(f"exported {args.service} to {path}")
    return 0
