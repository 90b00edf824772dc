"""Log files for tests, written as a monitor writes them."""

from runtime.logs.folder import Segment, list_segments
from runtime.logs.packed import BLOCK, pack_block
from runtime.logs.records import NANO


def stamp(second: int) -> bytes:
    """Return a moment after the epoch as it stands in a file."""
    days, rest = divmod(second, 86400)
    assert days < 28
    hours, rest = divmod(rest, 3600)
    return b"1970-01-%02dT%02d:%02d:%02d.000000000+00:00" % (days + 1, hours, *divmod(rest, 60))


def written(second: int, text: bytes, kind: str = "F", stream: str = "stdout") -> bytes:
    """Return one record."""
    return b"%s %s %s %s\n" % (stamp(second), stream.encode(), kind.encode(), text)


class Given:
    """A file that is known: ``heads`` are where its records begin, and when they were written."""

    def __init__(self):
        self.data = b""
        self.heads = []
        self._now = 0

    def add(self, ahead: int, length: int, kind: str = "F"):
        """Write a record, ``ahead`` seconds after the one before."""
        self._now += ahead
        self.heads.append((len(self.data), self._now * NANO))
        self.data += written(self._now, b"x" * length, kind)


def segment_of(folder, data: bytes, *, packed=False, run=1, number=1, block=BLOCK) -> Segment:
    """Write one file of a log, and return it."""
    path = folder / f"{run}.{number}.log{'.gz' if packed else ''}"
    if packed:
        starts = range(0, len(data), block)
        path.write_bytes(b"".join(pack_block(data[at : at + block]) for at in starts))
    else:
        path.write_bytes(data)
    return next(one for one in list_segments(folder) if one.place == (run, number))
