"""What is remembered of a container on disk, so that any daemon finds it again.

``record.json`` says what a container is, ``state.json`` which process is its own now and how
the last one ended. Both outlast a reboot: what has ended before one has still ended after
it. A process is known by its pid, its start time and the boot it belongs to, never by a pid
alone.
"""

import base64
import json
import os
import re
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from runtime.files import read_json, write_atomic
from runtime.plain import read_plain, write_plain
from runtime.procfs import stat_of
from runtime.types import ContainerConfig, ContainerId, Digest, LogConfig, LogDriver

NAME = re.compile(r"[^.]+\.(.+)\.[0-9]+")
"""How containers are called: other folders are none of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """One run of a container. ``code`` and after are None while it lasts."""

    run: int
    pid: int
    start_ticks: int
    boot: str
    started: float
    stop_by: float | None = None
    code: int | None = None
    ended: float | None = None
    oom: bool = False
    why: str = ""
    lost: bool = False
    """Its monitor died under it."""
    paused: bool = False
    """Its processes were told to stand still."""
    owed: int = 0
    """The signal to stop, from before it is sent until after; 0 otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A container: what it was made from."""

    config: ContainerConfig
    created_wall: float
    fingerprint: str
    """Of the configuration it was made from; contents of files are part of it as a hash."""


def boot_id() -> str:
    """Return what tells this boot of the machine from every other one."""
    return _boot_id()


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boottime() -> float:
    """Return seconds since boot, time asleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in ticks since boot; None when it is gone or a zombie."""
    try:
        fields = stat_of(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(state: RunState) -> bool:
    """Whether the process of a run is still that very process."""
    return state.boot == boot_id() and start_ticks(state.pid) == state.start_ticks


def save_state(path: Path, state: RunState) -> None:
    """Write ``state.json``."""
    write_atomic(path, write_plain(state))


def load_state(path: Path) -> RunState | None:
    """Read ``state.json``; None where there is none."""
    try:
        return read_plain(RunState, read_json(path))
    except ValueError:
        return None


def save_record(path: Path, record: Record) -> None:
    """Write ``record.json``; contents of carried files are left out of it."""
    mounts = tuple(replace(given, content=b"") for given in record.config.mounts)
    bare = replace(record, config=replace(record.config, mounts=mounts))
    write_atomic(path, write_plain(bare), sync=False)


def load_record(path: Path) -> Record | None:
    """Read ``record.json``; None where there is none.

    One that cannot be read is that of a container nothing is known of but its name: it can be
    stopped and removed, and is what nobody wants.
    """
    try:
        return read_plain(Record, read_json(path))
    except ValueError:
        return _lost(path) if path.exists() and NAME.fullmatch(path.parent.name) else None


def _lost(path: Path) -> Record:
    container = ContainerId(path.parent.name)
    config = ContainerConfig(
        id=container,
        image=Digest(""),
        cgroup=usual_cgroup(container),
        log=path.with_name("log"),
        hostname="",
        logging=LogConfig(driver=LogDriver.NONE),
    )
    return Record(config=config, created_wall=path.stat().st_mtime, fingerprint="")


def usual_cgroup(container: ContainerId) -> str:
    """Return the cgroup of a container nothing is known of but its name, below the instance's."""
    return container.replace(".", "/", 1)


def fingerprint_of(config: ContainerConfig) -> str:
    """Return a hash by which two configurations can be told apart.

    Addresses are no part of it: they are only in files that can be written anew. Neither are
    limits, and contents that can be changed.
    """
    import hashlib

    document = asdict(config)
    del document["remarks"], document["addresses"], document["nameservers"], document["limits"]
    for given in document["mounts"]:
        renewable = given.pop("digest")
        given["content"] = "" if renewable else base64.b64encode(given["content"]).decode()
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def owned_by_us(pid: int) -> bool:
    """Whether ``pid`` is a child of this process, so that its exit code can be collected."""
    try:
        return int(stat_of(pid)[1]) == os.getpid()
    except (FileNotFoundError, ProcessLookupError):
        return False
