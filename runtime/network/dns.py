"""One resolver for each set of networks: dnsmasq on a link-local address of its own.

A resolver knows the names of its networks and nothing else of ours, and outlives the
daemon: it is found again by its pid file and told about new names by a signal.
"""

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from runtime.errors import UnavailableError
from runtime.files import drop_staging, read_json, write_atomic
from runtime.process import run
from runtime.types import Instance, NamedAddresses, NetworkId

ZoneKey = tuple[NetworkId, ...]
FIRST, LAST = 2, 254


class Resolvers:
    """The resolvers of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Read which zone has which address; nothing is started yet."""
        self._base = instance.dns_base
        self._folder = instance.run / "dns"
        self._zones: dict[ZoneKey, int] = {}

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
    ) -> None:
        """Have exactly ``zones`` answered; those of ``isolated`` networks alone ask nobody else."""
        wanted = {tuple(sorted(zone)) for zone in zones}
        for key in [key for key in self._zones if key not in wanted]:
            self._stop(key)
        for key in sorted(wanted):
            address = self.address(key)
            text = "".join(
                f"{host}\t{entry.name}\n"
                for entry in names
                if entry.network in key
                for host in entry.addresses
            )
            hosts = self._folder / f"{address}.hosts"
            changed = not hosts.exists() or hosts.read_text() != text
            if changed:
                write_atomic(hosts, text.encode(), mode=0o644)
            pid = self._pid(key)
            if pid is None:
                await self._start(key, address, hosts, forwards=not set(key) <= isolated)
            elif changed:
                os.kill(pid, signal.SIGHUP)

    def _pid(self, key: ZoneKey) -> int | None:
        try:
            pid = int((self._folder / f"{self.address(key)}.pid").read_text())
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self._folder).encode() in line else None

    async def _start(
        self, key: ZoneKey, address: IPv4Address, hosts: Path, *, forwards: bool
    ) -> None:
        line = [
            "dnsmasq",
            "--conf-file=/dev/null",
            "--no-hosts",
            "--no-resolv",
            "--bind-interfaces",
        ]
        line += [f"--listen-address={address}", "--except-interface=lo", "--user=root"]
        line += [f"--addn-hosts={hosts}", f"--pid-file={self._folder / f'{address}.pid'}"]
        line += ["--local-ttl=1", "--cache-size=500", "--no-negcache", "--log-facility=/dev/null"]
        upstream = _upstream() if forwards else []
        if upstream:
            line += ["--domain-needed", "--bogus-priv", *(f"--server={one}" for one in upstream)]
        else:
            line.append("--local=/#/")
        done = await run(line, check=False)
        if done.returncode != 0:
            raise UnavailableError("start resolver for", ", ".join(key), done.complaint)

    def _stop(self, key: ZoneKey) -> None:
        pid = self._pid(key)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        address = self.address(key)
        for suffix in ("hosts", "pid"):
            (self._folder / f"{address}.{suffix}").unlink(missing_ok=True)
        del self._zones[key]
        self._save()

    def _save(self) -> None:
        import json

        found = {"|".join(key): number for key, number in self._zones.items()}
        write_atomic(self._folder / "zones.json", json.dumps(found).encode())


def _zone(key: str) -> ZoneKey:
    return tuple(NetworkId(name) for name in key.split("|"))


def _upstream() -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text().splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                found.append(words[1])
    return found
