"""What this machine can and cannot do for containers, and the remedy."""

import asyncio
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from runtime import cgroups
from runtime.errors import UnsupportedError
from runtime.network.firewall import Firewall
from runtime.network.nftables import read_objects
from runtime.network.obstacles import find_obstacles
from runtime.oci.choice import choose_runtime
from runtime.oci.folders import INITS
from runtime.oci.seccomp import DEFAULT_PROFILE
from runtime.types import Finding, Instance, Verdict

PROGRAMS = (("conmon", "conmon"), ("nft", "nftables"), ("dnsmasq", "dnsmasq-base"))


def examine(instance: Instance) -> tuple[Finding, ...]:
    """Return every finding, what is missing among them. Starts an event loop of its own."""
    return (*_findings(), *_network(instance))


def examine_programs() -> tuple[Finding, ...]:
    """Return what is missing without which containers do not run, or are not reached."""
    return tuple(one for one in _findings() if one.verdict is Verdict.MISSING)


def _network(instance: Instance) -> Iterator[Finding]:
    firewall = Firewall(instance)
    detail = "on" if firewall.forwards() else "off; turned on while a network needs it"
    yield Finding(
        subject="ip_forward",
        verdict=Verdict.OK,
        detail="; ".join(firewall.changes) or detail,
    )
    try:
        ruleset = asyncio.run(read_objects("ruleset"))
    except UnsupportedError:
        return  # told above already: nft is not there
    for obstacle in find_obstacles(ruleset):
        yield Finding(
            subject="firewall",
            verdict=Verdict.WARNING,
            detail=f"{obstacle.where} {obstacle.what}",
            remedy=obstacle.remedy,
        )


def _findings() -> Iterator[Finding]:
    root = os.geteuid() == 0
    yield _finding("root", root, "yes" if root else "no", "run pyorch with sudo")
    yield Finding(subject="kernel", verdict=Verdict.OK, detail=os.uname().release)
    yield Finding(subject="cgroups", verdict=Verdict.OK, detail=cgroups.mode().value)
    try:
        name, note = choose_runtime()
        verdict = Verdict.WARNING if note else Verdict.OK
        yield Finding(subject="runtime", verdict=verdict, detail=note or name)
    except UnsupportedError as error:
        yield Finding(
            subject="runtime", verdict=Verdict.MISSING, detail=error.cause, remedy=error.hint
        )
    for program, package in PROGRAMS:
        path = shutil.which(program)
        yield _finding(program, bool(path), path or "not installed", f"apt-get install {package}")
    builder = shutil.which("buildah")
    yield Finding(
        subject="buildah",
        verdict=Verdict.OK if builder else Verdict.WARNING,
        detail=builder or "not installed; it builds images (`build:`) and does nothing else",
        remedy=None if builder else "apt-get install buildah",
    )
    overlay = has_filesystem("overlay")
    yield _finding("overlayfs", overlay, "yes" if overlay else "no", "modprobe overlay")
    profile = DEFAULT_PROFILE.exists()
    yield _finding(
        "seccomp profile",
        profile,
        str(DEFAULT_PROFILE) if profile else "not installed",
        "apt-get install golang-github-containers-common",
    )
    reaper = next((path for path in INITS if os.access(path, os.X_OK)), None)
    yield Finding(
        subject="init",
        verdict=Verdict.OK if reaper else Verdict.WARNING,
        detail=reaper or "no reaper is installed: services with `init: true` cannot run",
        remedy=None if reaper else "apt-get install tini",
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    yield Finding(
        subject="open files",
        verdict=Verdict.OK if hard >= 4096 else Verdict.WARNING,
        detail=f"at most {hard}",
        remedy=None if hard >= 4096 else "raise LimitNOFILE",
    )


def has_filesystem(name: str, *, root: Path = Path("/")) -> bool:
    """Whether the kernel has a filesystem, or a module of it that the first mount loads."""
    if name in (root / "proc/filesystems").read_text().split():
        return True
    modules = root / "lib/modules" / os.uname().release / "modules.dep"
    return modules.exists() and f"/{name}.ko" in modules.read_text()


def _finding(subject: str, ok: object, detail: str, remedy: str) -> Finding:
    verdict = Verdict.OK if ok else Verdict.MISSING
    return Finding(subject=subject, verdict=verdict, detail=detail, remedy=None if ok else remedy)
