"""Run the tests the host asked for, a file at a time, and tell it of each as soon as it ended."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import report

ASKED = Path("/mnt/host/tests")
RESULTS = Path("/run/results")
WORDS = Path("/var/log/tests")
PATIENCE = "pyorch.patience="
"""What the kernel was started with: how many times longer than elsewhere everything may take."""
LONGEST = 3600.0
"""Seconds for the tests of one file."""
LINES = 25
"""Of what pytest printed, told when a file could not be run."""


def main() -> None:
    """Run everything that was asked for, then end the machine where that is systemd's to do."""
    Path("/var/tmp/tests").mkdir(exist_ok=True)
    crun = subprocess.run(["crun", "--version"], capture_output=True, text=True, check=True)
    versions = [crun.stdout.splitlines()[0], f"patience {patience()}"]
    report.say(", ".join(["the machine: Linux " + os.uname().release, *versions]))
    asked = ASKED.read_text().split("\n")
    for file, names in groupby(filter(None, asked), key=lambda name: name.partition("::")[0]):
        run(file, list(names))
    report.say("all checks made")
    os.sync()
    if Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "poweroff"], check=True)


def run(file: str, names: list[str]) -> None:
    """Run the tests of one file and tell of each."""
    RESULTS.write_text("")
    line = [sys.executable, "-m", "pytest", "-q", "-p", "tests.results", "-p", "no:randomly"]
    line += ["-p", "no:cacheprovider", *names]
    more = {
        "PYORCH_RESULTS": str(RESULTS),
        "PYORCH_PATIENCE": patience(),
        "PYTEST_DEBUG_TEMPROOT": "/var/tmp/tests",
        "HOME": "/root",
    }
    with WORDS.open("w") as words:
        process = subprocess.Popen(
            line, stdout=words, stderr=words, env={**os.environ, **more}, start_new_session=True
        )
        killer = threading.Timer(LONGEST, process.kill)
        killer.start()
        for result in results(process):
            report.say(f"result {result}")
        killer.cancel()
    # 1 is for tests that failed: they have been told of.
    if process.returncode not in (0, 1):
        last = WORDS.read_text().splitlines()[-LINES:]
        report.say("\n".join([f"FAILED {file}: pytest ended with {process.returncode}", *last]))


def patience() -> str:
    """Return how many times longer than elsewhere everything may take."""
    words = Path("/proc/cmdline").read_text().split()
    return next(word.removeprefix(PATIENCE) for word in words if word.startswith(PATIENCE))


def results(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """Yield each result as it is written, until the process has ended."""
    with RESULTS.open() as file:
        pending, running = "", True
        while running:
            try:
                process.wait(0.5)
                running = False
            except subprocess.TimeoutExpired:
                pass
            *whole, pending = (pending + file.read()).split("\n")
            yield from whole


if __name__ == "__main__":
    main()
