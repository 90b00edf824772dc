"""Whether this machine runs programs of a platform: by itself, or by an emulator (binfmt_misc).

An emulator has to be one the kernel holds open (flag ``F``): in a container there is no file of
the host's it could be started from.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import UnsupportedError
from runtime.platforms import Platform, parse_platform, this_platform

REGISTERED = Path("/proc/sys/fs/binfmt_misc")
OF_32_BITS = Path("/proc/sys/abi/vsyscall32")
"""Exists where a kernel for amd64 runs programs of 386."""
ELF = b"\x7fELF"
MACHINES = {
    "386": (1, 3),
    "amd64": (2, 62),
    "arm": (1, 40),
    "arm64": (2, 183),
    "loong64": (2, 258),
    "mips64le": (2, 8),
    "ppc64le": (2, 21),
    "riscv64": (2, 243),
    "s390x": (2, 22),
}
"""Class and machine in the header of an architecture's programs (elf(5))."""


def check_platform(text: str, *, registered: Path = REGISTERED) -> None:
    """Raise UnsupportedError where nothing here runs programs of a platform."""
    wanted, here = parse_platform(text), this_platform()
    if _runs(wanted, here):
        return
    if wanted.os == here.os and any(_is_for(magic, wanted) for magic in _magics(registered)):
        return
    hint = "use an image for this machine's platform"
    if wanted.os == here.os:
        hint += ", or register an emulator: `apt-get install qemu-user-static`"
    raise UnsupportedError(
        "run programs of",
        str(wanted),
        f"this machine is {here}, and nothing is registered that runs others of that kind",
        hint=hint,
    )


def _runs(wanted: Platform, here: Platform) -> bool:
    if wanted.os != here.os:
        return False
    if (here.architecture, wanted.architecture) == ("amd64", "386"):
        return OF_32_BITS.exists()
    # A 64-bit ARM that has lost the instructions of 32 bits cannot be told from one that has not.
    return wanted.architecture in (here.architecture, "arm" if here.architecture == "arm64" else "")


def _magics(registered: Path) -> Iterator[bytes]:
    """Yield the beginnings of files that emulators are registered for and can be used inside."""
    try:
        names = os.listdir(registered)
    except OSError:
        return
    for name in set(names) - {"register", "status"}:
        try:
            lines = (registered / name).read_text().splitlines()
        except OSError:
            continue
        told = dict(line.partition(" ")[::2] for line in lines)
        if "enabled" in told and "F" in told.get("flags:", "") and told.get("offset") == "0":
            yield bytes.fromhex(told.get("magic", ""))


def _is_for(magic: bytes, wanted: Platform) -> bool:
    machine = MACHINES.get(wanted.architecture)
    if machine is None or len(magic) < 20 or magic[:4] != ELF:
        return False
    number = int.from_bytes(magic[18:20], "big" if magic[5] == 2 else "little")
    return (magic[4], number) == machine
