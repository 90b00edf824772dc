"""``pyorch up``."""

import argparse
import contextlib
import signal
import threading
from collections.abc import Mapping
from functools import partial
from types import FrameType
from typing import Any

from orchestrator.cli.following import follow_until_settled, follow_until_stopped
from orchestrator.cli.loading import settle
from orchestrator.cli.logs import print_logs
from orchestrator.cli.obtaining import hold_to_lock, obtain, with_pull_policy
from orchestrator.cli.render import say
from orchestrator.cli.selecting import scale_of
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

LAST_LINES = 5.0
"""Seconds given to what containers said last, once they have stopped."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument(
        "services", nargs="*", metavar="SERVICE", help="only these, and what they depend on"
    )
    parser.add_argument("--no-deps", action="store_true", help="not what they depend on")
    parser.add_argument("--no-start", action="store_true", help="make containers, start none")
    parser.add_argument(
        "--remove-orphans", action="store_true", help="remove single runs that have ended, too"
    )
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running and return")
    parser.add_argument("--wait", action="store_true", help="return when everything is healthy")
    parser.add_argument("--wait-timeout", type=float, metavar="S", help="give up after S seconds")
    parser.add_argument(
        "--scale", action="append", default=[], metavar="SERVICE=N", help="so many replicas"
    )
    parser.add_argument("--force-recreate", action="store_true", help="new containers in any case")
    parser.add_argument(
        "--pull",
        choices=["always", "missing", "never", "build", "policy"],
        help="overrides the file's pull policies",
    )
    parser.add_argument("--quiet-pull", action="store_true", help="do not show how pulls go")
    parser.add_argument(
        "--locked", action="store_true", help="with exactly the images of stack.lock"
    )
    parser.add_argument("--build", action="store_true", help="build images that are there, too")
    parser.add_argument("--no-build", action="store_true", help="build no image")
    parser.add_argument("--quiet-build", action="store_true", help="do not show what builds print")
    parser.add_argument(
        "--watch", action="store_true", help="follow the stack file, too, and all it includes"
    )
    parser.add_argument("--no-color", action="store_true", help="no colours in logs")
    parser.add_argument("--no-log-prefix", action="store_true", help="lines as they were written")


def run(args: argparse.Namespace) -> int:
    """Load, send, and follow until it is so."""
    if args.build and args.no_build:
        raise PyorchError("--build and --no-build exclude each other")
    if args.watch and (args.detach or args.wait or args.no_start or args.locked):
        raise PyorchError(
            "--watch is for an `up` that stays", hint="leave out -d, --wait, --no-start, --locked"
        )
    settled = settle(args, tuple(args.services))
    client = connect(Settings.from_environ())
    document = settled.document
    if args.locked:
        document = hold_to_lock(args, document, client)
    obtain(args, settled, client)
    document = with_pull_policy(args, document)
    name = settled.name
    options = {
        "force_recreate": args.force_recreate,
        "scale": scale_of(args.scale),
        "services": args.services,
        "no_deps": args.no_deps,
        "no_start": args.no_start,
        "remove_orphans": args.remove_orphans,
    }
    applied = client.put(f"/v1/stacks/{name}", {"model": document, "options": options})
    if args.detach or args.wait or args.no_start:
        follow_until_settled(
            client, name, applied["generation"], wait=args.wait, timeout=args.wait_timeout
        )
        return 0
    if args.watch:
        _watch(args, client, options)
    return _attached(args, client, name)


def _watch(args: argparse.Namespace, client: Client, options: Mapping[str, Any]) -> None:
    # Loads what an `up` without it has no use for.
    from orchestrator.cli.watching import Follower

    lasting = {**options, "force_recreate": False}
    follower = Follower(args=args, client=client, options=lasting)
    follower.look()
    threading.Thread(target=follower.follow, daemon=True).start()


def _attached(args: argparse.Namespace, client: Client, name: str) -> int:
    asked = 0

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del number, frame
        asked += 1
        query = {} if asked == 1 else {"grace": "0"}
        if asked == 1:
            say("\nstopping... (press Ctrl+C again to force)")
        # A request of its own: the main thread is in the middle of reading another answer.
        ask = partial(client.post, f"/v1/stacks/{name}/stop", query=query)
        threading.Thread(target=ask, daemon=True).start()

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    printer = threading.Thread(target=_print_attached, args=(args, client, name), daemon=True)
    printer.start()
    follow_until_stopped(client, name)
    # The stream ends by itself once nothing runs and the last line was sent.
    printer.join(LAST_LINES)
    return 0


def _print_attached(args: argparse.Namespace, client: Client, name: str) -> None:
    # A daemon that goes away ends the main thread's own stream too: it is told once, there.
    with contextlib.suppress(PyorchError):
        print_logs(
            client,
            name,
            {"follow": "1", "attached": "1"},
            prefix=not args.no_log_prefix,
            colour=not args.no_color,
        )
