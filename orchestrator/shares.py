"""What all stacks together hold of the machine, and who waits for some of it."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from scheduler import Reservation
from scheduler.observed import Claim

T = TypeVar("T")


class Shares:
    """The part of each stack, since it was last planned."""

    def __init__(self) -> None:
        """Know of no stack yet."""
        self._held: dict[str, Reservation] = {}
        self._claims: dict[str, tuple[Claim, ...]] = {}

    def begin(self, held: Mapping[str, Reservation]) -> None:
        """Start from what runs already."""
        self._held = dict(held)

    def note(self, stack: str, held: Reservation, claims: tuple[Claim, ...]) -> tuple[str, ...]:
        """Note what a stack holds and waits for; return who may go on, where it holds less."""
        before = self._held.get(stack, Reservation())
        self._held[stack], self._claims[stack] = held, claims
        if not held.is_less(before):
            return ()
        return tuple(other for other, waiting in self._claims.items() if waiting and other != stack)

    def forget(self, stack: str) -> tuple[str, ...]:
        """Give back what a stack held; return who may go on."""
        freed = self.note(stack, Reservation(), ())
        del self._held[stack], self._claims[stack]
        return freed

    def held_by_others(self, stack: str) -> Reservation:
        """Return what all other stacks hold together."""
        return sum((held for _, held in _others(self._held, stack)), Reservation())

    def claims_of_others(self, stack: str) -> tuple[Claim, ...]:
        """Return what the replicas of all other stacks wait for."""
        return tuple(one for _, claims in _others(self._claims, stack) for one in claims)


def _others(of: Mapping[str, T], stack: str) -> Iterator[tuple[str, T]]:
    return ((name, value) for name, value in of.items() if name != stack)
