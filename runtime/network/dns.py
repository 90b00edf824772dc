"""One resolver for each zone: dnsmasq on a link-local address of its own.

A resolver knows the names of its networks and nothing else of ours, and outlives the
daemon: it is found again by its pid file and told about new names by a signal. One that
dies is noticed at once.
"""

import asyncio
import contextlib
import grp
import hashlib
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from runtime.errors import UnavailableError
from runtime.files import drop_staging, read_json, write_atomic
from runtime.network.host import upstream_servers
from runtime.network.names import LINK_LOCAL
from runtime.plain import read_plain, write_plain
from runtime.process import run
from runtime.procfs import command_lines
from runtime.types import Address, Alias, Instance, NamedAddresses, Net, NetworkId, Zone

NET_PREFIX = 22
"""Room for 1021 resolvers in one instance."""
NEVER = tuple(
    map(IPv4Network, ("169.254.0.0/24", "169.254.20.0/24", "169.254.168.0/22", "169.254.255.0/24"))
)
"""Reserved, or where clouds and clusters answer questions about themselves."""
FIRST = 2
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
END_PATIENCE = 2.0
"""Seconds a resolver may take to end before it is killed."""


class Resolvers:
    """The resolvers of one instance."""

    def __init__(self, instance: Instance, ended: Callable[[], None]) -> None:
        """Read which zone has which address; nothing is started yet.

        ``ended`` is called in the event loop when a resolver ends that was not told to.
        """
        self._folder = instance.run / "dns"
        self._upstream = self._folder / "upstream"
        self._net: IPv4Network | None = None
        self._net6 = ipv6_net(instance.name)
        self._zones: dict[Zone, int] = {}
        self._watched: dict[int, asyncio.Future[None]] = {}
        """Process id → what is done once the process has ended."""
        self._ended = ended

    def open(self) -> None:
        """Take over the zones an earlier daemon handed out."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        drop_staging(self._folder)
        if not (self._folder / "zones.json").exists():
            self._find_lost()
        try:
            written = read_plain(_Written, read_json(self._folder / "zones.json"))
        except ValueError:
            written = _Written()
        self._net = written.net
        self._zones = {one.zone(): one.number for one in written.zones}
        known = set(self._zones.values())
        for path in self._folder.glob("*.pid"):
            if path.stem.isdigit() and int(path.stem) not in known:
                # Nobody knows whom it answers: it ends when names are next published.
                self._zones[Zone(networks=(), servers=(path.stem,))] = int(path.stem)

    def _find_lost(self) -> None:
        """Write down again who still answers though our files are gone: its address is taken."""
        program = shutil.which("dnsmasq")
        mark = re.compile(rf"--pid-file={re.escape(str(self._folder))}/(\d+)\.pid")
        for pid, words in command_lines():
            for found in filter(None, map(mark.fullmatch, words)):
                # Any process may call itself so, one in a container too.
                with contextlib.suppress(OSError):
                    if program and os.path.samefile(f"/proc/{pid}/exe", program):
                        (self._folder / f"{found[1]}.pid").write_text(str(pid))

    @property
    def settled(self) -> bool:
        """Whether the resolvers have a net."""
        return self._net is not None

    @property
    def net(self) -> IPv4Network:
        """Where every resolver of this instance has its address."""
        if self._net is None:
            raise RuntimeError("the resolvers have no net yet")
        return self._net

    @property
    def nets(self) -> Mapping[int, Net]:
        """Their nets by family; none while there are no resolvers."""
        return {4: self._net, 6: self._net6} if self._net is not None else {}

    def settle(self, net: IPv4Network | None) -> None:
        """Have the resolvers live in ``net`` from now on; None while there are none."""
        self._net = net
        self._save()

    def address(self, zone: Zone, version: int) -> Address:
        """Return where a zone's members ask; the same as long as it lives."""
        return self.nets[version].network_address + self._number(zone)

    def _number(self, zone: Zone) -> int:
        zone = settle_zone(zone)
        if zone not in self._zones:
            used = set(self._zones.values())
            free = next((n for n in range(FIRST, self.net.num_addresses - 1) if n not in used), 0)
            if not free:
                raise UnavailableError(
                    "make resolver for",
                    ", ".join(zone.networks),
                    f"this instance has {len(used)} of them already",
                )
            self._zones[zone] = free
            self._save()
        return self._zones[zone]

    async def serve(
        self,
        zones: Mapping[Zone, int],
        names: Sequence[NamedAddresses],
        *,
        isolated: frozenset[NetworkId],
    ) -> tuple[str, ...]:
        """Have exactly ``zones`` answered, each by one family; name those started again.

        Those of ``isolated`` networks alone ask nobody else.
        """
        self._follow_host()
        wanted = {settle_zone(zone): version for zone, version in zones.items()}
        for zone in [zone for zone in self._zones if zone not in wanted]:
            await self._stop(zone)
        found = await asyncio.gather(
            *(
                self._serve(
                    zone,
                    self.address(zone, version),
                    hosts_of(zone, names),
                    forwards=not set(zone.networks) <= isolated,
                )
                for zone, version in sorted(wanted.items())
            )
        )
        return tuple(one for one in found if one)

    def _follow_host(self) -> None:
        """Have resolvers ask whom the host itself is told to ask by now."""
        text = "".join(f"server={server}\n" for server in upstream_servers())
        if self._upstream.exists() and self._upstream.read_text() == text:
            return
        write_atomic(self._upstream, text.encode(), mode=0o644)
        for zone in self._zones:
            if (pid := self._pid(zone)) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGHUP)

    async def close(self) -> None:
        """Watch no longer; the resolvers stay."""
        for watch in self._watched.values():
            watch.cancel()
        self._watched.clear()

    async def _serve(
        self, zone: Zone, address: Address, text: str, *, forwards: bool
    ) -> str | None:
        hosts = self._file(zone, "hosts")
        known = hosts.exists()
        changed = not known or hosts.read_text() != text
        if changed:
            write_atomic(hosts, text.encode(), mode=0o644)
        pid = self._pid(zone)
        if pid is None:
            await self._start(zone, address, forwards=forwards)
            return f"resolver of {', '.join(zone.networks)}" if known else None
        if changed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)
        self._watch(pid)
        return None

    def _pid(self, zone: Zone) -> int | None:
        try:
            pid = int(self._file(zone, "pid").read_text())
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self._folder).encode() in line else None

    async def _start(self, zone: Zone, address: Address, *, forwards: bool) -> None:
        line = ["dnsmasq", "--conf-file=/dev/null", "--no-hosts", "--no-resolv"]
        line.append("--bind-interfaces")
        line += [f"--listen-address={address}", "--except-interface=lo"]
        line.append(f"--addn-hosts={self._file(zone, 'hosts')}")
        line.append(f"--pid-file={self._file(zone, 'pid')}")
        line += ["--local-ttl=1", "--cache-size=500", "--no-negcache", "--log-facility=/dev/null"]
        line += _identity(self._folder)
        if forwards:
            # Each process that follows resolv.conf itself takes one of the user's few inotify
            # instances: with a hundred networks there would be none left for anybody.
            if zone.servers:
                line.append("--strict-order")
                line += [f"--server={server}" for server in zone.servers]
            else:
                line.append(f"--servers-file={self._upstream}")
            # Names of one label are ours or nobody's, with an upstream and without.
            line += ["--bogus-priv", "--local=//", "--domain-needed"]
        else:
            line.append("--local=/#/")
        done = await run(line, check=False)
        if done.returncode != 0:
            raise UnavailableError("start resolver for", ", ".join(zone.networks), done.complaint)
        pid = self._pid(zone)
        if pid is not None:
            self._watch(pid)

    def _watch(self, pid: int) -> asyncio.Future[None]:
        found = self._watched.get(pid)
        if found is not None:
            return found
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            over.set_result(None)
            return over

        def ended() -> None:
            # The daemon adopts what it starts: nobody else would collect the exit.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)
            over.set_result(None)
            if self._watched.pop(pid, None) is not None:
                self._ended()

        def unwatch(_: asyncio.Future[None]) -> None:
            loop.remove_reader(fd)
            os.close(fd)

        loop.add_reader(fd, ended)
        over.add_done_callback(unwatch)
        self._watched[pid] = over
        return over

    async def _stop(self, zone: Zone) -> None:
        pid = self._pid(zone)
        if pid is not None:
            over = self._watch(pid)
            self._watched.pop(pid, None)
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                done, _ = await asyncio.wait([over], timeout=END_PATIENCE)
                if done:
                    break
        for suffix in ("hosts", "pid"):
            self._file(zone, suffix).unlink(missing_ok=True)
        del self._zones[zone]
        self._save()

    def _file(self, zone: Zone, suffix: str) -> Path:
        return self._folder / f"{self._number(zone)}.{suffix}"

    def _save(self) -> None:
        numbered = tuple(_Numbered.of(zone, number) for zone, number in self._zones.items())
        write_atomic(
            self._folder / "zones.json", write_plain(_Written(net=self._net, zones=numbered))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbered:
    """A zone as it is written down."""

    number: int
    networks: tuple[NetworkId, ...]
    servers: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()

    @classmethod
    def of(cls, zone: Zone, number: int) -> "_Numbered":
        return cls(
            number=number, networks=zone.networks, servers=zone.servers, aliases=zone.aliases
        )

    def zone(self) -> Zone:
        return Zone(networks=self.networks, servers=self.servers, aliases=self.aliases)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    net: IPv4Network | None = None
    zones: tuple[_Numbered, ...] = ()


def candidate_nets(instance: str) -> Iterator[IPv4Network]:
    """Yield every net that resolvers could live in, beginning at a place of the instance's. Pure.

    Who takes the first one that is free does not meet others who do the same.
    """
    every = [
        net
        for net in LINK_LOCAL.subnets(new_prefix=NET_PREFIX)
        if not any(net.overlaps(other) for other in NEVER)
    ]
    first = hashlib.sha256(instance.encode()).digest()[0] % len(every)
    yield from every[first:]
    yield from every[:first]


def ipv6_net(instance: str) -> IPv6Network:
    """Return where members of networks without IPv4 find their resolver. Pure.

    A unique local net of an instance's own, as far as forty bits of its name's hash go.
    """
    tail = hashlib.sha256(f"resolvers of {instance}".encode()).digest()[:5]
    return IPv6Network((b"\xfd" + tail + bytes(10), 64))


def settle_zone(zone: Zone) -> Zone:
    """Return the same zone with its networks in order. Pure."""
    return replace(zone, networks=tuple(sorted(zone.networks)))


def hosts_of(zone: Zone, names: Sequence[NamedAddresses]) -> str:
    """Return what a zone's resolver is told, as a file in the manner of hosts(5). Pure."""
    known = [entry for entry in names if entry.network in zone.networks]
    # The first name an address has is what the address is called.
    known.sort(key=lambda entry: not entry.primary)
    known += [
        replace(entry, name=alias.name)
        for alias in zone.aliases
        for entry in known
        if entry.name == alias.of and alias.owner in (None, entry.owner)
    ]
    # A name with a space or a line end in it would speak for other names.
    return "".join(
        f"{host}\t{entry.name}.{entry.network}\t{entry.name}\n"
        for entry in known
        if NAME.fullmatch(entry.name)
        for host in entry.addresses
    )


def _identity(folder: Path) -> list[str]:
    """Have it run as nobody where nobody can reach its files, else as root."""
    if not all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents)):
        return ["--user=root"]
    names = {entry.gr_name for entry in grp.getgrall()}
    group = "nogroup" if "nogroup" in names else "nobody"
    return ["--user=nobody", f"--group={group}"]
