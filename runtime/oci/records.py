"""What is remembered of a container on disk, so that any daemon finds it again.

``record.json`` says what a container is, ``state.json`` which process is its own now and how
the last one ended. Both outlast a reboot: what has ended before one has still ended after
it. A process is known by its pid, its start time and the boot it belongs to, never by a pid
alone.
"""

import base64
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from runtime.files import read_json, write_atomic
from runtime.types import (
    ContainerConfig,
    ContainerId,
    Device,
    Digest,
    IoKind,
    IoRate,
    Limits,
    LogConfig,
    LogDriver,
    Mount,
    MountKind,
)


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
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(state: RunState) -> bool:
    """Whether the process of a run is still that very process."""
    return state.boot == boot_id() and start_ticks(state.pid) == state.start_ticks


def save_state(path: Path, state: RunState) -> None:
    """Write ``state.json``."""
    write_atomic(path, json.dumps(asdict(state)).encode())


def load_state(path: Path) -> RunState | None:
    """Read ``state.json``; None where there is none."""
    found = read_json(path)
    try:
        return None if found is None else RunState(**_known(found, RunState))
    except TypeError:
        return None


def _known(found: Mapping[str, Any], kind: type[RunState]) -> dict[str, Any]:
    """Leave out what another version of this program knows more."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in found.items() if name in names}


def save_record(path: Path, record: Record) -> None:
    """Write ``record.json``; contents of carried files are left out of it."""
    config = asdict(record.config)
    for given in config["mounts"]:
        given["content"] = ""
    document = {
        "config": config,
        "created_wall": record.created_wall,
        "fingerprint": record.fingerprint,
    }
    write_atomic(path, json.dumps(document, default=str).encode(), sync=False)


def load_record(path: Path) -> Record | None:
    """Read ``record.json``; None where there is none, or one that is not ours to read."""
    found = read_json(path)
    if found is None:
        return None
    try:
        document: Mapping[str, Any] = found
        return Record(
            config=_config(document["config"]),
            created_wall=float(document["created_wall"]),
            fingerprint=str(document["fingerprint"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def fingerprint_of(config: ContainerConfig) -> str:
    """Return a hash by which two configurations can be told apart.

    Addresses are no part of it: they are only in files that can be written anew. Neither are
    limits: they can be changed.
    """
    import hashlib

    document = asdict(config)
    del document["remarks"], document["addresses"], document["nameservers"], document["limits"]
    for given in document["mounts"]:
        given["content"] = base64.b64encode(given["content"]).decode()
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _config(raw: Mapping[str, Any]) -> ContainerConfig:
    values = dict(raw)
    values["id"] = ContainerId(values["id"])
    values["image"] = Digest(values["image"])
    values["log"] = Path(values["log"])
    values["netns"] = Path(values["netns"]) if values["netns"] else None
    values["limits"] = _limits(values["limits"])
    logging = {**values["logging"], "driver": LogDriver(values["logging"]["driver"])}
    values["logging"] = LogConfig(**logging)
    values["mounts"] = tuple(
        Mount(
            **{
                **given,
                "kind": MountKind(given["kind"]),
                "content": b"",
                "options": tuple(given["options"]),
            }
        )
        for given in values["mounts"]
    )
    values["devices"] = tuple(Device(**given) for given in values["devices"])
    values["ulimits"] = {name: (soft, hard) for name, (soft, hard) in values["ulimits"].items()}
    values["extra_hosts"] = tuple((name, address) for name, address in values["extra_hosts"])
    for name in (
        "command",
        "entrypoint",
        "group_add",
        "cap_add",
        "cap_drop",
        "device_rules",
        "cdi",
        "nameservers",
        "dns_search",
        "dns_options",
        "addresses",
    ):
        if values[name] is not None:
            values[name] = tuple(values[name])
    return ContainerConfig(**values)


def _limits(raw: Mapping[str, Any]) -> Limits:
    values = dict(raw)
    values["io_weights"] = tuple((path, weight) for path, weight in values["io_weights"])
    values["io_rates"] = tuple(
        IoRate(kind=IoKind(given["kind"]), device=given["device"], rate=given["rate"])
        for given in values["io_rates"]
    )
    return Limits(**values)


def owned_by_us(pid: int) -> bool:
    """Whether ``pid`` is a child of this process, so that its exit code can be collected."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(text.rpartition(")")[2].split()[1]) == os.getpid()
