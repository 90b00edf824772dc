"""``pyorch rm``."""

import argparse
import sys

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import say
from orchestrator.cli.selecting import add_services, are_gone, ask
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    add_services(parser)
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    parser.add_argument("-s", "--stop", action="store_true", help="stop what runs, first")


def run(args: argparse.Namespace) -> int:
    """Have containers removed that do not run."""
    if not args.force and not _confirmed(args):
        return 1
    answer = ask(args, "rm", {"stop": "1"} if args.stop else {}, until=are_gone)
    if not answer["services"]:
        say("no stopped containers")
    return 0


def _confirmed(args: argparse.Namespace) -> bool:
    name = stack_name(args)
    replicas = connect(Settings.from_environ()).get(f"/v1/stacks/{name}")["replicas"]
    going = [
        one["container"]
        for one in replicas
        if (not args.services or (one["one_off"] or one["service"]) in args.services)
        and (args.stop or one["phase"] in ("exited", "created"))
    ]
    if not going or not sys.stdin.isatty():
        return True
    say(f"going to remove {', '.join(going)}")
    sys.stderr.write("are you sure? [yN] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
