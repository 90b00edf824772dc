"""A line as syslog has it: RFC 3164 and what local sockets take, and RFC 5424. Pure.

The formats are the ones other engines write, so that rules of whoever receives them go on
working; only the time is that of the line, not that of its being sent.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

from runtime.logs.records import NANO, Line
from runtime.types import SyslogConfig

PIECE = 16 * 1024
"""Bytes of a line in one message: what is longer comes in several."""
INFO, ERROR = 6, 3
"""Severities of what comes from standard output and from standard error."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNPRINTABLE = re.compile(r"[^!-~]")
_LONGEST_NAME, _LONGEST_ID, _LONGEST_HOST = 48, 32, 255
"""RFC 5424, 6: APP-NAME, MSGID and HOSTNAME."""


def is_counted(config: SyslogConfig) -> bool:
    """Whether messages on a stream are told apart by their length (RFC 5425), not by newlines.

    Only where others do so, too: who listens cannot always take both.
    """
    return config.network == "tcp+tls" and config.format.startswith("rfc5424")


class SyslogWriter:
    """Writes lines of one container as messages."""

    def __init__(self, config: SyslogConfig, *, tag: str, host: str, pid: int) -> None:
        """Write as ``config`` says. ``pid`` is the process that vouches for the messages."""
        self._config = config
        self._pid = pid
        self._modern = config.format.startswith("rfc5424")
        tag = _UNPRINTABLE.sub("_", tag) or "-"
        host = (_UNPRINTABLE.sub("_", host) or "-")[:_LONGEST_HOST]
        if self._modern:
            name, kind = tag[:_LONGEST_NAME], tag[:_LONGEST_ID]
            self._middle = f" {host} {name} {pid} {kind} - ".encode()
        elif config.format:
            self._middle = f" {host} {tag}[{pid}]: ".encode()
        else:
            self._middle = f" {tag}[{pid}]: ".encode()

    def write(self, line: Line) -> Iterator[bytes]:
        """Yield the messages a line makes; an empty one makes none."""
        severity = ERROR if line.stream == "stderr" else INFO
        head = b"<%d>" % (self._config.facility * 8 + severity)
        head += (b"1 " if self._modern else b"") + self._time(line.at) + self._middle
        for piece in cut(line.text, PIECE):
            yield head + piece

    def _time(self, at: int) -> bytes:
        seconds, fraction = divmod(at, NANO)
        if not self._modern:
            return _stamp(seconds)
        day, zone = _moment(seconds)
        if self._config.format == "rfc5424micro":
            return b"%s.%06d%s" % (day, fraction // 1000, zone)
        return day + zone


def cut(text: bytes, most: int) -> Iterator[bytes]:
    """Yield ``text`` in pieces of at most ``most`` bytes, and no character in two of them."""
    start = 0
    while start < len(text):
        end = start + most
        if end < len(text):
            # The bytes of a character but its first are 10xxxxxx; there are three at most.
            end -= next((n for n in range(4) if text[end - n] & 0xC0 != 0x80), 0)
        yield text[start:end]
        start = end


@lru_cache(maxsize=64)
def _stamp(seconds: int) -> bytes:
    """Return local time as RFC 3164, 4.1.2 has it."""
    at = datetime.fromtimestamp(seconds)  # noqa: DTZ006 - it has no zone there
    return f"{_MONTHS[at.month - 1]} {at.day:2} {at:%H:%M:%S}".encode()


@lru_cache(maxsize=64)
def _moment(seconds: int) -> tuple[bytes, bytes]:
    """Return local time as RFC 3339 has it: to the second, and the zone."""
    at = datetime.fromtimestamp(seconds).astimezone()
    zone = at.isoformat()[-6:]
    return f"{at:%Y-%m-%dT%H:%M:%S}".encode(), b"Z" if zone == "+00:00" else zone.encode()
