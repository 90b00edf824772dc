"""What is counted while the daemon lives, for whoever asks how it has been doing. Pure.

To count costs an addition; everything else a measure needs is looked up when it is asked for.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the classes passes are sorted into, in seconds; one more has no bound."""


@dataclass(slots=True)
class Tally:
    """Facts by their name, and passes by how long they took, since the daemon began."""

    facts: Counter[str] = field(default_factory=Counter)
    passes: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    took: float = 0.0
    """Seconds of all passes together."""

    def note_fact(self, name: str) -> None:
        """Count a fact that was told."""
        self.facts[name] += 1

    def note_pass(self, took: float) -> None:
        """Count a pass of so many seconds."""
        self.passes[bisect_left(BOUNDS, took)] += 1
        self.took += took

    def up_to(self) -> tuple[tuple[str, int], ...]:
        """Return for each bound how many passes took as long or less; ``+Inf`` is all of them."""
        found, count = [], 0
        for bound, more in zip((*map(str, BOUNDS), "+Inf"), self.passes, strict=True):
            count += more
            found.append((bound, count))
        return tuple(found)
