"""Apply the table, make the host forward, and notice when somebody undid either.

The host's own settings are changed only while a network needs it, and put back after.
"""

import json
from pathlib import Path

from runtime.errors import DriverError
from runtime.files import read_json, write_atomic
from runtime.network import nftables
from runtime.network.passages import Passages
from runtime.types import Instance

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
ATTEMPTS = 4
"""How often a check looks again when others change rules under its eyes."""


class Firewall:
    """One instance's table, and its rules in the chains of others."""

    def __init__(self, instance: Instance) -> None:
        """Remember nothing of an earlier life: the first transaction is always made."""
        self._table = instance.table
        self._record = instance.run / "network" / "forwarding.json"
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
        found = ["net.ipv4.ip_forward"] if self._forward() else []
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
    def opened_forwarding(self) -> bool:
        """Whether this host forwards only because a network of ours needs it."""
        return self._record.exists()

    @property
    def changes(self) -> tuple[str, ...]:
        """What of the host's own settings is changed at present, for people."""
        if not self.opened_forwarding:
            return ()
        return (
            "turned on net.ipv4.ip_forward, which was 0, until the last network goes;"
            " what is forwarded between links that are not pyorch's is dropped",
        )

    async def open(self) -> None:
        """Make the host forward, and have other firewalls let our bridges through."""
        self._forward()
        await self._passages.open()

    def forwards(self) -> bool:
        """Whether this host is a router at present."""
        return FORWARDING.read_text().strip() != "0"

    def _forward(self) -> bool:
        if self.forwards():
            return False
        self._record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._record, json.dumps({"was": 0}).encode())
        FORWARDING.write_text("1")
        return True

    async def close(self) -> None:
        """Put back what :meth:`open` changed."""
        if read_json(self._record) is not None:
            FORWARDING.write_text("0")
            self._record.unlink(missing_ok=True)
        await self._passages.close()
