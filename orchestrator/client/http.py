"""HTTP over a unix socket, as much of it as one request and its answer need.

The standard library's client reads headers with its mail parser, and loading that takes
longer than most commands. Requests are HTTP/1.0 (RFC 1945), so that an answer, however
long it takes, is simply what comes until the connection is closed.
"""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

LONGEST_LINE = 65536


class BadAnswerError(ConnectionError):
    """What came back is not an answer in HTTP."""


class Answer:
    """An answer whose status is known and whose body is still to be read. Close it."""

    def __init__(self, channel: socket.socket) -> None:
        """Read the status and the headers."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._channel = channel
        self._file: BinaryIO = channel.makefile("rb")
        try:
            self._read_head()
        except BaseException:
            self.close()
            raise

    def _read_head(self) -> None:
        try:
            version, status, *_ = self._line().split(" ", 2)
            if not version.startswith("HTTP/1."):
                raise BadAnswerError(f"`{version}` is no version of HTTP")
            self.status = int(status)
        except ValueError as error:
            raise BadAnswerError(str(error)) from None
        while line := self._line():
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    def read(self) -> bytes:
        """Return the body. Raises BadAnswerError where the end of it is missing."""
        data = self._file.read()
        length = self.headers.get("content-length", "")
        if length.isdigit() and len(data) < int(length):
            raise BadAnswerError(f"{len(data)} bytes of {length} came")
        return data

    def read_some(self, size: int) -> bytes:
        """Return as much of the body as there is, ``size`` bytes at most; nothing at its end."""
        return self._file.read(size)

    def readline(self, *, within: float | None = None) -> bytes:
        """Return the next line of the body; nothing at its end.

        Raises TimeoutError when nothing comes for ``within`` seconds; only closing is left then.
        """
        self._channel.settimeout(within)
        return self._file.readline()

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()
        self._channel.close()

    def _line(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise BadAnswerError("the connection was closed before an answer")
        return line.decode("latin-1").rstrip("\r\n")


def connect(path: Path) -> socket.socket:
    """Open the socket at ``path``."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(str(path))
    except BaseException:
        channel.close()
        raise
    return channel


def request(
    channel: socket.socket,
    method: str,
    path: str,
    data: bytes | None,
    headers: Mapping[str, str],
    *,
    version: str = "HTTP/1.0",
) -> None:
    """Send one request. ``path`` is quoted already."""
    lines = [f"{method} {path} {version}", "Host: pyorch"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if data is not None:
        lines.append(f"Content-Length: {len(data)}")
    channel.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + (data or b""))
