"""What holds of a pyorch at rest, whatever was done to it: I1 to I17, seen from outside.

The kernel, files and the API are asked, never the code that did the work. A daemon that begins
anew on the same host must have nothing to do, and needs no more than the one before it had.
"""

import json
import os
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from orchestrator.store import KEPT_ENDINGS
from orchestrator.store.schema import SCHEMA
from runtime.procfs import groups_of, mounts, stat_of
from tests.instance import Pyorch
from tests.leaks import CGROUPS
from tests.patience import patient

MEANWHILE = patient(10.0)
"""Seconds what has just ended may take to be cleared away."""
HELPERS = {"conmon", "dnsmasq"}
"""Programs that outlive the daemon that began them."""
THREADS = 16 + 4
"""Those that wait for calls that block, and the daemon's own."""
SPARE_SOCKETS = 2
"""Of clients that have just left."""
RUNS = ("running", "stopping")
TICKING = """
    image: busybox
    command:
      - sh
      - -c
      - |
        n=0
        [ ! -e /kept/ticks ] || n=$$(wc -l </kept/ticks)
        while :; do
          n=$$((n+1))
          echo tick $$n
          echo tick $$n | dd of=/kept/ticks oflag=append conv=notrunc,fsync 2>/dev/null
          sleep 0.2
        done
    volumes: ["ticks:/kept"]
    stop_grace_period: 0s
"""
"""Keys of a service `ticker` that counts, in its log and then into the volume `ticks`."""


def check_invariants(pyorch: Pyorch, *, again: bool = True, but: Mapping[str, str] = {}) -> None:
    """Fail with every invariant that does not hold once all stacks are at rest.

    With ``again`` the daemon begins anew in between. ``but`` are invariants that a fault breaks
    rightly, each with the reason.
    """
    if not pyorch.client.is_up():
        pyorch.run("ls")
    _rest(pyorch)
    _hold(pyorch, but)
    if not again:
        return
    before = Look(pyorch)
    state, opened = before.state(), before.descriptors()
    pyorch.run("daemon", "stop")
    pyorch.serve() if pyorch.daemons else pyorch.run("ls")
    _rest(pyorch)
    _hold(pyorch, but)

    def changed() -> list[str]:
        after = Look(pyorch)
        return [
            *_differences("I15 rest", state, after.state()),
            *_more(opened, after.descriptors()),
        ]

    found = _lasting(changed)
    assert [one for one in found if one.split()[0] not in but] == [], "\n".join(found)


def ticks(pyorch: Pyorch, stack: str) -> list[int]:
    """Return what a ticking service of a stack has written into its volume, in order."""
    path = pyorch.settings.data / "volumes" / f"{stack}_ticks" / "_data" / "ticks"
    return [int(line.split()[1]) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True)
class Look:
    """What there is at one moment; every part is looked at once."""

    pyorch: Pyorch

    @cached_property
    def stacks(self) -> list[Any]:
        return list(self.pyorch.client.get("/v1/stacks"))

    @cached_property
    def replicas(self) -> dict[str, Any]:
        """Every container there is, by its id."""
        return {f"{one['name']}.{r['id']}": r for one in self.stacks for r in one["replicas"]}

    @cached_property
    def running(self) -> set[str]:
        return {name for name, one in self.replicas.items() if one["phase"] in RUNS}

    @cached_property
    def daemon(self) -> int:
        return self.pyorch.daemon_pid()

    @cached_property
    def processes(self) -> dict[int, tuple[str, list[str]]]:
        """Every process of this machine that can be read: its parent and its command line."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    words = (folder / "cmdline").read_bytes().decode(errors="replace")
                    parent = stat_of(int(folder.name))[1]
                except OSError:
                    continue
                found[int(folder.name)] = (parent, words.split("\0"))
        return found

    @cached_property
    def records(self) -> dict[str, Any]:
        """What is written down of every sandbox, by its container's id."""
        folder = self.pyorch.settings.run / "network" / "sandboxes"
        return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}

    @cached_property
    def db(self) -> dict[str, list[tuple[Any, ...]]]:
        """What the database holds, by table."""
        path = self.pyorch.settings.data / "state.db"
        names = ("stacks", "generations", "addresses", "ports", "endings", "events")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            found = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
            for pragma in ("integrity_check", "foreign_key_check", "user_version"):
                found[pragma] = db.execute(f"PRAGMA {pragma}").fetchall()
        db.close()
        return found

    @cached_property
    def links(self) -> dict[str, list[str]]:
        """The names of our links, by what their aliases say they are of."""
        alias = self.pyorch.settings.instance().alias
        found: dict[str, list[str]] = {}
        for one in json.loads(self._run("ip", "-j", "link")):
            if one.get("ifalias", "").startswith(alias):
                found.setdefault(one["ifalias"].removeprefix(alias), []).append(one["ifname"])
        return found

    @cached_property
    def table(self) -> str:
        """Our firewall table without counters; empty where there is none."""
        name = self.pyorch.settings.instance().table
        return self._run("nft", "-s", "list", "table", "inet", name, fails=True)

    def state(self) -> dict[str, object]:
        """What must be the same while nothing happens."""
        containers = {
            name: (one["phase"], one["started_wall"] is not None, one["restarts"])
            for name, one in self.replicas.items()
        }
        mains = {
            name: self.pyorch.main_process("/".join(name.split(".", 1))) for name in self.running
        }
        told = [row[1:4] for row in self.db["events"] if "health" not in row[2]]
        return {
            "containers": containers,
            "first processes": mains,
            "events": told,
            "links": self.links,
            "firewall table": self.table,
            "addresses": sorted(self.db["addresses"]),
            "ports": sorted(self.db["ports"]),
            "generations": [row[:2] for row in self.db["generations"]],
        }

    def descriptors(self) -> Counter[str]:
        """What the daemon has open, by kind."""
        found: Counter[str] = Counter()
        folder = Path(f"/proc/{self.daemon}/fd")
        for one in folder.iterdir():
            try:
                found[str(one.readlink()).split(":")[0]] += 1
            except FileNotFoundError:
                continue
        return found

    def _run(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [*self.pyorch.inside, *words], capture_output=True, text=True, check=not fails
        )
        return done.stdout


# ── the invariants ───────────────────────────────────────────────────────────────────────


def i1_processes(look: Look) -> Iterator[str]:
    """Who is in our cgroups is of a container that runs; each has one monitor; nobody is lost."""
    inside = dict.fromkeys(look.running, 0)
    monitors: Counter[str] = Counter()
    mine = str(look.pyorch.settings.run)
    marks = f"PYORCH_INSTANCE={look.pyorch.name}\0".encode()
    for pid, (parent, words) in look.processes.items():
        group = _container_of(pid, look.pyorch.settings.instance().cgroup)
        if group:
            if group not in look.running:
                yield f"process {pid} ({words[0]}) is of {group}, which does not run"
            inside[group] = inside.get(group, 0) + 1
            continue
        if parent == str(look.daemon) and _state(pid) == "Z":
            yield f"process {pid} has ended, and the daemon has not collected it"
        program = Path(words[0]).name
        if program == "conmon" and any(mine in word for word in words):
            monitors[words[words.index("-c") + 1]] += 1
        lost = parent == "1" and pid != look.daemon and program not in HELPERS
        if lost and marks in _environment(pid):
            yield f"process {pid} ({' '.join(words)[:80]}) belongs to nobody"
    for name, count in inside.items():
        if not count:
            yield f"{name} is said to run and has no process"
    unmonitored = Counter(look.running) - monitors
    for name in unmonitored:
        yield f"{name} runs and has no monitor"
    for name in monitors - Counter(look.running):
        yield f"a monitor of {name} is one too many"


def i2_mounts(look: Look) -> Iterator[str]:
    """What is mounted below our folders is of a container, once; those that run have a root."""
    settings = look.pyorch.settings
    points = [Path(one.point) for one in mounts()]
    mine = Counter(
        point
        for point in points
        if point.is_relative_to(settings.data) or point.is_relative_to(settings.run)
    )
    volumes = {row.name for row in _children(settings.data / "volumes")}
    for point, count in mine.items():
        parts = set(point.parts)
        if point in (settings.data, settings.run):
            continue
        if not parts & (set(look.replicas) | volumes):
            yield f"{point} is of no container"
        if count > 1:
            yield f"{point} is mounted {count} times"
    for name in look.running:
        if settings.data / "containers" / name / "merged" not in mine:
            yield f"the root of {name} is not mounted"


def i3_cgroups(look: Look) -> Iterator[str]:
    """Every cgroup of ours is of a container there is, in all hierarchies."""
    own = look.pyorch.settings.instance().cgroup
    for place in (CGROUPS, *_children(CGROUPS)):
        for stack in _children(place / own):
            for group in _children(stack):
                if f"{stack.name}.{group.name}" not in look.replicas:
                    yield f"{group} is of no container"


def i4_namespaces(look: Look) -> Iterator[str]:
    """Every network namespace is mounted, written down, and of a container there is."""
    folder = look.pyorch.settings.run / "netns"
    files = {path.name for path in _children(folder, files=True)}
    held = {Path(one.point).name for one in mounts() if Path(one.point).parent == folder}
    for name in files ^ held:
        yield f"namespace {name}: file {name in files}, mounted {name in held}"
    for name in held - set(look.records):
        yield f"namespace {name} is written down nowhere"
    for name in set(look.records) - set(look.replicas):
        yield f"sandbox {name} is of no container"


def i5_links(look: Look) -> Iterator[str]:
    """Every link of ours is of a network or a sandbox, as many as it has attachments."""
    networks = {
        path.stem for path in (look.pyorch.settings.run / "network" / "networks").glob("*.json")
    }
    for alias, names in look.links.items():
        if alias != "resolvers" and alias not in networks and alias not in look.records:
            yield f"link {', '.join(names)} is of nothing there is: {alias}"
    for name, record in look.records.items():
        found = len(look.links.get(name, ()))
        if found > len(record["attachments"]):
            yield f"{name} has {found} links and {len(record['attachments'])} attachments"


def i6_firewall(look: Look) -> Iterator[str]:
    """What is published leads to replicas that run, and to all who are ready; nothing else is."""
    addresses = {
        word.strip() for one in look.running for word in _addresses(look.replicas[one]) if word
    }
    for line in look.table.splitlines():
        for word in line.split("dnat ")[1:]:
            found = {part.strip("{},;:[]") for part in word.replace("]:", " ").split()}
            targets = {part.split(":")[0] if part.count(":") == 1 else part for part in found}
            for target in (one for one in targets if one.count(".") == 3):
                if target not in addresses:
                    yield f"a published port leads to {target}, where nobody runs: {line.strip()}"
    for name in look.running:
        one = look.replicas[name]
        for port in one["ports"]:
            number, _, protocol = port.rpartition("->")[0].rpartition(":")[2], 0, "tcp"
            serves = one["health"] in ("none", "healthy") and one["addresses"]
            if serves and port.endswith(f"/{protocol}") and f"_{number}" not in look.table:
                yield f"{name} publishes {port}, and the table does not"


def i7_addresses(look: Look) -> Iterator[str]:
    """What a sandbox holds is leased to it, and what is leased is of a replica there is."""
    leased = {
        (network, address, f"{stack}.{service}.{slot}")
        for network, address, stack, service, slot in look.db["addresses"]
    }
    held = {
        (place["network"], address, name)
        for name, record in look.records.items()
        for place in record["attachments"]
        for address in place["addresses"]
    }
    for one in held - leased:
        yield f"{one} is held and leased to nobody"
    for one in leased - held:
        # A reboot takes the sandboxes of those that stay down.
        if one[2] not in look.replicas or one[2] in look.running:
            yield f"{one} is leased and held by nobody"


def i8_ports(look: Look) -> Iterator[str]:
    """Every lease of a port is of a service of a stack there is, and told of its replicas."""
    told = {
        (stack["name"], one["service"], port.rpartition("->")[0].rpartition(":")[2])
        for stack in look.stacks
        for one in stack["replicas"]
        for port in one["ports"]
    }
    known = {stack["name"]: {one["service"] for one in stack["replicas"]} for stack in look.stacks}
    for stack, service, _, _, _, port in look.db["ports"]:
        if stack not in known:
            yield f"port {port} is leased to {stack}, which nobody knows"
        elif service in known[stack] and (stack, service, str(port)) not in told:
            yield f"port {port} of {stack}.{service} is told nowhere"


def i9_database(look: Look) -> Iterator[str]:
    """The database is whole and of today's schema."""
    if look.db["integrity_check"] != [("ok",)]:
        yield f"integrity_check says {look.db['integrity_check']}"
    if look.db["foreign_key_check"]:
        yield f"foreign_key_check says {look.db['foreign_key_check']}"
    if look.db["user_version"] != [(len(SCHEMA),)]:
        yield f"the schema is {look.db['user_version']}"


def i10_images(look: Look) -> Iterator[str]:
    """Every byte of every image is what its digest says; nothing half-done lies about."""
    told = look.pyorch.try_("doctor", "--deep")
    if "every byte is as it was" not in told.out or "damaged" in told.out:
        yield f"doctor --deep says {told.out}{told.err}"
    root = look.pyorch.settings.data / "images"
    for path in (*_children(root / "staging", files=True), *root.rglob("*.writing")):
        yield f"{path} is half-done"


def i11_volumes(look: Look) -> Iterator[str]:
    """Every volume of a stack that is wanted is there; what a service counted has no gap."""
    folder = look.pyorch.settings.data / "volumes"
    there = {path.name for path in _children(folder)}
    newest = {row[0]: json.loads(row[2]) for row in sorted(look.db["generations"])}
    for stack in look.stacks:
        wanted = stack["intent"] != "remove" and stack["reported"]
        for one in newest[stack["name"]].get("volumes", {}).values() if wanted else ():
            if one["name"] not in there and stack["settled"]:
                yield f"volume {one['name']} of {stack['name']} is gone"
        if f"{stack['name']}_ticks" in there:
            yield from _gaps("volume", ticks(look.pyorch, stack["name"]))


def i12_secrets(look: Look) -> Iterator[str]:
    """Contents of secrets are mounted for containers there are, and readable by root alone."""
    settings = look.pyorch.settings
    for one in mounts():
        point = Path(one.point)
        mine = point.name == "carried" and point.is_relative_to(settings.run)
        if mine and point.parent.name not in look.replicas:
            yield f"{point} holds secrets of no container"
    for path in (settings.data / "secrets").rglob("*"):
        if path.stat().st_mode & 0o077:
            yield f"{path} can be read by others"


def i13_logs(look: Look) -> Iterator[str]:
    """No line is lost that a service counted."""
    for stack in look.stacks:
        services = {one["service"] for one in stack["replicas"]}
        for service in services & {"ticker"}:
            told = look.pyorch.run("-p", stack["name"], "logs", "--no-log-prefix", service)
            yield from _gaps("log", [int(line.split()[1]) for line in told.splitlines()])


def i14_events(look: Look) -> Iterator[str]:
    """Events count up, and a replica does not start twice without having ended or gone."""
    numbers = [row[0] for row in look.db["events"]]
    if any(first >= second for first, second in pairwise(numbers)):
        yield f"the numbers of events do not rise: {numbers}"
    changes = {"replica.started", "replica.exited", "replica.created", "replica.removed"}
    rows = [row for row in look.db["events"] if row[2] in changes]
    for subject, group in groupby(
        sorted(rows, key=lambda r: (r[1], r[3], r[0])), lambda r: r[1::2]
    ):
        for first, second in pairwise(row[2] for row in group):
            if first == second == "replica.started":
                yield f"{subject} was told to start twice"


def i16_exit_codes(look: Look) -> Iterator[str]:
    """The last end of every replica is remembered with the code that is told, once."""
    last = {}
    for _, stack, service, slot, _, _, code, *_ in sorted(look.db["endings"]):
        last[f"{stack}.{service}.{slot}"] = code
    for name, one in look.replicas.items():
        if one["phase"] == "exited" and last.get(name) != one["exit_code"]:
            yield f"{name} ended with {one['exit_code']}; remembered is {last.get(name)}"
    counts = Counter(row[1:4] for row in look.db["endings"])
    for slot, count in counts.items():
        if count > KEPT_ENDINGS:
            yield f"{count} ends of {slot} are kept"


def i17_threads(look: Look) -> Iterator[str]:
    """The daemon has no more threads than it began with and waits in."""
    count = len(os.listdir(f"/proc/{look.daemon}/task"))
    if count > THREADS:
        yield f"the daemon has {count} threads"


INVARIANTS: tuple[Callable[[Look], Iterator[str]], ...] = (
    i1_processes,
    i2_mounts,
    i3_cgroups,
    i4_namespaces,
    i5_links,
    i6_firewall,
    i7_addresses,
    i8_ports,
    i9_database,
    i10_images,
    i11_volumes,
    i12_secrets,
    i13_logs,
    i14_events,
    i16_exit_codes,
    i17_threads,
)
"""I15, and descriptors of I17, are seen by comparing two moments: :func:`check_invariants`."""


# ── inside ───────────────────────────────────────────────────────────────────────────────


def _rest(pyorch: Pyorch) -> None:
    """Wait until every stack is as wanted."""
    for stack in pyorch.client.get("/v1/stacks"):
        pyorch.until(stack["name"], lambda state: state["reported"] and state["settled"])


def _hold(pyorch: Pyorch, but: Mapping[str, str]) -> None:
    def broken() -> list[str]:
        look = Look(pyorch)
        names = {one: one.__name__.split("_")[0].upper() for one in INVARIANTS}
        return [
            f"{names[one]} {seen}"
            for one in INVARIANTS
            if names[one] not in but
            for seen in one(look)
        ]

    found = _lasting(broken)
    assert found == [], "\n".join(found)


def _lasting(find: Callable[[], list[str]]) -> list[str]:
    """Return what is found again and again: what has just ended is about to be cleared away."""
    deadline, pause = time.monotonic() + MEANWHILE, threading.Event()
    while found := find():
        if time.monotonic() > deadline:
            return found
        pause.wait(0.1)
    return []


def _differences(name: str, before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [
        f"{name}: {part} was {before[part]!r}, is {after[part]!r}"
        for part in before
        if before[part] != after[part]
    ]


def _more(before: Counter[str], after: Counter[str]) -> list[str]:
    """Name what the daemon had open beyond what one that begins anew has."""
    over = before - after
    return [
        f"I17 descriptors: {count} of {kind} more than in a daemon that begins anew"
        for kind, count in over.items()
        if kind != "socket" or count > SPARE_SOCKETS
    ]


def _gaps(where: str, numbers: list[int]) -> Iterator[str]:
    # Whoever is ended between the two says a number again.
    allowed = (0, 1) if where == "log" else (1,)
    for first, second in pairwise(numbers):
        if second - first not in allowed:
            yield f"{where}: after tick {first} comes {second}"


def _addresses(replica: Mapping[str, Any]) -> Iterator[str]:
    for one in replica["addresses"].values():
        yield from one.split(",")


def _children(folder: Path, *, files: bool = False) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if files or path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _container_of(pid: int, own: str) -> str:
    try:
        found = [group for group in groups_of(pid) if group.startswith(f"/{own}/")]
    except OSError:
        return ""
    return ".".join(found[0].split("/")[2:4]) if found else ""


def _state(pid: int) -> str:
    try:
        return stat_of(pid)[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    except OSError:
        return b""
