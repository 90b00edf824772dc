"""``pyorch describe``."""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from orchestrator.cli.events import line_of
from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import ago, safe, status
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.settings import Settings

SHOWN_EVENTS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="all of them without")


def run(args: argparse.Namespace) -> int:
    """Print a paragraph a replica, then what waits and what happened last."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    state = client.get(f"/v1/stacks/{name}", {"service": args.services})
    for line in _stack(name, state):
        sys.stdout.write(line + "\n")
    for replica in state["replicas"]:
        if not args.services or replica["service"] in args.services:
            for line in _replica(client, name, state, replica):
                sys.stdout.write(safe(line) + "\n")
    return 0


def _stack(name: str, state: dict[str, Any]) -> Iterator[str]:
    how = "as wanted" if state["settled"] else state["failure"] or "on its way"
    yield f"stack {name}: generation {state['generation']}, to {state['intent']}, {safe(how)}"
    for error in state["errors"]:
        yield f"  error: {safe(error['message'])}"


def _replica(
    client: Client, stack: str, state: dict[str, Any], replica: dict[str, Any]
) -> Iterator[str]:
    yield ""
    yield f"{replica['id']}: {status(replica)}"
    rows = {
        "container": replica["container"],
        "image": f"{replica['image']} ({replica['image_id'][:19]})",
        "command": replica["command"],
        "made": f"{ago(time.time() - replica['created_wall'])} ago",
        "ports": ", ".join(replica["ports"]),
        "addresses": ", ".join(f"{net} {one}" for net, one in replica["addresses"].items()),
        "restarts": str(replica["restarts"]),
        "last exit codes": ", ".join(map(str, replica["last_codes"])),
    }
    for key, text in rows.items():
        if text:
            yield f"  {key}: {text}"
    for held in state["held"]:
        if held["subject"] in (replica["id"], replica["service"]):
            yield f"  waits: {held['reason']}" + (f" ({held['hint']})" if held["hint"] else "")
    for probe in replica["probes"]:
        came = "passed" if probe["code"] == 0 else f"failed ({probe['code']})"
        moment = time.strftime("%H:%M:%S", time.localtime(probe["at_wall"]))
        said = " ".join(probe["output"].split())
        yield f"  {moment} {probe['kind']} {came} after {probe['took']:.2f} s: {said}"
    query = {"service": [replica["id"]], "tail": str(SHOWN_EVENTS)}
    for event in client.stream("GET", f"/v1/stacks/{stack}/chronicle", query):
        yield f"  {line_of(event)}"
