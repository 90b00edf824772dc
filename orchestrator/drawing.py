"""The graph of a stack's dependencies, drawn: as text, for Graphviz, and as a picture. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

CONDITIONS = {
    "service_started": "started",
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
}
COLOURS = {
    "running": "#d7f0d8",
    "healthy": "#bfe8c2",
    "starting": "#fff2c4",
    "unhealthy": "#f8cccc",
    "stopping": "#fff2c4",
    "exited": "#e0e0e0",
    "failed": "#f8cccc",
    "created": "#eef2fb",
    "": "#ffffff",
}
"""Of a service's box, by its state."""
HEAD, BODY = ' font-weight="bold"', ' fill="#444" font-size="11"'
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 180, 52, 60, 28, 20


@dataclass(frozen=True, slots=True)
class Node:
    """A service. ``state`` is one of the keys of ``COLOURS``; empty where nothing is known."""

    name: str
    state: str = ""
    lines: tuple[str, ...] = ()
    """What else stands in its box."""


@dataclass(frozen=True, slots=True)
class Edge:
    """``after`` begins when ``before`` is as ``condition`` says."""

    before: str
    after: str
    condition: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Graph:
    """Services and who waits for whom. There are no cycles."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def layers(self) -> list[list[Node]]:
        """Return the services by how early they may begin: each after all it waits for."""
        before: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for edge in self.edges:
            before[edge.after].append(edge.before)
        depth: dict[str, int] = {}
        for name in before:
            _depth(name, before, depth)
        found: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
        for node in sorted(self.nodes, key=lambda one: one.name):
            found[depth[node.name]].append(node)
        return found


def as_text(graph: Graph) -> str:
    """Return a line a service, in the order in which they begin."""
    rows = []
    for layer in graph.layers():
        for node in layer:
            waits = [edge for edge in graph.edges if edge.after == node.name]
            told = ", ".join(f"{one.before} ({CONDITIONS[one.condition]})" for one in waits)
            rows.append((node.name, f"after {told}" if told else "at once", node.state))
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return "".join(
        f"{name.ljust(widths[0])}   {waits.ljust(widths[1])}   {state}".rstrip() + "\n"
        for name, waits, state in rows
    )


def as_dot(graph: Graph, title: str) -> str:
    """Return the graph in the language of Graphviz."""
    lines = [f"digraph {_quoted(title)} {{", "  rankdir=LR;", "  node [shape=box, style=filled];"]
    for node in graph.nodes:
        label = "\n".join((node.name, *node.lines))
        look = f"label={_quoted(label)}, fillcolor={_quoted(COLOURS[node.state])}"
        lines.append(f"  {_quoted(node.name)} [{look}];")
    for edge in graph.edges:
        style = "" if edge.required else ", style=dashed"
        label = _quoted(CONDITIONS[edge.condition])
        lines.append(f"  {_quoted(edge.before)} -> {_quoted(edge.after)} [label={label}{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def as_svg(graph: Graph, title: str) -> str:
    """Return the graph as a picture, layer by layer from left to right."""
    layers = _ordered(graph)
    tallest = max((len(layer) for layer in layers), default=0)
    width = 2 * MARGIN + len(layers) * WIDTH + max(len(layers) - 1, 0) * GAP_X
    height = 2 * MARGIN + tallest * HEIGHT + max(tallest - 1, 0) * GAP_Y
    places: dict[str, tuple[float, float]] = {}
    for column, layer in enumerate(layers):
        taken = len(layer) * HEIGHT + (len(layer) - 1) * GAP_Y
        for row, node in enumerate(layer):
            y = (height - taken) / 2 + row * (HEIGHT + GAP_Y)
            places[node.name] = (MARGIN + column * (WIDTH + GAP_X), y)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"'
        ' markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>',
    ]
    lines += [_drawn_edge(edge, places) for edge in graph.edges]
    lines += [_drawn_node(node, places[node.name]) for layer in layers for node in layer]
    return "\n".join([*lines, "</svg>"]) + "\n"


def as_html(graph: Graph, title: str) -> str:
    """Return a page with the picture in it."""
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<h1>{escape(title)}</h1>\n{as_svg(graph, title)}</html>\n"
    )


def _depth(name: str, before: Mapping[str, Sequence[str]], known: dict[str, int]) -> int:
    # Without recursion: a chain of services may be longer than Python's stack is deep.
    waiting = [name]
    while waiting:
        top = waiting[-1]
        missing = [one for one in before[top] if one not in known]
        if missing:
            waiting += missing
        else:
            known[top] = 1 + max((known[one] for one in before[top]), default=-1)
            waiting.pop()
    return known[name]


def _ordered(graph: Graph) -> list[list[Node]]:
    """Return the layers with every service near to those it waits for: fewer lines cross."""
    rank: dict[str, float] = {}
    layers = graph.layers()
    for layer in layers:
        layer.sort(key=lambda node: (_middle(node, graph.edges, rank), node.name))
        for number, node in enumerate(layer):
            rank[node.name] = number - len(layer) / 2
    return layers


def _middle(node: Node, edges: Iterable[Edge], rank: Mapping[str, float]) -> float:
    near = [rank[edge.before] for edge in edges if edge.after == node.name]
    return sum(near) / len(near) if near else 0.0


def _drawn_node(node: Node, place: tuple[float, float]) -> str:
    x, y = place
    lines = (node.name, *node.lines)[:3]
    step = HEIGHT / (len(lines) + 1)
    words = "".join(
        f'<text x="{x + WIDTH / 2}" y="{y + step * number + 4:.0f}" text-anchor="middle"'
        f"{HEAD if number == 1 else BODY}>"
        f"{escape(line if len(line) <= 26 else line[:25] + '…')}</text>"
        for number, line in enumerate(lines, start=1)
    )
    return (
        f'<g><title>{escape(" ".join((node.name, node.state)))}</title><rect x="{x}" y="{y}"'
        f' width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{COLOURS[node.state]}" stroke="#555"/>'
        f"{words}</g>"
    )


def _drawn_edge(edge: Edge, places: Mapping[str, tuple[float, float]]) -> str:
    x1, y1 = places[edge.before][0] + WIDTH, places[edge.before][1] + HEIGHT / 2
    x2, y2 = places[edge.after][0], places[edge.after][1] + HEIGHT / 2
    bend = GAP_X / 2
    dashes = "" if edge.required else ' stroke-dasharray="4 3"'
    told = f"{edge.after} waits for {edge.before}: {CONDITIONS[edge.condition]}"
    return (
        f'<path d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" fill="none"'
        f' stroke="#555" marker-end="url(#tip)"{dashes}><title>{escape(told)}</title></path>'
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
