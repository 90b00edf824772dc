"""Who is under way with what, and since when: so that it is seen where nothing moves any more.

Everything a pass waits for has a limit of its own. What is here far longer than any of them has
come upon something that nobody thought of.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

STUCK = 300.0
"""Seconds after which what does not end is taken for stuck."""


@dataclass(slots=True)
class _Pass:
    moved: float
    steps: dict[int, tuple[str, float]] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """Passes and their steps, and the last sweep, by the clock ``now``."""

    now: Callable[[], float]
    swept: float | None = None
    """When the last sweep ended; None before the first one is begun."""
    _passes: dict[str, _Pass] = field(default_factory=dict)

    @contextmanager
    def passing(self, stack: str) -> Iterator[None]:
        """Have a pass over ``stack`` under way while the context lasts."""
        self._passes[stack] = _Pass(self.now())
        try:
            yield
        finally:
            del self._passes[stack]

    @contextmanager
    def working(self, stack: str, number: int, words: str, *, patient: bool) -> Iterator[None]:
        """Have a step of that pass under way while the context lasts.

        A ``patient`` one may take any time: whether it gets on is watched elsewhere.
        """
        found = self._passes[stack]
        found.steps[number] = (words, math.inf if patient else self.now())
        try:
            yield
        finally:
            del found.steps[number]
            found.moved = self.now()

    def note_sweep(self) -> None:
        """Note that the daemon has looked everywhere."""
        self.swept = self.now()

    def stuck(self) -> Iterator[tuple[str, str]]:
        """Yield what does not move any more: its name, and for how long."""
        now = self.now()
        for stack, found in sorted(self._passes.items()):
            for words, since in found.steps.values():
                if now - since > STUCK:
                    yield f"stack `{stack}`", f"`{words}` has not ended for {now - since:.0f} s"
            if not found.steps and now - found.moved > STUCK:
                why = f"a pass has come no further for {now - found.moved:.0f} s"
                yield f"stack `{stack}`", why
        if self.swept is not None and now - self.swept > STUCK:
            yield (
                "sweep",
                f"the last one was {now - self.swept:.0f} s ago",
            )
