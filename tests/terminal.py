"""A command at a pseudo-terminal, and somebody who types."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.patience import patient

PATIENCE = patient(30.0)


class Terminal:
    """One command with a terminal of its own. Use it as a context."""

    def __init__(self, pyorch, *words, columns=80, rows=24):
        """Start it."""
        self.shown = b""
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [*pyorch.inside, Path(sys.executable).parent / "pyorch", *words],
            cwd=pyorch.work,
            env={**pyorch.environment, "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def resize(self, columns, rows):
        """Give it another size, as a window manager does."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        """Type, keys that make no character included."""
        os.write(self._master, text.encode())

    def until(self, wanted):
        """Return what was shown up to and with ``wanted``, and forget it."""
        deadline = time.monotonic() + PATIENCE
        while wanted.encode() not in self.shown:
            assert self._read(deadline), f"no {wanted!r} in {self.shown!r}"
        shown, found, self.shown = self.shown.partition(wanted.encode())
        return (shown + found).decode()

    def end(self):
        """Return its exit code and what else it showed."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE), self.shown.decode()

    def _read(self, deadline):
        left = max(deadline - time.monotonic(), 0.0)
        if not select.select([self._master], [], [], left)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False  # everybody has let go of it
        self.shown += data
        return bool(data)
