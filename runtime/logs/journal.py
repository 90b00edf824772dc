"""A line as the journal has it: fields of an entry in its native protocol. Pure.

One entry is one datagram: ``FIELD=value`` and a newline, or where the value has newlines of its
own ``FIELD``, a newline, its length in eight bytes, the value, and a newline. See
https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
"""

import re
import struct
from collections.abc import Iterator

from runtime.logs.records import Line
from runtime.types import LogConfig

INFO, ERROR = b"6", b"3"
LONGEST_FIELD = 64
"""Characters in the name of a field."""
OWN = (
    "MESSAGE", "PRIORITY", "CONTAINER_ID", "CONTAINER_ID_FULL", "CONTAINER_NAME", "CONTAINER_TAG",
    "IMAGE_NAME", "SYSLOG_IDENTIFIER", "SYSLOG_TIMESTAMP", "CONTAINER_PARTIAL_MESSAGE",
    "CONTAINER_PARTIAL_ID", "CONTAINER_PARTIAL_ORDINAL", "CONTAINER_PARTIAL_LAST",
)  # fmt: skip
"""Fields no label or variable can be told in: who reads them is to know whose they are."""

_FOREIGN = re.compile(r"[^A-Z0-9_]")
_SIZE = struct.Struct("<Q")


class JournalWriter:
    """Writes lines of one container as entries."""

    def __init__(self, config: LogConfig) -> None:
        """Tell with every line whose it is, as ``config`` says."""
        fields = {
            "CONTAINER_ID": config.container,
            "CONTAINER_ID_FULL": config.container,
            "CONTAINER_NAME": config.name,
            "CONTAINER_TAG": config.tag,
            "IMAGE_NAME": config.image,
            "SYSLOG_IDENTIFIER": config.tag,
        }
        for name, text in config.attributes.items():
            found = field_name(name)
            if found and found not in OWN:
                fields[found] = text
        self._fixed = b"".join(field(name, text.encode()) for name, text in fields.items())
        self._cut: dict[str, tuple[str, int]] = {}

    def write(self, line: Line) -> Iterator[bytes]:
        """Yield the entry a line makes."""
        yield b"".join(
            (
                field("MESSAGE", line.text),
                field("PRIORITY", ERROR if line.stream == "stderr" else INFO),
                field("SYSLOG_TIMESTAMP", line.stamp.encode()),
                self._fixed,
                self._piece(line),
            )
        )

    def _piece(self, line: Line) -> bytes:
        """Return the fields by which pieces of a line are put together again."""
        begun = self._cut.pop(line.stream, None)
        if begun is None and not line.cut:
            return b""
        whole, ordinal = begun or (f"{line.stream}-{line.at:x}", 1)
        if line.cut:
            self._cut[line.stream] = whole, ordinal + 1
        told = {
            "CONTAINER_PARTIAL_ID": whole,
            "CONTAINER_PARTIAL_ORDINAL": str(ordinal),
            "CONTAINER_PARTIAL_LAST": "false" if line.cut else "true",
        }
        if line.cut:
            told["CONTAINER_PARTIAL_MESSAGE"] = "true"
        return b"".join(field(name, text.encode()) for name, text in told.items())


def field(name: str, value: bytes) -> bytes:
    """Return one field of an entry."""
    if b"\n" in value:
        return b"%s\n%s%s\n" % (name.encode(), _SIZE.pack(len(value)), value)
    return b"%s=%s\n" % (name.encode(), value)


def field_name(given: str) -> str:
    """Return the name the journal lets a label or a variable have; empty where it lets none."""
    found = _FOREIGN.sub("_", given.upper() if given.isascii() else _upper(given))
    found = found.lstrip("_")[:LONGEST_FIELD]
    return "" if found[:1].isdigit() else found


def _upper(given: str) -> str:
    # Only those of ASCII: a letter that becomes two would have a name nobody expects.
    return "".join(one.upper() if one.isascii() else one for one in given)
