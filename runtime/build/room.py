"""A room for one program: the host's programs to read, a few folders to write, nothing else.

Run as a program of its own with a :class:`Room` as JSON. It gives itself namespaces, makes a
root of a handful of mounts, leaves the host's root behind and runs the program there. Whatever
the program is led to by a link or a ``..`` is in the room. Mounts and processes it leaves go
with the namespaces, also after SIGKILL: the program ends when this one does, and this one when
its standard input ends, which is when whoever started it is gone.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runtime.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    die_with_parent,
    mount,
    pivot_root,
    setns,
    umount2,
    unshare,
)

NOWHERE = "none"
"""A network namespace with nothing in it."""
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""What the host's programs are made of; folders, or links into ``usr``."""
CONFIGURED = ("etc/ssl", "etc/pki", "etc/ca-certificates", "etc/ld.so.cache", "etc/alternatives")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
MASKED = ("sys", "sysrq-trigger", "irq", "bus", "fs")
"""Parts of /proc through which root changes the host itself."""
INSIDE = MS_NOSUID | MS_NODEV | MS_NOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A folder or a file of the host, and where the room has it."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A program and what it sees. ``root`` is an empty folder the room is put together on."""

    root: str
    argv: tuple[str, ...]
    binds: tuple[Bind, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    """Text of small files, by their place."""
    environ: dict[str, str] = field(default_factory=dict)
    network: str = ""
    """Path of a network namespace; the host's own where none is given, or NOWHERE."""

    def dump(self) -> str:
        """Return it as the argument of this program."""
        return json.dumps(asdict(self))


def main(argument: str) -> int:
    """Run what the argument says to its end and return its exit code."""
    document = json.loads(argument)
    binds = tuple(Bind(**one) for one in document.pop("binds"))
    argv = tuple(document.pop("argv"))
    room = Room(**document, binds=binds, argv=argv)
    if room.network and room.network != NOWHERE:
        fd = os.open(room.network, os.O_RDONLY | os.O_CLOEXEC)
        setns(fd, CLONE_NEWNET)
        os.close(fd)
    unshare(
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | (CLONE_NEWNET if room.network == NOWHERE else 0)
    )
    pid = os.fork()
    if pid == 0:
        _first(room)
    return _watch(pid)


def _watch(pid: int) -> int:
    """Wait for the room's first process; end it when nobody is left who wants it."""
    ended = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(ended, select.POLLIN)
    poller.register(0, select.POLLIN)
    if ended not in dict(poller.poll()):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _first(room: Room) -> None:
    """Be the room's first process. Its end is everybody's in there."""
    try:
        die_with_parent()
        _furnish(room)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        # A session of its own, as a runtime that makes terminals wants it.
        os.setsid()
        os.execve(room.argv[0], room.argv, room.environ)
    except BaseException as error:
        os.write(2, f"Error: cannot make the room: {error}\n".encode())
    os._exit(125)


def _furnish(room: Room) -> None:
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    root = Path(room.root)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for name in SYSTEM:
        place = Path("/", name)
        if place.is_symlink():
            (root / name).symlink_to(place.readlink())
        elif place.is_dir():
            _bind(str(place), root / name)
    for name in CONFIGURED:
        if Path("/", name).exists():
            _bind(f"/{name}", root / name)
    for name in ("root", "run", "tmp", "sys", "proc"):
        (root / name).mkdir(mode=0o755)
    _devices(root / "dev")
    mount("proc", root / "proc", "proc", INSIDE)
    for name in MASKED:
        if (root / "proc" / name).exists():
            _bind(str(root / "proc" / name), root / "proc" / name)
    mount("sysfs", root / "sys", "sysfs", INSIDE | MS_RDONLY)
    mount("/sys/fs/cgroup", root / "sys/fs/cgroup", None, MS_BIND | MS_REC)
    for bind in room.binds:
        _bind(bind.source, root / bind.target.lstrip("/"), writable=bind.writable)
    for name, text in room.files.items():
        file = root / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
    os.chdir(root)
    pivot_root(".", ".")
    umount2(".", MNT_DETACH)
    os.chdir("/")


def _devices(folder: Path) -> None:
    folder.mkdir()
    for name in DEVICES:
        _bind(f"/dev/{name}", folder / name, writable=True)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (folder / name).symlink_to(f"/proc/self/fd/{number}")
    (folder / "fd").symlink_to("/proc/self/fd")
    (folder / "pts").mkdir()
    mount("devpts", folder / "pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666")
    (folder / "ptmx").symlink_to("pts/ptmx")
    (folder / "shm").mkdir()
    mount("shm", folder / "shm", "tmpfs", INSIDE, "mode=1777")


def _bind(source: str, target: Path, *, writable: bool = False) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.isdir(source):
            target.mkdir()
        else:
            target.touch()
    mount(source, target, None, MS_BIND)
    if not writable:
        mount("none", target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID)


def program(room: Room) -> Sequence[str]:
    """Return the words that run a room."""
    return (sys.executable, "-I", "-m", "runtime.build.room", room.dump())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
