"""The distribution's seccomp profile → the form runtimes read.

Profiles are written once for all machines, with conditions on architecture, kernel and
capabilities; a runtime wants the result (runtime-spec, config-linux.md#seccomp).
"""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from runtime.errors import InvalidError, UnsupportedError

DEFAULT_PROFILE = Path("/usr/share/containers/seccomp.json")

_MACHINES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


def load_seccomp(profile: str | None, capabilities: Collection[str]) -> dict[str, Any]:
    """Return the filter for this machine and a process with ``capabilities``.

    ``profile`` is a profile's JSON, None the distribution's own. Raises UnsupportedError when
    that is not installed, InvalidError for what is no profile.
    """
    name = str(DEFAULT_PROFILE) if profile is None else "of the stack file"
    try:
        document = json.loads(_default() if profile is None else profile)
        return _filter(document, capabilities)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        cause = f"it is no seccomp profile: {error!r}"
        raise InvalidError("read seccomp profile", name, cause) from error


def _default() -> bytes:
    try:
        return DEFAULT_PROFILE.read_bytes()
    except FileNotFoundError:
        raise UnsupportedError(
            "read seccomp profile",
            str(DEFAULT_PROFILE),
            "it is not installed",
            hint="apt-get install golang-github-containers-common",
        ) from None


def _filter(document: Mapping[str, Any], capabilities: Collection[str]) -> dict[str, Any]:
    machine = os.uname().machine
    rules = []
    for rule in document.get("syscalls") or ():
        if not _applies(rule, capabilities, machine):
            continue
        kept = {"names": rule.get("names") or [rule["name"]], "action": rule["action"]}
        if rule.get("args"):
            kept["args"] = rule["args"]
        if rule.get("errnoRet") is not None:
            kept["errnoRet"] = rule["errnoRet"]
        rules.append(kept)
    found: dict[str, Any] = {"defaultAction": document["defaultAction"], "syscalls": rules}
    if document.get("defaultErrnoRet") is not None:
        found["defaultErrnoRet"] = document["defaultErrnoRet"]
    native = _MACHINES.get(machine)
    for entry in document.get("archMap") or ():
        if entry.get("architecture") == native:
            found["architectures"] = [native, *(entry.get("subArchitectures") or ())]
    if "architectures" not in found and document.get("architectures"):
        found["architectures"] = document["architectures"]
    return found


def _applies(rule: dict[str, Any], capabilities: Collection[str], machine: str) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    arch = _GO_NAMES.get(machine, machine)
    if includes.get("caps") and not set(includes["caps"]) <= set(capabilities):
        return False
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if includes.get("minKernel") and _kernel() < _version(includes["minKernel"]):
        return False
    if set(excludes.get("caps") or ()) & set(capabilities):
        return False
    return arch not in (excludes.get("arches") or ())


def _kernel() -> tuple[int, ...]:
    return _version(os.uname().release.split("-")[0])


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
