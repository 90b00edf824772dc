"""The decision, as data: which actions, why, in which order, and what must wait.

A plan is finished when it is built. Whoever carries it out adds nothing to it and takes
nothing away, which is what makes ``pyorch plan`` and ``pyorch up`` agree. Only ``after``
binds the executor; the order of the lines is for the reader.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from scheduler.actions import Action, describe


@dataclass(frozen=True, slots=True)
class Step:
    """One action, the reason for it, and the steps that must succeed before it."""

    number: int
    action: Action
    reason: str
    after: tuple[int, ...] = ()

    def __str__(self) -> str:
        order = f" after {', '.join(f'#{n}' for n in self.after)}" if self.after else ""
        return f"#{self.number} {describe(self.action)}{order}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Something wanted and not yet allowed.

    ``stuck`` says that waiting alone will not free it: a person has to do something.
    """

    subject: str
    reason: str
    hint: str | None = None
    stuck: bool = False

    def __str__(self) -> str:
        return f"held {self.subject}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in an order that respects their ``after``, what is held, and when to look again."""

    steps: tuple[Step, ...] = ()
    held: tuple[Held, ...] = ()
    wake_at: float | None = None

    def __str__(self) -> str:
        return "\n".join([*map(str, self.steps), *map(str, self.held)])


@dataclass(slots=True)
class PlanBuilder:
    """Collects steps, numbering them from 1."""

    _steps: list[Step] = field(default_factory=list)
    _held: list[Held] = field(default_factory=list)
    _wake_at: float | None = None

    def add(self, action: Action, reason: str, *, after: Iterable[int] = ()) -> int:
        """Append a step and return its number."""
        number = len(self._steps) + 1
        self._steps.append(Step(number, action, reason, tuple(sorted(set(after)))))
        return number

    def numbers(self, kind: type[Action]) -> tuple[int, ...]:
        """Return the steps so far whose action is of a kind."""
        return tuple(step.number for step in self._steps if isinstance(step.action, kind))

    def hold(
        self, subject: str, reason: str, *, hint: str | None = None, stuck: bool = False
    ) -> None:
        """Note what is wanted and not yet allowed."""
        self._held.append(Held(subject=subject, reason=reason, hint=hint, stuck=stuck))

    def wake(self, moment: float) -> None:
        """Ask for another look at ``moment`` or before."""
        self._wake_at = moment if self._wake_at is None else min(self._wake_at, moment)

    def build(self) -> Plan:
        """Return the finished plan."""
        return Plan(tuple(self._steps), tuple(self._held), self._wake_at)
