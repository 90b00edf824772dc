"""Whether a run has said some words yet: asked again and again, and hardly a line read twice."""

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runtime.files import in_thread
from runtime.logs.reading import LogReader, Place
from runtime.types import ProbeOutput

LONGEST_LOOK = 0.2
"""Seconds after which a look ends, however much there is still to read; the next one goes on."""
SHOWN = 400


@dataclass(slots=True)
class _Look:
    place: Place
    found: bytes | None = None


class Lookout:
    """Remembers how far it has read of every run that it was asked about."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._looks: dict[tuple[Path, str], _Look] = {}

    async def look(self, folder: Path, run: int, text: str) -> ProbeOutput:
        """Say whether a line of this run in the log ``folder`` has ``text`` in it by now."""
        look = self._looks.get((folder, text))
        if look is None or look.place.run != run:
            look = self._looks[folder, text] = _Look(Place(run, 0, 0))
        if look.found is None:
            await in_thread(_read_on, folder, look, text.encode())
        if look.found is None:
            return ProbeOutput(code=1, output=f"no line has said `{text}` yet".encode())
        return ProbeOutput(code=0, output=look.found)

    def forget(self, folder: Path) -> None:
        """Drop what is remembered of a log."""
        for key in [key for key in self._looks if key[0] == folder]:
            del self._looks[key]


def _read_on(folder: Path, look: _Look, text: bytes) -> None:
    until = time.monotonic() + LONGEST_LOOK
    with closing(LogReader(folder, start=look.place)) as reader:
        for line in reader.read(ended=False):
            if reader.place.run != look.place.run:
                return
            if text in line.text:
                look.found = line.text[:SHOWN]
                return
            if time.monotonic() > until:
                break
        if reader.place.run == look.place.run:
            look.place = reader.place
