"""Placement: whether a service may run on this machine, and how many of its replicas.

There is one machine. It has every role a cluster could give it, so what is asked of a node's
role always holds; what is asked of its name, its platform and its labels is looked at.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from scheduler.desired import Constraint, DesiredService
from scheduler.ids import ReplicaId
from scheduler.observed import Machine

HINT = "give the machine that label (docs/settings.md), or change `deploy.placement`"
ARCHITECTURES = ({"x86_64", "amd64"}, {"aarch64", "arm64"}, {"i386", "i686", "386"})
"""What one and the same is called in different places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a replica may not start now. ``stuck``: what is about to end will not be enough."""

    reason: str
    stuck: bool
    hint: str


def misplaced(services: Iterable[DesiredService], machine: Machine) -> Mapping[ReplicaId, Refusal]:
    """Return the replicas that may not be started on this machine."""
    found: dict[ReplicaId, Refusal] = {}
    for service in services:
        unmet = [one for one in service.constraints if not _holds(one, machine)]
        most = 0 if unmet else service.most_here or service.replicas
        reason = (
            f"is to run where {unmet[0]}: {_told(unmet[0], machine)}"
            if unmet
            else f"there are to be {most} replicas on a machine at most"
        )
        for slot in range(most + 1, service.replicas + 1):
            replica = ReplicaId(service.name, slot)
            found[replica] = Refusal(reason=reason, stuck=True, hint=HINT)
    return found


def _holds(constraint: Constraint, machine: Machine) -> bool:
    found = _values(constraint.key, machine)
    return found is None or (constraint.value.lower() in found) == constraint.equal


def _values(key: str, machine: Machine) -> Collection[str] | None:
    """Return what this machine is called under a key, in lower case; None: anything."""
    match key.lower():
        case "node.role":
            return None
        case "node.hostname":
            return {machine.name.lower()}
        case "node.platform.os":
            return {machine.os}
        case "node.platform.arch":
            own = {machine.architecture}
            return next((names for names in ARCHITECTURES if own & names), own)
        case _:
            # Two words and a name: where a label comes from makes no difference here.
            label = key.split(".", 2)[2]
            return {machine.labels[label].lower()} if label in machine.labels else ()


def _told(constraint: Constraint, machine: Machine) -> str:
    own = ", ".join(sorted(_values(constraint.key, machine) or ()))
    return f"this machine's is `{own}`" if own else "this machine has no such label"
