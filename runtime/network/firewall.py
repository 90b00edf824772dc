"""Apply the table, make the host forward, and get along with other firewalls.

The host's own settings are changed only while a network needs it, and put back after.
"""

import json
import re
from pathlib import Path

from runtime.errors import UnavailableError
from runtime.files import read_json, write_atomic
from runtime.network.names import bridge_prefix
from runtime.process import run
from runtime.types import Instance

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


class Firewall:
    """One instance's table."""

    def __init__(self, instance: Instance) -> None:
        """Remember nothing of an earlier life: the first transaction is always made."""
        self._instance = instance
        self._record = instance.run / "network" / "forwarding.json"
        self._applied: str | None = None

    async def apply(self, ruleset: str) -> None:
        """Replace the table, unless it is the very text that was applied last."""
        if ruleset == self._applied:
            return
        done = await run(["nft", "-f", "-"], stdin=ruleset.encode(), check=False)
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise UnavailableError("change firewall table", self._instance.table, words[0])
        self._applied = ruleset

    async def check(self) -> None:
        """Forget what was applied where the table is not there any more."""
        table = ["nft", "list", "table", "inet", self._instance.table]
        if self._applied and (await run(table, check=False)).returncode != 0:
            self._applied = None

    @property
    def opened_forwarding(self) -> bool:
        """Whether this host forwards only because a network of ours needs it."""
        return self._record.exists()

    async def open(self) -> None:
        """Make the host forward, and have other firewalls let our bridges through."""
        if FORWARDING.read_text().strip() == "0":
            self._record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(self._record, json.dumps({"was": 0}).encode())
            FORWARDING.write_text("1")
        await self._pass_docker()

    async def close(self) -> None:
        """Put back what :meth:`open` changed."""
        if read_json(self._record) is not None:
            FORWARDING.write_text("0")
            self._record.unlink(missing_ok=True)
        await self._leave_docker()

    async def _pass_docker(self) -> None:
        # Docker sets FORWARD to drop and documents this chain for exceptions from it.
        if await self._docker_rules():
            return
        bridges = f'"{bridge_prefix(self._instance)}*"'
        comment = f'comment "{self._comment}"'
        for way in ("iifname", "oifname"):
            rule = ["insert", "rule", "ip", "filter", "DOCKER-USER", way, bridges, "accept"]
            await run(["nft", *rule, comment], check=False)

    async def _leave_docker(self) -> None:
        for handle in await self._docker_rules():
            rule = ["delete", "rule", "ip", "filter", "DOCKER-USER", "handle", handle]
            await run(["nft", *rule], check=False)

    async def _docker_rules(self) -> list[str]:
        listing = await run(
            ["nft", "-a", "list", "chain", "ip", "filter", "DOCKER-USER"], check=False
        )
        text = listing.stdout.decode(errors="replace")
        return [
            found[1]
            for line in text.splitlines()
            if f'"{self._comment}"' in line and (found := re.search(r"# handle (\d+)", line))
        ]

    @property
    def _comment(self) -> str:
        return f"pyorch {self._instance.name}"
