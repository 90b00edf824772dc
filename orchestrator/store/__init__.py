"""What must outlive the daemon: what people want, and the history no host can tell.

One SQLite file in WAL mode. Contents of secrets never enter it: they are files of mode
0600, one folder a generation, and go with the last generation that uses them. What runs
is not in here at all; it is read from the host, so a lost database loses no container.
"""

from orchestrator.store.events import KEPT_EVENTS
from orchestrator.store.oneoffs import OneOff
from orchestrator.store.replicas import KEPT_ENDINGS
from orchestrator.store.runs import KEPT_RUNS, RunChanges
from orchestrator.store.schema import SCHEMA
from orchestrator.store.stacks import KEPT_GENERATIONS
from orchestrator.store.store import Store
from orchestrator.store.values import (
    Clock,
    Ending,
    Generation,
    Hook,
    HookMark,
    ReplicaHistory,
    RunState,
    StoredRun,
    StoredStack,
    Update,
    Wish,
)

__all__ = [
    "KEPT_ENDINGS",
    "KEPT_EVENTS",
    "KEPT_GENERATIONS",
    "KEPT_RUNS",
    "SCHEMA",
    "Clock",
    "Ending",
    "Generation",
    "Hook",
    "HookMark",
    "OneOff",
    "ReplicaHistory",
    "RunChanges",
    "RunState",
    "Store",
    "StoredRun",
    "StoredStack",
    "Update",
    "Wish",
]
