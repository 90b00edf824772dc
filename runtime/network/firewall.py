"""Apply the table, make the host forward, and notice when somebody undid either.

The host's own settings are changed only while a network needs it, and put back after.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.errors import DriverError
from runtime.files import read_json, write_atomic
from runtime.network import nftables
from runtime.network.passages import Passages
from runtime.types import Instance

FORWARDING = {
    4: Path("/proc/sys/net/ipv4/ip_forward"),
    6: Path("/proc/sys/net/ipv6/conf/all/forwarding"),
}
LINKS = Path("/proc/sys/net/ipv6/conf")
ATTEMPTS = 4
"""How often a check looks again when others change rules under its eyes."""


class Firewall:
    """One instance's table, and its rules in the chains of others."""

    def __init__(self, instance: Instance) -> None:
        """Remember nothing of an earlier life: the first transaction is always made."""
        self._table = instance.table
        self._record = instance.run / "network" / "forwarding.json"
        self._wanted: tuple[int, ...] = (4,)
        """The families of which this host must forward."""
        self._passages = Passages(instance)
        self._applied: str | None = None
        self._listing: str | None = None
        """The table as nft(8) printed it when it was ours beyond doubt."""
        self._generation: int | None = None
        """The kernel's count of changes when everything of ours was last seen to stand."""

    async def apply(self, ruleset: str) -> bool:
        """Replace the table, unless it is the very text that was applied last; say if it was."""
        if ruleset == self._applied:
            return False
        self._applied = ruleset
        await self._replace()
        return True

    async def check(self) -> tuple[str, ...]:
        """Put back what others undid, and say what it was. Costs next to nothing at rest."""
        found = [_setting(version) for version in self._forward()]
        for _ in range(ATTEMPTS if self._applied else 0):
            now = nftables.generation()
            if now == self._generation and self._listing is not None:
                break
            listing = await nftables.list_table("inet", self._table)
            if nftables.generation() != now:
                continue
            if now == self._generation:
                # Nothing happened since our own transaction: this is what it looks like.
                self._listing = listing
            elif self._listing is not None and listing == self._listing:
                self._generation = now
            else:
                # A change before the table was ever listed may have been to any other: ours is
                # made anew, but that is told as a repair only where it certainly is one.
                if self._listing is not None or listing is None:
                    found.append(f"firewall table {self._table}")
                await self._replace()
                continue
            found += [f"rules in chain {chain}" for chain in await self._passages.open()]
        return tuple(found)

    async def _replace(self) -> None:
        before = nftables.generation()
        self._listing = self._generation = None
        try:
            await nftables.change(self._applied or "", subject=self._table)
        except DriverError:
            self._applied = None
            raise
        after = nftables.generation()
        # More than one step: somebody else changed something at the same time.
        self._generation = after if after - before == 1 else None

    @property
    def opened_forwarding(self) -> tuple[int, ...]:
        """The families this host forwards only because a network of ours needs it."""
        return tuple(int(version) for version in sorted(self._opened()))

    @property
    def changes(self) -> tuple[str, ...]:
        """What of the host's own settings is changed at present, for people."""
        return tuple(
            f"turned on {_setting(version)}, which was 0, until the last network goes;"
            " what is forwarded between links that are not pyorch's is dropped"
            for version in self.opened_forwarding
        )

    async def open(self, *, ipv6: bool, bridges: Sequence[str]) -> None:
        """Make the host forward, and have other firewalls let our bridges through.

        ``bridges`` are those whose names a person chose.
        """
        self._wanted = (4, 6) if ipv6 else (4,)
        self._forward()
        self._passages.bridges = tuple(sorted(bridges))
        await self._passages.open()

    def forwards(self) -> bool:
        """Whether this host is a router at present."""
        return _is_on(4)

    def _opened(self) -> dict[str, list[str]]:
        """Return the families that were turned on, each with the links that were spared."""
        found: dict[str, Any] = read_json(self._record) or {}
        return {
            version: [str(link) for link in spared]
            for version, spared in found.items()
            # Another version may have written down something else.
            if version in map(str, FORWARDING) and isinstance(spared, list)
        }

    def _forward(self) -> tuple[int, ...]:
        changed = tuple(version for version in self._wanted if not _is_on(version))
        for version in changed:
            spared = _heeding() if version == 6 else []
            self._record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            opened = self._opened() | {str(version): spared}
            write_atomic(self._record, json.dumps(opened).encode())
            for link in spared:
                _heed(link, "2")
            FORWARDING[version].write_text("1")
        return changed

    async def close(self) -> None:
        """Put back what :meth:`open` changed."""
        for version, spared in self._opened().items():
            FORWARDING[int(version)].write_text("0")
            for link in spared:
                _heed(link, "1")
        self._record.unlink(missing_ok=True)
        await self._passages.close()


def _is_on(version: int) -> bool:
    path = FORWARDING[version]
    return not path.exists() or path.read_text().strip() != "0"


def _setting(version: int) -> str:
    return str(FORWARDING[version].relative_to("/proc/sys")).replace("/", ".")


def _heeding() -> list[str]:
    """Return the links that get addresses and routes announced.

    A router heeds no announcements: a host must not lose its own way out over becoming one.
    """
    return [
        path.parent.name
        for path in sorted(LINKS.glob("*/accept_ra"))
        if path.read_text().strip() == "1" and path.parent.name not in ("all", "lo")
    ]


def _heed(link: str, value: str) -> None:
    # 1 heeds announcements unless the host is a router, 2 in any case.
    with contextlib.suppress(FileNotFoundError):
        (LINKS / link / "accept_ra").write_text(value)
