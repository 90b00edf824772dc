"""The database as a whole: what is kept of what, and what goes at once."""

from pathlib import Path

from orchestrator.store.database import Database
from orchestrator.store.events import Events
from orchestrator.store.hooks import Hooks
from orchestrator.store.leases import Leases, drop_addresses
from orchestrator.store.oneoffs import OneOffs
from orchestrator.store.payloads import SecretFiles
from orchestrator.store.replicas import Replicas
from orchestrator.store.runs import Runs
from orchestrator.store.stacks import Stacks
from orchestrator.store.updates import Updates
from scheduler.ids import ReplicaId


class Store:
    """Durable intent and history. Close it when done."""

    def __init__(self, data: Path) -> None:
        """Open or make the database below ``data``.

        Raises PyorchError for one that is broken, or that a newer pyorch wrote.
        """
        self.data = data
        data.mkdir(parents=True, exist_ok=True, mode=0o711)
        secrets = SecretFiles(data / "secrets")
        self.db = Database(data / "state.db")
        self.stacks = Stacks(self.db, secrets)
        self.leases = Leases(self.db)
        self.replicas = Replicas(self.db)
        self.updates = Updates(self.db)
        self.hooks = Hooks(self.db)
        self.runs = Runs(self.db)
        self.one_offs = OneOffs(self.db)
        self.events = Events(self.db)

    def close(self) -> None:
        """Write everything back into the one file and let go of it."""
        self.db.close()

    def forget_replica(self, stack: str, replica: ReplicaId, *, keep_address: bool) -> None:
        """Forget an emptied slot; its addresses stay held where it will be filled again."""
        with self.db.brief_transaction() as db:
            if keep_address:
                return
            for table in ("replicas", "endings"):
                db.execute(
                    f"DELETE FROM {table} WHERE stack = ? AND service = ? AND slot = ?",
                    (stack, replica.service, replica.slot),
                )
            db.execute(
                "DELETE FROM anonymous_volumes WHERE stack = ? AND service = ? AND slot = ?",
                (stack, replica.service, replica.slot),
            )
            db.execute(
                "DELETE FROM hooks WHERE stack = ? AND service = ? AND slot = ?",
                (stack, replica.service, replica.slot),
            )
            db.execute(
                # Those of the service as a whole go with its last slot.
                "DELETE FROM hooks WHERE stack = ? AND service = ? AND slot = 0 AND NOT EXISTS"
                " (SELECT 1 FROM replicas WHERE stack = ? AND service = ?)",
                (stack, replica.service) * 2,
            )
            drop_addresses(db, stack, replica)
