"""Where documents are put together: their directory, their variables, and who listens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Protocol

from orchestrator.spec.reading.remotes import Remotes
from orchestrator.spec.tree import Map, Origin, Path, Troubles


@dataclass(slots=True)
class Notes:
    """What a load leaves behind besides its document."""

    warnings: list[str] = field(default_factory=list)
    read: list[FilePath] = field(default_factory=list)
    included: int = 0
    _missing: set[str] = field(default_factory=set)

    def warn(self, mark: Origin | None, path: Path, text: str) -> None:
        """Note something odd, with its place."""
        where = f"{mark.mark}: " if mark else ""
        self.warnings.append(f"{where}{'.'.join(path)}: {text}" if path else f"{where}{text}")

    def missing(self, name: str, mark: Origin | None, path: Path) -> None:
        """Note a variable that is not set; its first place is enough."""
        if name not in self._missing:
            self._missing.add(name)
            self.warn(mark, path, f"the variable `{name}` is not set, a blank string is used")


@dataclass(frozen=True, slots=True)
class Place:
    """Where documents are: their directory, and what their relative paths begin with.

    ``base`` is None where paths are to stay as they are.
    """

    directory: FilePath
    base: str | None
    variables: Mapping[str, str]


class Assembly(Protocol):
    """What including and extending ask of whoever puts files together."""

    troubles: Troubles
    notes: Notes
    place: Place
    remotes: Remotes
    home: str | None
    traced: bool
    """Whether values remember every step that brought them where they are."""

    def at(self, place: Place) -> "Assembly":
        """Return one that works elsewhere, and reports to the same ears."""

    def assemble(self, files: list[str], above: tuple[str, ...] = ()) -> Map:
        """Return the canonical document of ``files``; ``above`` are those that include them."""

    def documents(self, file: str) -> list[tuple[Map, tuple[Path, ...]]]:
        """Return a file's documents, filled, each with the paths it clears below."""

    def settle(self, model: Map, file: str, *, strict: bool = True) -> None:
        """Check a document and write it out, in place."""
