"""``pyorch config``."""

import argparse
import sys

from orchestrator.cli.loading import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("-q", "--quiet", action="store_true", help="only check")
    parser.add_argument("--format", choices=["yaml", "json"], default="yaml")
    for kind in ("services", "networks", "volumes", "images"):
        parser.add_argument(f"--{kind}", action="store_true", help=f"names of {kind} only")


def run(args: argparse.Namespace) -> int:
    """Print the settled stack file, or names out of it."""
    from orchestrator.spec.dump import dump

    stack = load(args).stack
    if args.quiet:
        return 0
    lines: list[str] = []
    if args.services:
        lines += sorted(stack.services)
    if args.networks:
        lines += sorted(stack.networks)
    if args.volumes:
        lines += sorted(stack.volumes)
    if args.images:
        lines += sorted({service.image for service in stack.services.values()})
    if args.services or args.networks or args.volumes or args.images:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    else:
        sys.stdout.write(dump(stack, as_json=args.format == "json").rstrip() + "\n")
    return 0
