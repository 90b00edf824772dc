"""One resolver for each set of networks: dnsmasq on a link-local address of its own.

A resolver knows the names of its networks and nothing else of ours, and outlives the
daemon: it is found again by its pid file and told about new names by a signal. One that
dies is noticed at once.
"""

import asyncio
import contextlib
import grp
import json
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from runtime.errors import UnavailableError
from runtime.files import drop_staging, read_json, write_atomic
from runtime.process import run
from runtime.types import Instance, NamedAddresses, NetworkId

ZoneKey = tuple[NetworkId, ...]
FIRST, LAST = 2, 254
UPSTREAM = Path("/etc/resolv.conf")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
END_PATIENCE = 2.0
"""Seconds a resolver may take to end before it is killed."""


class Resolvers:
    """The resolvers of one instance."""

    def __init__(self, instance: Instance, ended: Callable[[], None]) -> None:
        """Read which zone has which address; nothing is started yet.

        ``ended`` is called in the event loop when a resolver ends that was not told to.
        """
        self._base = instance.dns_base
        self._folder = instance.run / "dns"
        self._zones: dict[ZoneKey, int] = {}
        self._watched: dict[int, asyncio.Future[None]] = {}
        """Process id → what is done once the process has ended."""
        self._ended = ended

    def open(self) -> None:
        """Take over the zones an earlier daemon handed out."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        drop_staging(self._folder)
        found = read_json(self._folder / "zones.json") or {}
        for key, number in found.items():
            self._zones[_zone(key)] = int(str(number))

    def address(self, zone: Sequence[NetworkId]) -> IPv4Address:
        """Return where members of exactly these networks ask; the same as long as it lives."""
        key = tuple(sorted(zone))
        if key not in self._zones:
            free = next((n for n in range(FIRST, LAST + 1) if n not in self._zones.values()), None)
            if free is None:
                raise UnavailableError(
                    "make resolver for", ", ".join(key), "this instance has 253 of them already"
                )
            self._zones[key] = free
            self._save()
        return self._base + self._zones[key]

    def zones(self) -> Mapping[ZoneKey, IPv4Address]:
        """Return every zone and its address."""
        return {key: self._base + number for key, number in self._zones.items()}

    async def serve(
        self,
        zones: Sequence[ZoneKey],
        names: Sequence[NamedAddresses],
        *,
        isolated: frozenset[NetworkId],
    ) -> tuple[str, ...]:
        """Have exactly ``zones`` answered; name those that had to be started again.

        Those of ``isolated`` networks alone ask nobody else.
        """
        wanted = {tuple(sorted(zone)) for zone in zones}
        for key in [key for key in self._zones if key not in wanted]:
            await self._stop(key)
        found = await asyncio.gather(
            *(
                self._serve(key, _hosts(key, names), forwards=not set(key) <= isolated)
                for key in sorted(wanted)
            )
        )
        return tuple(one for one in found if one)

    async def close(self) -> None:
        """Watch no longer; the resolvers stay."""
        for watch in self._watched.values():
            watch.cancel()
        self._watched.clear()

    async def _serve(self, key: ZoneKey, text: str, *, forwards: bool) -> str | None:
        hosts = self._folder / f"{self.address(key)}.hosts"
        known = hosts.exists()
        changed = not known or hosts.read_text() != text
        if changed:
            write_atomic(hosts, text.encode(), mode=0o644)
        pid = self._pid(key)
        if pid is None:
            await self._start(key, hosts, forwards=forwards)
            return f"resolver of {', '.join(key)}" if known else None
        if changed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)
        self._watch(pid)
        return None

    def _pid(self, key: ZoneKey) -> int | None:
        try:
            pid = int((self._folder / f"{self.address(key)}.pid").read_text())
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self._folder).encode() in line else None

    async def _start(self, key: ZoneKey, hosts: Path, *, forwards: bool) -> None:
        address = self.address(key)
        line = ["dnsmasq", "--conf-file=/dev/null", "--no-hosts", "--bind-interfaces"]
        line += [f"--listen-address={address}", "--except-interface=lo"]
        line += [f"--addn-hosts={hosts}", f"--pid-file={self._folder / f'{address}.pid'}"]
        line += ["--local-ttl=1", "--cache-size=500", "--no-negcache", "--log-facility=/dev/null"]
        line += _identity(self._folder)
        if forwards:
            # dnsmasq itself follows changes of the file.
            line += [f"--resolv-file={UPSTREAM}", "--bogus-priv"]
            # Names of one label are ours or nobody's, with an upstream and without.
            line += ["--local=//", "--domain-needed"]
        else:
            line += ["--no-resolv", "--local=/#/"]
        done = await run(line, check=False)
        if done.returncode != 0:
            raise UnavailableError("start resolver for", ", ".join(key), done.complaint)
        pid = self._pid(key)
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

    async def _stop(self, key: ZoneKey) -> None:
        pid = self._pid(key)
        if pid is not None:
            over = self._watch(pid)
            self._watched.pop(pid, None)
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                done, _ = await asyncio.wait([over], timeout=END_PATIENCE)
                if done:
                    break
        address = self.address(key)
        for suffix in ("hosts", "pid"):
            (self._folder / f"{address}.{suffix}").unlink(missing_ok=True)
        del self._zones[key]
        self._save()

    def _save(self) -> None:
        found = {"|".join(key): number for key, number in self._zones.items()}
        write_atomic(self._folder / "zones.json", json.dumps(found).encode())


def _zone(key: str) -> ZoneKey:
    return tuple(NetworkId(name) for name in key.split("|"))


def _hosts(key: ZoneKey, names: Sequence[NamedAddresses]) -> str:
    # A name with a space or a line end in it would speak for other names.
    return "".join(
        f"{host}\t{entry.name}\n"
        for entry in names
        if entry.network in key and NAME.fullmatch(entry.name)
        for host in entry.addresses
    )


def _identity(folder: Path) -> list[str]:
    """Have it run as nobody where nobody can reach its files, else as root."""
    if not all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents)):
        return ["--user=root"]
    names = {entry.gr_name for entry in grp.getgrall()}
    group = "nogroup" if "nogroup" in names else "nobody"
    return ["--user=nobody", f"--group={group}"]
