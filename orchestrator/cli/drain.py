"""``pyorch drain``."""

import argparse

from orchestrator import systemd
from orchestrator.cli.following import follow_until_settled
from orchestrator.cli.render import say
from orchestrator.client import is_root
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument(
        "--budget",
        type=_seconds,
        default=300.0,
        metavar="S",
        help="seconds for all of it; who is not done by then is killed (300)",
    )
    parser.add_argument("--reboot", action="store_true", help="then start this machine anew")
    parser.add_argument("--end", action="store_true", help="let everything run again")


def run(args: argparse.Namespace) -> int:
    """Stop everything, or let it run again; return once it is so."""
    if args.reboot and args.end:
        raise PyorchError("--reboot and --end exclude each other")
    if args.reboot and not is_root():
        raise PyorchError("starting this machine anew needs root", hint="try again with sudo")
    client = connect(Settings.from_environ())
    if args.end:
        client.delete("/v1/drain")
        for stack in client.get("/v1/stacks"):
            if stack["intent"] == "run":
                follow_until_settled(
                    client, stack["name"], stack["generation"], wait=False, timeout=None
                )
        return 0
    stopped = client.post("/v1/drain", {"budget": args.budget})["stopped"]
    say(f"{stopped} container{'' if stopped == 1 else 's'} stopped")
    if args.reboot:
        systemd.reboot()
    else:
        say("nothing is started until `pyorch drain --end`, or the next boot")
    return 0


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"`{given}` is no number of seconds of a day")
    return seconds
