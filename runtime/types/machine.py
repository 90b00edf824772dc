"""What the machine is, and what it can do."""

from dataclasses import dataclass
from enum import StrEnum

from runtime.types.names import Net
from runtime.types.networks import Listener


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the planner needs to know about the machine."""

    cpus: int
    memory: int
    routes: tuple[Net, ...]
    """Every destination the host routes, ours excepted."""
    listeners: tuple[Listener, ...]
    protocols: frozenset[str] = frozenset({"tcp", "udp"})
    """What ports can be published of."""


class Verdict(StrEnum):
    """What ``doctor`` says about one ability of this machine."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of ``doctor``: what was looked at, what was found, what to do about it."""

    subject: str
    verdict: Verdict
    detail: str
    remedy: str | None = None
