"""``pyorch graph``: who waits for whom, and how they are."""

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from orchestrator import drawing
from orchestrator.cli.loading import settle
from orchestrator.client import Client
from orchestrator.drawing import Edge, Graph, Node
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("--format", choices=["text", "dot", "svg", "html"], default="text")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it to a file")
    parser.add_argument("--image", action="store_true", help="images in the boxes")
    parser.add_argument("--ports", action="store_true", help="published ports in the boxes")


def run(args: argparse.Namespace) -> int:
    """Draw the graph; the state of services is in it where the stack is known here."""
    settled = settle(args)
    services: dict[str, dict[str, Any]] = settled.document["services"]
    states = _states(settled.name)
    nodes = (
        Node(name, states.get(name, ""), tuple(_lines(args, service)))
        for name, service in services.items()
    )
    edges = (
        Edge(wanted, name, entry["condition"], entry["required"])
        for name, service in services.items()
        for wanted, entry in service["depends_on"].items()
        if wanted in services
    )
    graph = Graph(tuple(nodes), tuple(edges))
    match args.format:
        case "text":
            text = drawing.as_text(graph)
        case "dot":
            text = drawing.as_dot(graph, settled.name)
        case "svg":
            text = drawing.as_svg(graph, settled.name)
        case _:
            text = drawing.as_html(graph, settled.name)
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)
    return 0


def _states(stack: str) -> dict[str, str]:
    """Return how each service is; nothing where no daemon runs, or the stack is not known."""
    try:
        replicas = Client(Settings.from_environ().socket).get(f"/v1/stacks/{stack}")["replicas"]
    except PyorchError:
        return {}
    found: dict[str, list[str]] = {}
    for one in replicas:
        found.setdefault(one["service"], []).append(_state(one))
    return {name: _worst(states) for name, states in found.items()}


def _state(replica: dict[str, Any]) -> str:
    if replica["phase"] == "running" and replica["health"] != "none":
        return str(replica["health"])
    if replica["phase"] == "exited" and replica["exit_code"]:
        return "failed"
    return str(replica["phase"])


def _worst(states: Iterable[str]) -> str:
    order = ("failed", "unhealthy", "starting", "stopping", "created", "exited", "running")
    return min(states, key=lambda one: order.index(one) if one in order else len(order))


def _lines(args: argparse.Namespace, service: dict[str, Any]) -> Iterable[str]:
    if args.image and service["image"]:
        yield service["image"]
    if args.ports:
        for port in service["ports"]:
            yield f"{port['published'] or 'any'} → {port['target']}/{port['protocol']}"
