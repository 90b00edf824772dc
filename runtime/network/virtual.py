"""Addresses services have as a whole: bridges answer for them, and the table leads on.

They are written down before a bridge has them, so that none is left behind for a replica to get.
"""

import json
from collections.abc import Collection
from ipaddress import ip_address

from runtime.files import read_json, write_atomic
from runtime.network import links
from runtime.network.links import Links
from runtime.types import Address, Instance

Held = tuple[str, Address]
"""By which bridge, which address."""


class VirtualAddresses:
    """Those of one instance."""

    def __init__(self, instance: Instance, net: Links) -> None:
        """Read nothing yet."""
        self._record = instance.run / "network" / "virtual.json"
        self._net = net

    async def settle(self, wanted: Collection[Held]) -> None:
        """Have bridges answer for these addresses and for none they answered for before."""
        before = self._read()
        if not before and not wanted:
            return
        if not before >= set(wanted):
            self._write(before | set(wanted))
        for bridge, address in sorted(before - set(wanted), key=str):
            await self._net.remove_address(bridge, address)
        for bridge, address in sorted(wanted, key=str):
            if links.exists(bridge):
                await self._net.add_address(bridge, address)
        self._write(set(wanted))

    def _read(self) -> set[Held]:
        found = read_json(self._record) or {}
        return {(str(bridge), ip_address(text)) for text, bridge in found.items()}

    def _write(self, held: Collection[Held]) -> None:
        # Networks of one host do not overlap: an address is of one of them.
        found = {str(address): bridge for bridge, address in held}
        write_atomic(self._record, json.dumps(found).encode())
