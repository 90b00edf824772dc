"""What one instance has on this host: processes, mounts, cgroups, links, tables, files."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runtime.procfs import mounts
from runtime.types import Instance

CGROUPS = Path("/sys/fs/cgroup")
KEPT_IN_DATA = {"images", "state.db", "state.db-wal", "state.db-shm"}
"""Files of the data directory that outlive every stack."""

KEPT_IN_RUN = {".cache"}
"""crun's compiled seccomp filters: of no stack, and gone with the next boot."""


def find_leaks(instance: Instance, inside: Sequence[str] = ()) -> list[str]:
    """Name everything that is left; an instance with no stack and no daemon has nothing.

    ``inside`` are words before a command that take it into the instance's network namespace.
    """
    return [
        *find_processes(instance),
        *find_mounts(instance),
        *find_cgroups(instance),
        *find_links(instance, inside),
        *find_tables(instance, inside),
        *find_files(instance),
    ]


def find_processes(instance: Instance) -> list[str]:
    """Name processes in our cgroups, and those that carry our directories on their command line.

    The dead that came to the host's init are its own to collect: they are nobody's leak.
    """
    marks = (str(instance.data), str(instance.run))
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            groups = (folder / "cgroup").read_text(errors="replace")
            stat = (folder / "stat").read_text(errors="replace")
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if (state, parent) == ("Z", "1"):
            continue
        ours = f":/{instance.cgroup}/" in groups
        if ours or (words[0] and any(mark in word for mark in marks for word in words)):
            found.append(f"process {folder.name}: {' '.join(words)[:120]}")
    return found


def find_mounts(instance: Instance) -> list[str]:
    """Name mounts below our directories."""
    roots = (f"{instance.data}/", f"{instance.run}/")
    points = [one.point for one in mounts()]
    return [f"mount {point}" for point in points if point.startswith(roots)]


def find_cgroups(instance: Instance) -> list[str]:
    """Name our directory in any hierarchy."""
    places = [CGROUPS, *(one for one in CGROUPS.iterdir() if one.is_dir())]
    return [
        f"cgroup {place / name}"
        for place in places
        for name in (instance.cgroup, f"{instance.cgroup}.builds")
        if (place / name).is_dir()
    ]


def find_links(instance: Instance, inside: Sequence[str] = ()) -> list[str]:
    """Name links that carry our alias."""
    done = subprocess.run([*inside, "ip", "-j", "link"], capture_output=True, check=True)
    links = json.loads(done.stdout)
    return [
        f"link {link['ifname']}"
        for link in links
        if link.get("ifalias", "").startswith(instance.alias)
    ]


def find_tables(instance: Instance, inside: Sequence[str] = ()) -> list[str]:
    """Name our nft table, and our rules in the tables of others."""
    done = subprocess.run(
        [*inside, "nft", "-j", "list", "ruleset"], capture_output=True, check=True
    )
    objects = json.loads(done.stdout)["nftables"]
    tables = [one["table"]["name"] for one in objects if "table" in one]
    rules = [one["rule"] for one in objects if "rule" in one]
    mark = f"pyorch {instance.name}:"
    return [f"nft table {name}" for name in tables if name == instance.table] + [
        f"nft rule in {rule['chain']}" for rule in rules if mark in rule.get("comment", "")
    ]


def find_files(instance: Instance) -> list[str]:
    """Name what stacks left in our directories."""
    found = []
    for folder in (
        instance.run / "netns",
        instance.run / "containers",
        instance.run / "exits",
        instance.run / "oci",
        instance.run / "build",
        instance.data / "build" / "work",
        instance.run / "network" / "networks",
        instance.run / "network" / "sandboxes",
        instance.data / "containers",
        instance.data / "volumes",
        instance.data / "volumes.passing",
        instance.data / "logs",
        instance.data / "secrets",
    ):
        if folder.is_dir():
            found += [f"file {path}" for path in folder.iterdir() if path.name not in KEPT_IN_RUN]
    found += [f"file {path}" for path in (instance.run / "dns").glob("*.hosts")]
    return found
