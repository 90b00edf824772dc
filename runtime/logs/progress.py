"""How far the lines of one log have been sent on: written down beside it, for the next daemon."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.files import read_json, write_atomic
from runtime.logs.losses import Loss, note_loss
from runtime.logs.reading import Place
from runtime.plain import read_plain, write_plain
from runtime.types import LogConfig

FOLDER = "sending"
"""Below a log's own folder: what is written there wakes nobody who waits for lines."""
NAME = "progress.json"

File = tuple[int, int]
"""A run, and the number of a file of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What becomes of the lines of a run and of those after it; None is that they stay here."""

    since: int
    config: LogConfig | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Up to where lines have been sent, and where those that come are to go.

    The next line is the one after so many ``lines`` from ``place`` on. ``gone`` are files that
    were removed, with their sizes, and are at best open still: whoever begins anew has lost them.
    """

    place: Place
    lines: int = 0
    routes: tuple[Route, ...] = ()
    gone: tuple[tuple[int, int, int], ...] = ()
    unsent: int = 0
    """Bytes of files that went before they could be sent, heads of records included."""

    def route(self, run: int) -> Route | None:
        """Return where lines of a run go."""
        return next((one for one in reversed(self.routes) if one.since <= run), None)


def routed(routes: Iterable[Route], new: Route) -> tuple[Route, ...]:
    """Return ``routes`` with another one behind them, where it says anything new."""
    kept = tuple(one for one in routes if one.since < new.since)
    return kept if kept and kept[-1].config == new.config else (*kept, new)


def is_begun(folder: Path) -> bool:
    """Whether lines of the log in ``folder`` have been sent on, or were to be."""
    return (folder / FOLDER / NAME).exists()


def load_progress(folder: Path) -> Progress | None:
    """Return what is written down beside a log; None where nothing is, or nothing of use."""
    try:
        return read_plain(Progress, read_json(folder / FOLDER / NAME))
    except ValueError:
        return None


def save_progress(folder: Path, progress: Progress) -> None:
    """Write it down beside the log. Raises OSError; a log that is gone stays so."""
    place = folder / FOLDER
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    write_atomic(place / NAME, write_plain(progress))


def note_unsent(folder: Path, loss: Loss) -> None:
    """Add to the ledger of what could not be sent; the log itself is whole."""
    note_loss(folder / FOLDER, loss)


def end_progress(folder: Path) -> None:
    """Forget how far it was sent: nothing more is."""
    (folder / FOLDER / NAME).unlink(missing_ok=True)
