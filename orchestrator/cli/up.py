"""``pyorch up``."""

import argparse
import json
import signal
import sys
import threading
from types import FrameType

from orchestrator.cli.following import follow_until_settled
from orchestrator.cli.loading import load
from orchestrator.cli.logs import print_logs
from orchestrator.cli.render import say
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running and return")
    parser.add_argument("--wait", action="store_true", help="return when everything is healthy")
    parser.add_argument("--wait-timeout", type=float, metavar="S", help="give up after S seconds")
    parser.add_argument("--scale", action="append", default=[], metavar="SERVICE=N")
    parser.add_argument("--force-recreate", action="store_true", help="new containers in any case")
    parser.add_argument("--pull", choices=["always", "missing"], help="overrides the file")
    parser.add_argument("--no-color", action="store_true")
    parser.add_argument("--no-log-prefix", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Load, send, and follow until it is so."""
    loaded = load(args)
    client = connect(Settings.from_environ())
    name = loaded.stack.name
    document = json.loads(loaded.stack.model_dump_json())
    options = {"force_recreate": args.force_recreate, "scale": _scale(args.scale)}
    if args.pull == "always":
        options["pull"] = "always"
    applied = client.put(f"/v1/stacks/{name}", {"model": document, "options": options})
    if args.detach or args.wait:
        follow_until_settled(
            client, name, applied["generation"], wait=args.wait, timeout=args.wait_timeout
        )
        return 0
    return _attached(args, client, name)


def _attached(args: argparse.Namespace, client: Client, name: str) -> int:
    asked = 0

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del number, frame
        asked += 1
        if asked == 1:
            say("\nstopping... (press Ctrl+C again to force)")
            threading.Thread(target=client.post, args=(f"/v1/stacks/{name}/stop",)).start()
            threading.Thread(target=_leave_when_stopped, args=(client, name), daemon=True).start()
        else:
            query = {"grace": "0"}
            threading.Thread(
                target=client.post, args=(f"/v1/stacks/{name}/stop",), kwargs={"query": query}
            ).start()

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    print_logs(
        client,
        name,
        {"follow": "1"},
        prefix=not args.no_log_prefix,
        colour=not args.no_color,
        until=lambda: asked and _is_stopped(client, name),
    )
    return 0


def _leave_when_stopped(client: Client, name: str) -> None:
    for entry in client.stream("GET", f"/v1/stacks/{name}/events"):
        if entry["type"] == "state" and entry["intent"] == "stop" and entry["settled"]:
            break
    sys.stdout.flush()
    # The main thread reads a stream that never ends by itself.
    import os

    os._exit(0)


def _is_stopped(client: Client, name: str) -> bool:
    state = client.get(f"/v1/stacks/{name}")
    return bool(state["settled"] and state["intent"] == "stop")


def _scale(given: list[str]) -> dict[str, int]:
    found = {}
    for entry in given:
        service, _, count = entry.partition("=")
        if not count.isdigit():
            raise PyorchError(f"--scale: `{entry}` is not SERVICE=N")
        found[service] = int(count)
    return found
