"""What becomes of a container whose files hold something else by now, in the runtime's words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.types import ContainerId, ExecProbe, Mount
from scheduler.ids import ReplicaId, StackName

Reaction = str | tuple[ExecProbe, float]
"""A signal, or a command with how long it may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshment:
    """Files that are to hold something else in one container, and how that is told to it."""

    stack: StackName
    replica: ReplicaId
    container: ContainerId
    files: tuple[Mount, ...]
    reactions: tuple[Reaction, ...]
    reason: str
    secrets: Sequence[bytes] = field(default=(), repr=False)
    """What is told of nobody."""

    @property
    def takes_time(self) -> bool:
        """Whether telling it is more than sending signals."""
        return any(isinstance(one, tuple) for one in self.reactions)
