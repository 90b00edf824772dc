"""Parts of a machine, as they are added up: processors, memory, and whatever else is counted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

MICRO = 1_000_000
"""Processors are counted in millionths: sums of fractions must not depend on their order."""
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of everything; of a kind that is not named, nothing."""

    micros: int = 0
    memory: int = 0
    units: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Amount") -> "Amount":
        return self._with(other, lambda mine, theirs: mine + theirs)

    def __sub__(self, other: "Amount") -> "Amount":
        return self._with(other, lambda mine, theirs: mine - theirs)

    def beyond(self, other: "Amount") -> "Amount":
        """Return what this is more than ``other``."""
        return self._with(other, lambda mine, theirs: max(mine - theirs, 0))

    def lacking(self, other: "Amount") -> Iterator[str]:
        """Yield the kinds of which this asks for more than ``other`` has.

        What asks for none of a thing does not mind that there is too little of it.
        """
        if self.micros > max(other.micros, 0):
            yield "cpus"
        if self.memory > max(other.memory, 0):
            yield "memory"
        for kind, number in sorted(self.units.items()):
            if number > max(other.units.get(kind, 0), 0):
                yield kind

    def fits(self, other: "Amount") -> bool:
        """Whether ``other`` has enough of everything that is asked for."""
        return next(self.lacking(other), None) is None

    def of(self, kind: str) -> str:
        """Return how much of a kind it is, in words; never less than nothing."""
        if kind == "cpus":
            return f"{max(self.micros, 0) / MICRO:g}"
        if kind == "memory":
            return _bytes(max(self.memory, 0))
        return str(max(self.units.get(kind, 0), 0))

    def _with(self, other: "Amount", how: Callable[[int, int], int]) -> "Amount":
        numbers = {
            kind: how(self.units.get(kind, 0), other.units.get(kind, 0))
            for kind in sorted({*self.units, *other.units})
        }
        return Amount(
            how(self.micros, other.micros),
            how(self.memory, other.memory),
            {kind: number for kind, number in numbers.items() if number},
        )


def amount(cpus: float, memory: int, units: Mapping[str, int]) -> Amount:
    """Return an amount of so many processors, bytes, and others by their kind."""
    return Amount(round(cpus * MICRO), memory, {k: n for k, n in sorted(units.items()) if n})


def _bytes(number: int) -> str:
    size = float(number)
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            return f"{size:.4g} {unit}"
        size /= 1024
    raise AssertionError("unreachable")
