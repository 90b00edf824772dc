"""More is printed than is kept for any while: how much, for whoever would look for it in vain.

That old files go is as it should be. That they go before anybody could have read them is not: then
the bounds of the log are too narrow, or something prints that should not.
"""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from runtime.logs.folder import Segment

YOUNG = 60.0
"""Seconds a file should be kept at least."""
TELL = 60.0
"""Seconds between two words on one log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """So many bytes of a log were kept for less than a minute."""

    size: int


class Floods:
    """Counts what goes too soon. May be told by any thread."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self._lock = threading.Lock()
        self._sizes: dict[Path, int] = {}
        self._told: dict[Path, float] = {}

    def note(self, segment: Segment) -> None:
        """Reckon with a file that goes."""
        if time.time() - segment.changed_wall < YOUNG:
            folder = segment.path.parent
            with self._lock:
                self._sizes[folder] = self._sizes.get(folder, 0) + segment.size

    def due(self, now: float, *, ended: Path | None = None) -> list[tuple[Path, Flood]]:
        """Return what is to be told, each once: when it begins, then every minute.

        What is left to be told of a log that has ``ended`` is told at once.
        """
        self._told = {folder: at for folder, at in self._told.items() if now - at < TELL}
        with self._lock:
            folders = [one for one in self._sizes if one == ended or one not in self._told]
            found = [(one, Flood(size=self._sizes.pop(one))) for one in folders]
        self._told |= dict.fromkeys(folders, now)
        return found
