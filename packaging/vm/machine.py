"""Run the machine: start qemu, show what its checks say, stop it when it takes too long.

The exit code is 0 only when the checks came to their end and none of them failed. The disk is
never written: what the machine changes is in a temporary file that goes with it, through
every reboot.
"""

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

LIMIT = 900.0
"""Seconds for everything, boots included, under emulation on a busy machine."""
PATIENCE = {"kvm": "2", "tcg": "6"}
"""How many times longer than elsewhere everything may take on a processor of this kind."""
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
    """How many times longer everything may take there; None for what the processor needs."""
    said: Callable[[str], bool] = lambda line: False
    """Take a line of its own, and say whether it was one; others are printed."""


def start(cache: Path, guest: Guest) -> bool:
    """Run the machine whose parts are in ``cache``; return whether all its checks passed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # So that qemu is ended on the way out.
        signal.signal(number, lambda *_: sys.exit(1))
    accelerators = ["kvm", "tcg"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else ["tcg"]
    for accelerator in accelerators:
        with tempfile.TemporaryDirectory(prefix="pyorch-vm-") as folder:
            try:
                return run(cache, accelerator, Path(folder), guest)
            except NoAccelerationError:
                print("kvm does not work on this machine: emulating", flush=True)
    return False


class NoAccelerationError(Exception):
    """There is a /dev/kvm, and it cannot run a machine."""


def run(cache: Path, accelerator: str, folder: Path, guest: Guest) -> bool:
    """Run the machine to its end; return whether all its checks passed."""
    console, checks, words = (folder / name for name in ("console", "checks", "qemu"))
    checks.touch()
    with words.open("wb") as file:
        process = subprocess.Popen(
            command(cache, accelerator, console, checks, guest),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        passed = follow(process, checks, words, guest)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"the machine took {used.ru_utime + used.ru_stime:.0f} s of processor time", flush=True)
    if not passed:
        show(console)
        show(words)
    return passed


def command(cache: Path, accelerator: str, console: Path, checks: Path, guest: Guest) -> list[str]:
    """Return qemu's command line: two serial lines, two disks, no way out of its network."""
    # What an emulated processor is slow at, and nobody needs: five levels of page tables, and
    # the kernel's guards against a processor that guesses.
    line = ["qemu-system-x86_64", "-machine", f"q35,accel={accelerator}"]
    line += ["-cpu", "max,la57=off,svm=off"]
    line += ["-smp", str(min(os.cpu_count() or 1, 4)), "-m", "2048", "-display", "none"]
    line += ["-kernel", str(cache / "vmlinuz"), "-initrd", str(cache / "initrd")]
    kernel = f"root=/dev/vda rw console=ttyS0 mitigations=off pyorch.checks={guest.checks}"
    kernel += f" pyorch.patience={guest.patience or PATIENCE[accelerator]}"
    line += ["-append", kernel]
    line += ["-snapshot"]
    for name in ("root.img", "payload.img"):
        line += ["-drive", f"file={cache / name},format=raw,if=virtio"]
    line += ["-nic", "user,model=virtio-net-pci,restrict=on"]
    line += ["-serial", f"file:{console}", "-serial", f"file:{checks}"]
    return line


def follow(process: "subprocess.Popen[bytes]", checks: Path, words: Path, guest: Guest) -> bool:
    """Print the checks' lines as they come; return whether all were made and passed.

    Raises NoAccelerationError where qemu says that the processor cannot be used.
    """
    deadline = time.monotonic() + guest.limit
    began = time.monotonic()
    ended = failed = False
    with checks.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        pending = ""
        while True:
            running = process.poll() is None
            pending += lines.read()
            *whole, pending = pending.split("\n")
            for line in (one.rstrip("\r") for one in whole):
                if guest.said(line):
                    continue
                print(f"{time.monotonic() - began:6.1f} {line}", flush=True)
                failed |= line.startswith("FAILED")
                ended |= line == "all checks made"
            if not running:
                break
            if b"KVM internal error" in words.read_bytes():
                raise NoAccelerationError
            if time.monotonic() > deadline:
                print(f"FAILED the machine did not end within {guest.limit:.0f} s", flush=True)
                return False
            time.sleep(0.2)
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
