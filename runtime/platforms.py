"""What machines images are for: ``os/architecture[/variant]``. Pure, but for this machine's own."""

import os
import re
from dataclasses import dataclass

from runtime.errors import InvalidError

_ARCHES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "i686": ("386", ""),
}
_OTHERWISE = {
    **_ARCHES,
    "i386": ("386", ""),
    "arm": ("arm", "v7"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "arm64": ("arm64", ""),
    "aarch64": ("arm64", ""),
}
"""What architectures are called besides, and what that means."""
_IMPLIED = {"amd64/v1": "", "arm64/v8": "", "arm/v7": ""}
"""Variants that naming none means."""
BEST = 100
"""How well an image suits that is for just what is asked for."""
_PART = re.compile(r"[a-z0-9_]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Platform:
    """What machines an image is for, or which ones are asked for."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def parse_platform(text: str) -> Platform:
    """Return ``os/architecture[/variant]``, or what one of the two alone means here.

    Raises InvalidError for anything else.
    """
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(map(_PART.fullmatch, parts)):
        raise InvalidError("read platform", text[:80], "it is not `os/architecture[/variant]`")
    if len(parts) == 1:
        known = {name for name, _ in _OTHERWISE.values()} | _OTHERWISE.keys()
        if parts[0] == "linux":
            return this_platform()
        if parts[0] not in known:
            raise InvalidError("read platform", text[:80], "it is no architecture")
        parts = ["linux", parts[0]]
    architecture, variant = _OTHERWISE.get(parts[1], (parts[1], ""))
    return Platform(os=parts[0], architecture=architecture, variant="".join(parts[2:]) or variant)


def this_platform() -> Platform:
    """Return what this machine runs."""
    machine = os.uname().machine
    architecture, variant = _ARCHES.get(machine, (machine, ""))
    return Platform(os="linux", architecture=architecture, variant=variant)


def suits(platform: Platform | None, wanted: Platform) -> int | None:
    """Return how well an image suits, the higher the better; None for not at all."""
    if platform is None:
        return 0
    if platform.os not in ("", wanted.os) or platform.architecture != wanted.architecture:
        return None
    if _variant(platform) == _variant(wanted):
        return BEST
    if not platform.variant:
        return 50
    if not wanted.variant and wanted.architecture not in ("arm", "arm64"):
        return None  # amd64/v3 and its like need more than every machine has
    have, need = _version(wanted.variant), _version(platform.variant)
    return 50 + need if need < have else None


def same(platform: Platform, wanted: Platform) -> bool:
    """Whether two platforms are one, however they are written."""
    return suits(platform, wanted) == BEST


def _variant(platform: Platform) -> str:
    return _IMPLIED.get(f"{platform.architecture}/{platform.variant}", platform.variant)


def _version(variant: str) -> int:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isdigit() and len(digits) < 3 else 0
