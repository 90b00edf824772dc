"""The dependency graph of a stack: in which order its services start, and stop.

networkx is imported where it is used: it is slow to import, and the client does without.
"""

from collections.abc import Mapping

from scheduler.desired import DesiredStack
from scheduler.errors import CyclicDependencyError
from scheduler.ids import ServiceName


def start_order(stack: DesiredStack) -> tuple[ServiceName, ...]:
    """Return the services so that each comes after what it depends on; ties by name.

    Raises CyclicDependencyError, naming the circle, where there is no such order.
    """
    import networkx as nx

    graph: nx.DiGraph[ServiceName] = nx.DiGraph()
    graph.add_nodes_from(sorted(service.name for service in stack.services))
    known = set(graph)
    for service in stack.services:
        for dependency in service.dependencies:
            if dependency.service in known:
                graph.add_edge(dependency.service, service.name)
    try:
        return tuple(nx.lexicographical_topological_sort(graph))
    except nx.NetworkXUnfeasible:
        edges = nx.find_cycle(graph)
        # Edges point from dependency to dependent; people read "a depends on b".
        around = [edge[0] for edge in edges][::-1]
        first = around.index(min(around))
        turned = around[first:] + around[:first]
        raise CyclicDependencyError((*turned, turned[0])) from None


def dependents(stack: DesiredStack) -> Mapping[ServiceName, tuple[ServiceName, ...]]:
    """Return, for each service, those that depend on it directly."""
    found: dict[ServiceName, list[ServiceName]] = {service.name: [] for service in stack.services}
    for service in stack.services:
        for dependency in service.dependencies:
            if dependency.service in found:
                found[dependency.service].append(service.name)
    return {name: tuple(sorted(names)) for name, names in found.items()}
