"""What a stack was before: its kept generations, what changed between them, which to go back to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.changes import Change, changes, in_words
from orchestrator.errors import PyorchError
from orchestrator.store import Generation, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationView:
    """One generation, for people. ``changed`` says in a line what it changed."""

    number: int
    present: bool
    accepted_wall: float
    accepted_uid: int
    origin: str
    images: Mapping[str, str]
    changed: str

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generations:
    """The kept generations of every stack."""

    store: Store

    def history(self, stack: str) -> tuple[GenerationView, ...]:
        """Describe the kept generations of a stack, the newest first."""
        present = self._present(stack)
        kept = self.store.stacks.generations(stack)
        older: tuple[Generation | None, ...] = (*kept[1:], None)
        return tuple(
            GenerationView(
                number=one.number,
                present=one.number == present,
                accepted_wall=one.accepted_wall,
                accepted_uid=one.accepted_uid,
                origin=one.origin,
                images=one.images,
                changed=self._changed(stack, before, one),
            )
            for one, before in zip(kept, older, strict=True)
        )

    def diff(self, stack: str, old: int, new: int) -> tuple[Change, ...]:
        """Return what is different in generation ``new``. Raises PyorchError for one not kept."""
        before, before_images = self.document(stack, old)
        after, after_images = self.document(stack, new)
        # Where it was loaded from says nothing about what it is.
        for document in (before, after):
            document.pop("origin", None)
        return (
            *changes(before, after),
            *changes(before_images, after_images, ("images",)),
        )

    def document(self, stack: str, number: int) -> tuple[dict[str, object], dict[str, str]]:
        """Return a generation's file, and its images. Raises PyorchError for one not kept."""
        self._present(stack)
        try:
            return self.store.stacks.generation(stack, number)
        except KeyError:
            kept = ", ".join(str(one.number) for one in self.store.stacks.generations(stack))
            raise PyorchError(
                f"stack `{stack}` has no generation {number}",
                hint=f"kept are {kept}; see `pyorch history`",
                code="not_found",
            ) from None

    def before(self, stack: str) -> int:
        """Return the newest generation that is not the same as the present one.

        Raises PyorchError where there is none.
        """
        present = self._present(stack)
        for one in self.store.stacks.generations(stack):
            if one.number != present and self.diff(stack, one.number, present):
                return one.number
        raise PyorchError(
            f"there is nothing to roll stack `{stack}` back to",
            hint="all that is kept of it is as it is now; see `pyorch history`",
            code="conflict",
        )

    def _present(self, stack: str) -> int:
        stored = self.store.stacks.find(stack)
        if stored is None:
            raise PyorchError(
                f"no stack named `{stack}` is known here", hint="see `pyorch ls`", code="not_found"
            )
        return stored.generation

    def _changed(self, stack: str, before: Generation | None, one: Generation) -> str:
        if before is None:
            return ""
        return in_words(self.diff(stack, before.number, one.number))
