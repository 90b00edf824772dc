"""What of a log was lost: written down beside it, and told in its place by whoever reads it."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.logs.folder import FILE_MODE

NAME = "lost.jsonl"
MOST = 256 * 1024
"""Bytes of such notes that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """So many bytes are missing between two moments (nanoseconds since the epoch)."""

    since: int
    at: int
    size: int
    why: str


def note_loss(folder: Path, loss: Loss) -> None:
    """Add a loss to what is known. Raises OSError where it cannot be written down."""
    path = folder / NAME
    data = json.dumps(asdict(loss)).encode() + b"\n"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, FILE_MODE)
    try:
        size = os.fstat(fd).st_size
        if size > MOST:
            os.ftruncate(fd, 0)
            size = 0
        # A note is there as a whole or not at all.
        if os.write(fd, data) != len(data):
            os.ftruncate(fd, size)
            raise OSError(28, "no space left on the disk", str(path))
    finally:
        os.close(fd)


def read_losses(folder: Path, offset: int = 0) -> Iterator[tuple[int, Loss]]:
    """Yield the losses noted after ``offset``, each with the offset behind it."""
    with contextlib.suppress(FileNotFoundError), (folder / NAME).open("rb") as file:
        if os.fstat(file.fileno()).st_size < offset:
            offset = 0
        file.seek(offset)
        for raw in file:
            offset += len(raw)
            with contextlib.suppress(ValueError, TypeError):
                yield offset, Loss(**json.loads(raw))
