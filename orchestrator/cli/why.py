"""``pyorch why``: the state of a service, what led to it, and which line of the file says so."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.cli.events import line_of
from orchestrator.cli.following import last_words
from orchestrator.cli.loading import request_of, stack_name
from orchestrator.cli.render import in_a_row, safe, status
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.spec.load import Loaded, LoadRequest

LED_TO_IT = 3
"""Facts that are told of each replica."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="+", metavar="SERVICE")


def run(args: argparse.Namespace) -> int:
    """Explain each service, and those it waits for."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    state = client.get(f"/v1/stacks/{name}", {"service": args.services})
    asked = _Asked(client, name, state, _file(args))
    for service in args.services:
        for line in asked.explain(service):
            sys.stdout.write(safe(line) + "\n")
    return 0


def _file(args: argparse.Namespace) -> "tuple[Loaded, LoadRequest] | None":
    """Return the stack file with the places of its keys; None where there is none to be read."""
    from orchestrator.spec.load import load_stack

    try:
        request = request_of(args, trace=True)
        return load_stack(request), request
    except PyorchError:
        return None


@dataclass(slots=True)
class _Asked:
    client: Client
    stack: str
    state: dict[str, Any]
    file: "tuple[Loaded, LoadRequest] | None"
    told: set[str] = field(default_factory=set)

    def explain(self, service: str, depth: int = 0) -> Iterator[str]:
        """Yield why a service is as it is; of each service once."""
        if service in self.told:
            return
        self.told.add(service)
        indent = "  " * depth
        mine = [one for one in self.state["replicas"] if one["service"] == service]
        if not mine:
            yield f"{indent}{service} has no container"
        for replica in mine:
            yield f"{indent}{replica['id']}: {status(replica)}"
            for line in self._replica(replica):
                yield f"{indent}  {line}"
        for one in self.state["errors"]:
            if service in one.get("services", ()):
                hint = f" ({one['hint']})" if one["hint"] else ""
                yield f"{indent}  cannot go on: {one['message']}{hint}"
        subjects = {service, *(one["id"] for one in mine)}
        held = [
            one
            for one in self.state["held"]
            if one["subject"] in subjects or one["subject"].rpartition(".")[0] == service
        ]
        for one in held:
            yield f"{indent}  waits: {one['reason']}" + (f" ({one['hint']})" if one["hint"] else "")
        if not held:
            return
        for wanted in self._dependencies(service):
            if any(wanted in one["reason"].replace(".", " ").split() for one in held):
                yield from self._rule(f"services.{service}.depends_on.{wanted}", f"{indent}  ")
                yield from self.explain(wanted, depth + 1)

    def _replica(self, replica: dict[str, Any]) -> Iterator[str]:
        query = {"service": [replica["id"]], "tail": str(LED_TO_IT)}
        for event in self.client.stream("GET", f"/v1/stacks/{self.stack}/chronicle", query):
            yield line_of(event)
        path = f"services.{replica['service']}"
        if replica["crash_loop"]:
            yield f"it is in a crash loop: {in_a_row(replica)}"
        if replica["health"] in ("unhealthy", "unready"):
            yield from self._rule(f"{path}.healthcheck")
            yield from self._rule(f"{path}.x-pyorch.probes")
        elif replica["phase"] == "exited" or replica["restarts"]:
            yield from self._rule(f"{path}.restart")
            yield from self._rule(f"{path}.deploy.restart_policy")
        badly = replica["crash_loop"] or replica["health"] == "unhealthy"
        if badly or (replica["phase"] == "exited" and replica["exit_code"]):
            yield from last_words(self.client, self.stack, replica)

    def _dependencies(self, service: str) -> tuple[str, ...]:
        if self.file is None or service not in self.file[0].stack.services:
            return tuple(one["service"] for one in self.state["replicas"])
        return tuple(self.file[0].stack.services[service].depends_on)

    def _rule(self, path: str, indent: str = "") -> Iterator[str]:
        """Yield what the file says of a key and where; nothing where it does not say it."""
        if self.file is None:
            return
        from orchestrator.cli.explaining import shown
        from orchestrator.spec.showing.explain import explain

        try:
            found = explain(path, *self.file)
        except PyorchError:
            return
        if found.setting.place:
            yield f"{indent}{path} = {shown(found.value)}, at {found.setting.place}"
