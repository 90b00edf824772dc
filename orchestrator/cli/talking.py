"""Both ends of a conversation with a process: this terminal, and frames over a socket."""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Any

from orchestrator.client import read_frame
from orchestrator.errors import PyorchError
from orchestrator.frames import ERROR, EXIT, RESIZE, SIGNAL, STDERR, STDIN, STDOUT, frame

PASSED_ON = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
)
"""Signals that are meant for the process at the other end, where somebody says so."""
INSISTING = 3
"""So many SIGINT and SIGTERM end this process, whatever the other one makes of them."""
DETACH_KEYS = "ctrl-p,ctrl-q"
_SPECIAL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


class Keys:
    """Looks for the keys that leave a process to itself among what is typed."""

    def __init__(self, wanted: bytes) -> None:
        """Look for ``wanted``; nothing is never found."""
        self._wanted = wanted
        self._seen = b""

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """Return what is to be passed on, and whether all keys have been typed in a row.

        The beginning of them is held back until it is clear that they are not meant.
        """
        passed = b""
        for byte in data if self._wanted else ():
            self._seen += bytes([byte])
            if self._seen == self._wanted:
                return passed, True
            while self._seen and not self._wanted.startswith(self._seen):
                passed += self._seen[:1]
                self._seen = self._seen[1:]
        return (passed, False) if self._wanted else (data, False)


def parse_keys(text: str) -> bytes:
    """Read keys like ``ctrl-p,ctrl-q`` or ``x``. Raises PyorchError."""
    found = b""
    for key in filter(None, text.split(",")):
        name = key.removeprefix("ctrl-")
        if key == name and len(key.encode()) == 1:
            found += key.encode()
        elif len(name) == 1 and name.isascii() and name.isalpha():
            found += bytes([ord(name.lower()) - ord("a") + 1])
        elif name in _SPECIAL:
            found += bytes([_SPECIAL[name]])
        else:
            raise PyorchError(
                f"`{key}` is no key", hint="write a character, or `ctrl-` and one of a-z@[\\]^_"
            )
    return found


def talk(
    channel: socket.socket,
    *,
    terminal: bool,
    hears: bool = True,
    passes_signals: bool = False,
    keys: bytes = b"",
    first: tuple[int, bytes] | None = None,
) -> int | None:
    """Carry bytes both ways until the process ends; return its exit code.

    None where ``keys`` were typed: it goes on by itself. ``first`` is a frame that has come
    already. The daemon takes no more than the process reads, which may wait for its own output to
    be taken: neither way is ever waited for alone.
    """
    with _raw_terminal(enabled=terminal), _signals(resizes=terminal, all_=passes_signals) as told:
        return _talk(channel, told, hears=hears, keys=Keys(keys), first=first)


def _talk(
    channel: socket.socket,
    told: int,
    *,
    hears: bool,
    keys: Keys,
    first: tuple[int, bytes] | None,
) -> int | None:
    outgoing = b""
    insisted = 0
    if first is not None and (code := _take(*first)) is not None:
        return code
    while True:
        idle = [told, *([sys.stdin] if hears else [])]
        sources: list[Any] = [channel, *([] if outgoing else idle)]
        ready, writable, _ = select.select(sources, [channel] if outgoing else [], [])
        if told in ready:
            for number in os.read(told, 4096):
                if number == signal.SIGWINCH:
                    outgoing += resized(*terminal_size())
                    continue
                insisted += number in (signal.SIGINT, signal.SIGTERM)
                if insisted >= INSISTING:
                    raise KeyboardInterrupt
                outgoing += frame(SIGNAL, json.dumps({"number": number}).encode())
        if sys.stdin in ready:
            data = os.read(sys.stdin.fileno(), 65536)
            passed, left = keys.take(data)
            if left:
                return None
            hears = bool(data)
            if passed or not hears:
                outgoing += frame(STDIN, passed)
        if writable:
            outgoing = outgoing[channel.send(outgoing, socket.MSG_DONTWAIT) :]
        if channel in ready:
            found = read_frame(channel)
            if found is None:
                raise PyorchError("the daemon closed the connection")
            if (code := _take(*found)) is not None:
                return code


def _take(kind: int, data: bytes) -> int | None:
    """Show what a frame holds; return the exit code where it is that."""
    match kind:
        case _ if kind == STDOUT:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        case _ if kind == STDERR:
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
        case _ if kind == EXIT:
            return int(json.loads(data)["code"])
        case _ if kind == ERROR:
            problem = json.loads(data)
            raise PyorchError(problem["detail"], hint=problem.get("hint"))
        case _:
            pass
    return None


@contextlib.contextmanager
def _signals(*, resizes: bool, all_: bool) -> Iterator[int]:
    """Have signals come as bytes of the descriptor that is yielded."""
    told, tell = os.pipe()

    def pass_on(number: int, stack: FrameType | None) -> None:
        del stack
        os.write(tell, bytes([number]))

    wanted = ((signal.SIGWINCH,) if resizes else ()) + (PASSED_ON if all_ else ())
    before = {number: signal.signal(number, pass_on) for number in wanted}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(told)
        os.close(tell)


def terminal_size() -> tuple[int, int]:
    """Return the columns and rows of the terminal output goes to; the usual ones elsewhere."""
    try:
        # Never what variables say: those are of the time the shell was started.
        return os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return 80, 24


def resized(columns: int, rows: int) -> bytes:
    """Return the frame that tells of a terminal's size."""
    return frame(RESIZE, json.dumps({"columns": columns, "rows": rows}).encode())


@contextlib.contextmanager
def _raw_terminal(*, enabled: bool) -> Iterator[None]:
    if not enabled:
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        # Without flushing: what was typed ahead is meant, too.
        tty.setraw(sys.stdin, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
