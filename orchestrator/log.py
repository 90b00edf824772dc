"""The daemon's log: structured, dotted past-tense names, JSON unless somebody watches."""

import json
import logging
import os
import sys

import structlog


class EnduringLog:
    """Lines to a descriptor. What cannot be written holds up nobody who has something to tell.

    On a full disk, or one that has become read-only, lines are lost; how many is told as soon as
    one can be written again.
    """

    def __init__(self, descriptor: int) -> None:
        """Write to an open ``descriptor``, each line at once and by itself."""
        self._descriptor = descriptor
        self._lost = 0
        self._cut = False
        """The last line that was written has no end."""

    def write(self, text: str) -> None:
        """Write a line, or count it as lost."""
        line = text.encode(errors="backslashreplace")
        if self._lost:
            told = {"event": "log.lost", "lines": self._lost, "level": "warning"}
            line = json.dumps(told).encode() + b"\n" + line
        if self._cut:
            line = b"\n" + line
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            self._lost += 1
            return
        self._cut = written < len(line)
        self._lost = self._lost + 1 if self._cut else 0

    def flush(self) -> None:
        """Nothing: nothing waits to be written."""


def configure(*, verbose: bool = False) -> None:
    """Send events to stderr: pretty on a terminal, one JSON object a line otherwise."""
    pretty = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without the values of variables: some of them are secrets.
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
        logger_factory=lambda *_: structlog.WriteLogger(EnduringLog(sys.stderr.fileno())),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
