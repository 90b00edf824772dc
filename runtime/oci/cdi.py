"""Devices as their makers describe them: files of the Container Device Interface.

A description names device nodes, mounts, variables and hooks. It belongs to root as the
runtime does, and what it says is done: one that others may write is refused.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import ConflictError, InvalidError, NotFoundError, UnsupportedError
from runtime.oci.devices import Node, node_at

SUFFIXES = (".json", ".yaml", ".yml")
CAP = 8 * 1024 * 1024
"""Bytes a description may have."""
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart")
"""Hooks that are run. ``poststop`` would not be: the runtime is not asked to clean up."""
VARIABLE = re.compile(r"[^=\x00]+=[^\x00]*", re.DOTALL)
MODE, KIND = 0o666, "c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What devices add to a container, in the order they are named."""

    nodes: list[Node] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    hooks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Described:
    path: Path
    common: Mapping[str, Any]
    own: Mapping[str, Any]


def resolve(names: Sequence[str], folders: Sequence[Path]) -> Edits:
    """Return what the devices ``names`` add to a container.

    ``folders`` are looked through in order; a later one overrides an earlier one. Raises
    NotFoundError for a device nobody describes, and says which there are; InvalidError for a
    description that is none; UnsupportedError for one that asks for more than is done here.
    """
    edits = Edits()
    if not names:
        return edits
    known = _read_all(folders)
    seen: set[Path] = set()
    for name in names:
        found = known.get(name)
        if found is None:
            raise _unknown(name, known, folders)
        if isinstance(found, ConflictError):
            raise found
        parts = [found.own]
        if found.path not in seen:
            seen.add(found.path)
            parts.insert(0, found.common)
        for part in parts:
            _add(edits, part, found.path)
    return edits


def _unknown(name: str, known: Mapping[str, object], folders: Sequence[Path]) -> NotFoundError:
    kind = name.partition("=")[0]
    alike = sorted(one for one in known if one.startswith(f"{kind}="))
    where = " and ".join(map(str, folders))
    if alike:
        hint = f"there are {', '.join(alike[:8])}"
    elif kind == "nvidia.com/gpu":
        hint = f"`nvidia-ctk cdi generate --output={folders[0]}/nvidia.yaml` describes the GPUs"
    else:
        hint = f"its maker's tool writes a description into {folders[0]}"
    return NotFoundError("pass on device", name, f"nothing in {where} describes it", hint=hint)


def _read_all(folders: Sequence[Path]) -> dict[str, "_Described | ConflictError"]:
    known: dict[str, _Described | ConflictError] = {}
    for folder in folders:
        here: dict[str, _Described | ConflictError] = {}
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for path in paths:
            for name, found in _read(path):
                other = here.get(name)
                here[name] = found
                if isinstance(other, _Described):
                    cause = f"both {other.path} and {path} describe it"
                    here[name] = ConflictError("pass on device", name, cause)
        known |= here
    return known


def _read(path: Path) -> Iterator[tuple[str, _Described]]:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > CAP:
            raise _bad(path, "it is no file of a few megabytes at most")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise _bad(path, "others than root may write it")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(CAP)
    finally:
        os.close(fd)
    try:
        text = data.decode()
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        document = json.loads(text) if path.suffix == ".json" else yaml.load(text, loader)
        kind, common = document["kind"], document.get("containerEdits") or {}
        if not isinstance(kind, str):
            raise TypeError("`kind` is no text")
        for device in document["devices"]:
            described = _Described(path, common, device.get("containerEdits") or {})
            yield f"{kind}={device['name']}", described
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise _bad(path, f"it is no description of devices: {str(error)[:200]}") from error


def _add(edits: Edits, part: Mapping[str, Any], path: Path) -> None:
    try:
        for text in part.get("env") or ():
            if not isinstance(text, str) or not VARIABLE.fullmatch(text):
                raise TypeError(f"`{str(text)[:60]}` is no variable")
            name, _, value = text.partition("=")
            edits.environment[name] = value
        for node in part.get("deviceNodes") or ():
            edits.nodes.append(_node(node))
        for given in part.get("mounts") or ():
            edits.mounts.append(
                {
                    "destination": str(given["containerPath"]),
                    "type": str(given.get("type") or "bind"),
                    "source": str(given["hostPath"]),
                    "options": [*map(str, given.get("options") or ("ro", "nosuid", "nodev"))],
                }
            )
        for hook in part.get("hooks") or ():
            _hook(edits, hook, path)
        edits.groups.extend(int(one) for one in part.get("additionalGids") or ())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _bad(path, f"it is no description of devices: {str(error)[:200]}") from error
    for key in ("intelRdt", "netDevices"):
        if part.get(key):
            raise UnsupportedError("use devices of", str(path), f"`{key}` is not carried out")
    for given in edits.mounts:
        if given["type"] == "bind" and not {"bind", "rbind"} & set(given["options"]):
            given["options"].insert(0, "rbind")


def _node(given: Mapping[str, Any]) -> Node:
    path = str(given["path"])
    permissions = str(given.get("permissions") or "rwm")
    host = str(given.get("hostPath") or path)
    try:
        found = node_at(host, path, permissions)
    except FileNotFoundError:
        found = None
    if found is None and "major" not in given:
        raise NotFoundError("pass on device", host, "the host has no such device")
    return Node(
        path=path,
        kind=str(given.get("type") or (found.kind if found else KIND)).replace("u", "c"),
        major=int(given.get("major", found.major if found else 0)),
        minor=int(given.get("minor", found.minor if found else 0)),
        mode=int(given.get("fileMode") or (found.mode if found else MODE)),
        uid=int(given.get("uid") or 0),
        gid=int(given.get("gid") or 0),
        host=found.host if found else "",
        permissions=permissions,
    )


def _hook(edits: Edits, hook: Mapping[str, Any], path: Path) -> None:
    name = hook["hookName"]
    if name not in HOOKS:
        raise UnsupportedError("use devices of", str(path), f"hooks `{name}` are not run")
    found: dict[str, Any] = {"path": str(hook["path"])}
    for key in ("args", "env"):
        if hook.get(key):
            found[key] = [str(one) for one in hook[key]]
    if hook.get("timeout") is not None:
        found["timeout"] = int(hook["timeout"])
    edits.hooks.setdefault(name, []).append(found)


def _bad(path: Path, cause: str) -> InvalidError:
    return InvalidError("read", str(path), cause)
