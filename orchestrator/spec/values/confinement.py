"""Values of a service about its confinement that have a grammar of their own."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

CDI = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*"
)
GPU_KINDS = {"": "nvidia.com/gpu", "nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}
"""Drivers of devices, and the kind of what they provide, as their makers call it."""
OF_CDI = "cdi"
"""The driver whose devices are named in full."""


@dataclass(frozen=True, slots=True)
class Share:
    """Whose namespace a service has: ``kind`` alone, or of a ``service`` or a ``container``."""

    kind: str
    name: str = ""


def share(value: str) -> Share:
    """Read one of ``network_mode``, ``ipc`` and ``pid``."""
    kind, mark, name = value.partition(":")
    return Share(kind, name) if mark else Share(value)


def option(text: str) -> tuple[str, str]:
    """Split a security option at the first ``=`` or ``:``; one without a value is true."""
    found = re.fullmatch(r"([^=:]*)[=:](.*)", text, re.DOTALL)
    return (found[1], found[2]) if found else (text, "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What the security options of one service come to; the last one of a kind holds."""

    no_new_privileges: bool = False
    seccomp: str = ""
    """``unconfined``, or the path of a profile; empty is the usual one."""
    apparmor: str = ""
    unmasked: bool = False


def security(options: Iterable[str]) -> Security:
    """Say what security options come to; those that are none say nothing."""
    found = dict(map(option, options))
    seccomp, apparmor = found.get("seccomp", ""), found.get("apparmor", "")
    return Security(
        no_new_privileges=found.get("no-new-privileges") == "true",
        seccomp="" if seccomp == "builtin" else seccomp,
        apparmor="" if apparmor == "unconfined" else apparmor,
        unmasked=found.get("systempaths") == "unconfined",
    )
