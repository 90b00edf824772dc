"""``pyorch wait``."""

import argparse
import sys
from typing import Any

from orchestrator.cli.following import follow_until, follow_until_gone
from orchestrator.cli.loading import stack_name
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="+", metavar="SERVICE")
    parser.add_argument(
        "--down-project", action="store_true", help="remove the stack when the first one ends"
    )
    parser.epilog = "example: pyorch wait tests && echo all is well"


def run(args: argparse.Namespace) -> int:
    """Return once the runs of services have ended, with the code of the last one."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    replicas = client.get(f"/v1/stacks/{name}", {"service": args.services})["replicas"]
    waiting = _Waiting({one["id"]: one for one in replicas if one["service"] in args.services})
    if not waiting.left:
        raise PyorchError(
            f"nothing of {', '.join(f'`{one}`' for one in args.services)} is there",
            hint=f"see `pyorch -p {name} ps -a`",
            code="not_found",
        )
    first = args.down_project
    follow_until(
        client, name, lambda state: waiting.have_ended(state, first=first), ("no service's name",)
    )
    if first:
        client.delete(f"/v1/stacks/{name}")
        follow_until_gone(client, name)
    return waiting.code


class _Waiting:
    """Runs that have not ended yet, and the code of the last that has."""

    def __init__(self, runs: dict[str, Any]) -> None:
        self.left = runs
        self.code = 0

    def have_ended(self, state: dict[str, Any], *, first: bool) -> bool:
        """Look who has; with ``first`` one is enough."""
        there = {one["id"]: one for one in state["replicas"]}
        ended = False
        for name, before in list(self.left.items()):
            now = there.get(name)
            if (
                now is not None
                and now["phase"] != "exited"
                and now["restarts"] <= before["restarts"]
            ):
                continue
            del self.left[name]
            ended = True
            if now is not None:
                codes = now["last_codes"] or [0]
                self.code = now["exit_code"] if now["phase"] == "exited" else codes[0]
            told = f"container {before['container']} exited with status code {self.code}"
            sys.stdout.write(told + "\n")
        return not self.left or (first and ended)
