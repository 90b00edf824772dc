"""What is held: addresses, ports of the host, volumes without a name."""

from collections.abc import Iterable
from ipaddress import ip_address
from secrets import token_hex

from orchestrator.store.database import Connection, Database
from scheduler.actions import Addresses
from scheduler.ids import NetworkName, ReplicaId, ServiceName, StackName
from scheduler.observed import AddressLease, PortLease


class Leases:
    """What slots and services hold, in any stack."""

    def __init__(self, db: Database) -> None:
        """Keep it in ``db``."""
        self._db = db

    def addresses(self) -> tuple[AddressLease, ...]:
        """Return every address held, in any stack."""
        rows = self._db.read("SELECT network, address, stack, service, slot FROM addresses")
        return tuple(
            AddressLease(
                stack=StackName(stack),
                replica=ReplicaId(ServiceName(service), slot),
                network=NetworkName(network),
                address=ip_address(address),
            )
            for network, address, stack, service, slot in rows
        )

    def lease_addresses(
        self,
        stack: str,
        replica: ReplicaId,
        addresses: Addresses,
    ) -> None:
        """Let ``replica`` hold exactly these addresses."""
        with self._db.brief_transaction() as db:
            drop_addresses(db, stack, replica)
            db.executemany(
                "INSERT OR REPLACE INTO addresses VALUES (?, ?, ?, ?, ?)",
                [
                    (network, str(address), stack, replica.service, replica.slot)
                    for network, address in addresses
                ],
            )

    def ports(self) -> tuple[PortLease, ...]:
        """Return every published port held, in any stack."""
        rows = self._db.read(
            "SELECT stack, service, host_ip, host_port, protocol, target FROM ports"
        )
        return tuple(
            PortLease(
                stack=StackName(stack),
                service=service,
                host_ip=host_ip,
                host_port=host_port,
                protocol=protocol,
                target=target,
            )
            for stack, service, host_ip, host_port, protocol, target in rows
        )

    def lease_port(self, lease: PortLease) -> None:
        """Let a service hold a port of the host."""
        with self._db.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO ports VALUES (?, ?, ?, ?, ?, ?)",
                (
                    lease.stack,
                    lease.service,
                    lease.target,
                    lease.protocol,
                    lease.host_ip,
                    lease.host_port,
                ),
            )

    def release_port(self, lease: PortLease) -> None:
        """Take a port of the host back."""
        with self._db.transaction() as db:
            db.execute(
                "DELETE FROM ports WHERE stack = ? AND service = ? AND target = ?"
                " AND protocol = ? AND host_ip = ? AND host_port = ?",
                (
                    lease.stack,
                    lease.service,
                    lease.target,
                    lease.protocol,
                    lease.host_ip,
                    lease.host_port,
                ),
            )

    def anonymous_volumes(self, stack: str, replica: ReplicaId) -> dict[str, str]:
        """Return the volumes without a name a slot holds, by where they are mounted."""
        rows = self._db.read(
            "SELECT target, volume FROM anonymous_volumes"
            " WHERE stack = ? AND service = ? AND slot = ?",
            (stack, replica.service, replica.slot),
        )
        return dict(rows.fetchall())

    def held_volumes(self) -> frozenset[str]:
        """Return every volume without a name that a slot of any stack holds."""
        return frozenset(row[0] for row in self._db.read("SELECT volume FROM anonymous_volumes"))

    def lease_volumes(
        self, stack: str, replica: ReplicaId, targets: Iterable[str]
    ) -> dict[str, str]:
        """Let a slot hold one volume for each of ``targets``; what it holds already stays."""
        with self._db.transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO anonymous_volumes VALUES (?, ?, ?, ?, ?)",
                [
                    (stack, replica.service, replica.slot, target, token_hex(32))
                    for target in targets
                ],
            )
        return self.anonymous_volumes(stack, replica)


def drop_addresses(db: Connection, stack: str, replica: ReplicaId) -> None:
    """Take back whatever addresses a slot holds."""
    db.execute(
        "DELETE FROM addresses WHERE stack = ? AND service = ? AND slot = ?",
        (stack, replica.service, replica.slot),
    )
