"""The kinds of machine there are: with a processor's help, as processes of this one, emulated."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).parent
DISKS = ("root.img", "payload.img")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where a machine's parts are, and what it says goes."""

    cache: Path
    folder: Path
    """Its own: what it changes of its disks is there."""
    line: int
    """The file that what its checks say goes to, open."""

    @property
    def checks(self) -> Path:
        """What its checks say, on its second serial line."""
        return self.folder / "checks"

    @property
    def console(self) -> Path:
        """What its kernel and systemd say, where they have a file of their own."""
        return self.folder / "console"

    @property
    def words(self) -> Path:
        """What the program that is the machine says."""
        return self.folder / "words"


class Kind(Protocol):
    """A way to have a machine."""

    @property
    def title(self) -> str:
        """What it is called in a sentence."""

    @property
    def patience(self) -> str:
        """How many times longer than elsewhere everything may take on it."""

    @property
    def complaint(self) -> bytes:
        """What the program says where it cannot have a machine run; nothing for the end alone."""

    def prepare(self, cache: Path) -> None:
        """Make what only this kind needs."""

    def command(self, files: Files, words: Sequence[str]) -> list[str]:
        """Return the command line of a machine whose kernel is told ``words``."""


@dataclass(frozen=True, slots=True)
class Qemu:
    """A computer with two serial lines, two disks, and no way out of its network."""

    accelerator: str
    title: str
    patience: str
    complaint: bytes = b""

    def prepare(self, cache: Path) -> None:
        """Do nothing: its kernel is the root's own."""

    def command(self, files: Files, words: Sequence[str]) -> list[str]:
        """Return qemu's command line."""
        # What an emulated processor is slow at, and nobody needs: five levels of page tables,
        # and the kernel's guards against a processor that guesses.
        line = ["qemu-system-x86_64", "-machine", f"q35,accel={self.accelerator}"]
        line += ["-cpu", "max,la57=off,svm=off"]
        line += ["-smp", str(min(os.cpu_count() or 1, 4)), "-m", "2048", "-display", "none"]
        line += ["-kernel", str(files.cache / "vmlinuz"), "-initrd", str(files.cache / "initrd")]
        kernel = ["root=/dev/vda", "rw", "console=ttyS0", "mitigations=off", *words]
        line += ["-append", " ".join(kernel)]
        line += ["-snapshot"]
        for name in DISKS:
            line += ["-drive", f"file={files.cache / name},format=raw,if=virtio"]
        line += ["-nic", "user,model=virtio-net-pci,restrict=on"]
        line += ["-serial", f"file:{files.console}", "-serial", f"file:{files.checks}"]
        return line


@dataclass(frozen=True, slots=True)
class UserMode:
    """A kernel that is a process here, with those of its machine under its hand: one processor."""

    title: str = "a kernel in user mode"
    patience: str = "3"
    complaint: bytes = b""

    def prepare(self, cache: Path) -> None:
        """Build its kernel."""
        subprocess.run([HERE / "make-kernel", cache], check=True)

    def command(self, files: Files, words: Sequence[str]) -> list[str]:
        """Return the kernel's command line."""
        root, payload = (files.cache / name for name in DISKS)
        line = [str(files.cache / "linux"), "mem=3G"]
        line += [f"ubd0={files.folder / 'changes'},{root}", f"ubd1r={payload}"]
        line += ["root=/dev/ubda", "rw", "console=tty0", "con=null", "con0=null,fd:1"]
        line += ["dummy.numdummies=0", "ssl=null", f"ssl1=null,fd:{files.line}"]
        line += [f"uml_dir={files.folder}", "umid=machine", *words]
        return line


KINDS: dict[str, Kind] = {
    "kvm": Qemu("kvm", "this processor's own virtual machines", "2", b"KVM internal error"),
    "uml": UserMode(),
    "tcg": Qemu("tcg", "an emulated processor", "6"),
}
"""The best first."""


def choose(name: str) -> list[Kind]:
    """Return the kinds to try, one after the other: the one that is named, or all there may be."""
    if name:
        if name not in KINDS:
            raise SystemExit(f"error: no kind of machine is called `{name}`: {', '.join(KINDS)}")
        return [KINDS[name]]
    usable = os.access("/dev/kvm", os.R_OK | os.W_OK)
    return [kind for key, kind in KINDS.items() if key != "kvm" or usable]
