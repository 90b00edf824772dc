"""Run the machine: start it, show what its checks say, stop it when it takes too long.

The exit code is 0 only when the checks came to their end and none of them failed. The disk is
never written: what the machine changes is in a temporary file that goes with it, through
every reboot.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kinds

LIMIT = 900.0
"""Seconds for everything, boots included, under emulation on a busy machine."""
LINES = 60
"""Of the console, shown when something is wrong."""


def main() -> int:
    """Run the machine whose parts are in the directory named; return the exit code."""
    return 0 if start(Path(sys.argv[1]), Guest()) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What a machine is started for."""

    checks: str = "guestbook"
    """What its kernel is told to check."""
    limit: float = LIMIT
    patience: str | None = None
    """How many times longer everything may take there; None for what its kind needs."""
    bare: bool = False
    """Whether it has no systemd."""
    said: Callable[[str], bool] = lambda line: False
    """Take a line of its own, and say whether it was one; others are printed."""


def start(cache: Path, guest: Guest) -> bool:
    """Run the machine whose parts are in ``cache``; return whether all its checks passed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # So that the machine is ended on the way out.
        signal.signal(number, lambda *_: sys.exit(1))
    for kind in kinds.choose(os.environ.get("PYORCH_VM_KIND", "")):
        print(f"a machine by {kind.title}", flush=True)
        kind.prepare(cache)
        with tempfile.TemporaryDirectory(prefix="pyorch-vm-") as folder:
            try:
                return run(cache, kind, Path(folder), guest)
            except UnusableError:
                print(f"{kind.title} does not work here", flush=True)
    return False


class UnusableError(Exception):
    """A machine of this kind cannot be run here."""


def run(cache: Path, kind: kinds.Kind, folder: Path, guest: Guest) -> bool:
    """Run the machine to its end; return whether all its checks passed."""
    told = [f"pyorch.checks={guest.checks}", f"pyorch.patience={guest.patience or kind.patience}"]
    if guest.bare:
        # What comes last is the first program's own.
        told += ["init=/usr/bin/tini", "--", "/usr/local/sbin/vm-bare"]
    with (folder / "checks").open("ab") as checks:
        files = kinds.Files(cache=cache, folder=folder, line=checks.fileno())
        with files.words.open("wb") as words:
            process = subprocess.Popen(
                kind.command(files, told),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                pass_fds=[files.line],
                start_new_session=True,
            )
    try:
        passed = follow(process, files, kind.complaint, guest)
    finally:
        end(process)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"the machine took {used.ru_utime + used.ru_stime:.0f} s of processor time", flush=True)
    if not passed:
        show(files.console)
        show(files.words)
    return passed


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the machine with all its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def follow(
    process: "subprocess.Popen[bytes]", files: kinds.Files, complaint: bytes, guest: Guest
) -> bool:
    """Print the checks' lines as they come; return whether all were made and passed.

    Raises UnusableError where the program says that there can be no machine, or ends before the
    machine said anything.
    """
    deadline = time.monotonic() + guest.limit
    began = time.monotonic()
    begun = ended = failed = False
    with files.checks.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        pending = ""
        while True:
            running = process.poll() is None
            pending += lines.read()
            *whole, pending = pending.split("\n")
            for line in (one.rstrip("\r") for one in whole):
                begun = True
                if guest.said(line):
                    continue
                print(f"{time.monotonic() - began:6.1f} {line}", flush=True)
                failed |= line.startswith("FAILED")
                ended |= line == "all checks made"
            if complaint and complaint in files.words.read_bytes():
                raise UnusableError
            if not running:
                break
            if time.monotonic() > deadline:
                print(f"FAILED the machine did not end within {guest.limit:.0f} s", flush=True)
                return False
            time.sleep(0.2)
    if not begun:
        show(files.words)
        raise UnusableError
    if not ended:
        print("FAILED the machine ended before its checks did", flush=True)
    return ended and not failed


def show(file: Path) -> None:
    """Print the end of a file."""
    if file.exists():
        lines = file.read_text(errors="replace").splitlines()[-LINES:]
        print(f"--- the last lines of {file.name}", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
