"""The statements, on two connections to one file.

They are small and local, and are run in place rather than handed to a thread.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex

from orchestrator.errors import PyorchError
from orchestrator.store.payloads import SecretFiles
from orchestrator.store.schema import migrate
from orchestrator.store.values import (
    Ending,
    Generation,
    Hook,
    HookMark,
    ReplicaHistory,
    StoredStack,
    Wish,
)
from scheduler.actions import Addresses
from scheduler.desired import Intent, ServiceIntent
from scheduler.ids import NetworkName, ReplicaId, ServiceName, StackName
from scheduler.observed import AddressLease, PortLease

KEPT_EVENTS = 10_000
KEPT_ENDINGS = 10
"""Of each slot."""
KEPT_GENERATIONS = 20
"""Of each stack, to go back to. What only older ones need goes: their images, their secrets."""


class Store:
    """Durable intent and history. Close it when done."""

    def __init__(self, data: Path) -> None:
        """Open or make the database below ``data``.

        Raises PyorchError for one that is broken, or that a newer pyorch wrote.
        """
        self._path = data / "state.db"
        data.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._secrets = SecretFiles(data / "secrets")
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            self._path.chmod(0o600)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {pragma}")
            self._check()
            migrate(self._db, self._path)
            self._brief = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
                self._brief.execute(f"PRAGMA {pragma}")
        except PyorchError:
            self._db.close()
            raise
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise PyorchError(
                f"cannot open the state database `{self._path}`: {error}",
                hint="move it aside; running containers are found again without it",
            ) from error

    def close(self) -> None:
        """Write everything back into the one file and let go of it."""
        self._brief.close()
        self._db.close()

    # ── intent ───────────────────────────────────────────────────────────────────────────

    def stacks(self) -> tuple[StoredStack, ...]:
        """Return every stack known, by name."""
        rows = self._db.execute(
            "SELECT name, intent, generation, remove_volumes, stop_grace, owner_uid, changed_wall"
            " FROM stacks ORDER BY name"
        )
        wishes = self._wishes()
        return tuple(
            StoredStack(
                name=StackName(name),
                intent=Intent(intent),
                generation=generation,
                remove_volumes=bool(remove_volumes),
                stop_grace=stop_grace,
                owner_uid=owner_uid,
                changed_wall=changed_wall,
                wishes=wishes.get(name, {}),
            )
            for (
                name,
                intent,
                generation,
                remove_volumes,
                stop_grace,
                owner_uid,
                changed_wall,
            ) in rows
        )

    def stack(self, name: str) -> StoredStack | None:
        """Return one stack, or None."""
        return next((stack for stack in self.stacks() if stack.name == name), None)

    def save_generation(
        self,
        name: str,
        model: Mapping[str, object],
        images: Mapping[str, str],
        *,
        owner_uid: int,
        origin: str = "",
        wishes: Mapping[str, Wish] | None = None,
    ) -> int:
        """Accept a settled model as the stack's next generation, and return its number.

        ``model`` is the JSON form of a stack file with the contents of its secrets; they
        are taken out of it here. The stack's intent becomes `run`, and generations that are too
        old to be kept go. ``origin`` says where it came from if not from a file. ``wishes`` take
        the place of those there are; without any every service is to run.
        """
        found = self.stack(name)
        number: int = 1 + max(
            found.generation if found else 0,
            self._db.execute(
                "SELECT COALESCE(MAX(number), 0) FROM generations WHERE stack = ?", (name,)
            ).fetchone()[0],
        )
        bare = self._secrets.take_out(name, number, model)
        with self._transaction():
            self._db.execute(
                "INSERT INTO stacks (name, intent, generation, owner_uid, changed_wall)"
                " VALUES (?, 'run', ?, ?, ?) ON CONFLICT (name) DO UPDATE SET intent = 'run',"
                " generation = excluded.generation, remove_volumes = 0, stop_grace = NULL,"
                " changed_wall = excluded.changed_wall",
                (name, number, owner_uid, time.time()),
            )
            self._db.execute(
                "INSERT INTO generations (stack, number, model, images, accepted_wall,"
                " accepted_uid, origin) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    name,
                    number,
                    json.dumps(bare),
                    json.dumps(dict(images)),
                    time.time(),
                    owner_uid,
                    origin,
                ),
            )
            self._db.execute(
                "DELETE FROM generations WHERE stack = ? AND number <= ?",
                (name, number - KEPT_GENERATIONS),
            )
            self._put_wishes(name, wishes or {})
        self._secrets.keep_only(name, [one.number for one in self.generations(name)])
        return number

    def generations(self, name: str) -> tuple[Generation, ...]:
        """Return the generations of a stack that are kept, the newest first."""
        rows = self._db.execute(
            "SELECT number, accepted_wall, accepted_uid, origin, images FROM generations"
            " WHERE stack = ? ORDER BY number DESC",
            (name,),
        )
        return tuple(
            Generation(
                number=number,
                accepted_wall=accepted_wall,
                accepted_uid=accepted_uid,
                origin=origin,
                images=json.loads(images),
            )
            for number, accepted_wall, accepted_uid, origin, images in rows
        )

    def generation(self, name: str, number: int) -> tuple[dict[str, object], dict[str, str]]:
        """Return a generation's model, secrets put back, and its pinned images.

        Raises KeyError when there is no such generation.
        """
        row = self._db.execute(
            "SELECT model, images FROM generations WHERE stack = ? AND number = ?", (name, number)
        ).fetchone()
        if row is None:
            raise KeyError(name, number)
        return self._secrets.put_back(name, number, json.loads(row[0])), json.loads(row[1])

    def pinned(self) -> dict[str, str]:
        """Return every image a kept generation stands on, and a stack it is of."""
        rows = self._db.execute("SELECT stack, images FROM generations").fetchall()
        return {
            str(image): stack for stack, images in rows for image in json.loads(images).values()
        }

    def pin_images(self, name: str, number: int, images: Mapping[str, str]) -> None:
        """Note which images a generation's references stand for, from now on."""
        with self._transaction():
            self._db.execute(
                "UPDATE generations SET images = ? WHERE stack = ? AND number = ?",
                (json.dumps(dict(images)), name, number),
            )

    def set_intent(
        self,
        name: str,
        intent: Intent,
        *,
        remove_volumes: bool = False,
        stop_grace: float | None = None,
        wishes: Mapping[str, Wish] | None = None,
    ) -> None:
        """Change what is wanted of a stack as a whole, and of its services where that is given."""
        with self._transaction():
            if wishes is not None:
                self._put_wishes(name, wishes)
            self._db.execute(
                "UPDATE stacks SET intent = ?, remove_volumes = ?, stop_grace = ?,"
                " changed_wall = ? WHERE name = ?",
                (intent.value, int(remove_volumes), stop_grace, time.time(), name),
            )

    def set_wishes(self, name: str, wishes: Mapping[str, Wish]) -> None:
        """Change what is wanted of single services of a stack."""
        with self._transaction():
            self._put_wishes(name, wishes)

    def forget(self, name: str) -> None:
        """Drop a stack of which nothing is left, secrets first.

        Where a power cut undoes it, the wish to remove the stack is still there.
        """
        self._secrets.forget(name)
        with self._brief_transaction() as db:
            db.execute("DELETE FROM stacks WHERE name = ?", (name,))
            db.execute("DELETE FROM events WHERE stack = ?", (name,))

    # ── leases and history ───────────────────────────────────────────────────────────────

    def addresses(self) -> tuple[AddressLease, ...]:
        """Return every address held, in any stack."""
        rows = self._db.execute("SELECT network, address, stack, service, slot FROM addresses")
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
        with self._brief_transaction() as db:
            _drop_addresses(db, stack, replica)
            db.executemany(
                "INSERT OR REPLACE INTO addresses VALUES (?, ?, ?, ?, ?)",
                [
                    (network, str(address), stack, replica.service, replica.slot)
                    for network, address in addresses
                ],
            )

    def ports(self) -> tuple[PortLease, ...]:
        """Return every published port held, in any stack."""
        rows = self._db.execute(
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
        with self._transaction():
            self._db.execute(
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
        with self._transaction():
            self._db.execute(
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
        rows = self._db.execute(
            "SELECT target, volume FROM anonymous_volumes"
            " WHERE stack = ? AND service = ? AND slot = ?",
            (stack, replica.service, replica.slot),
        )
        return dict(rows.fetchall())

    def lease_volumes(
        self, stack: str, replica: ReplicaId, targets: Iterable[str]
    ) -> dict[str, str]:
        """Let a slot hold one volume for each of ``targets``; what it holds already stays."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO anonymous_volumes VALUES (?, ?, ?, ?, ?)",
                [
                    (stack, replica.service, replica.slot, target, token_hex(32))
                    for target in targets
                ],
            )
        return self.anonymous_volumes(stack, replica)

    def histories(self, stack: str) -> dict[ReplicaId, ReplicaHistory]:
        """Return what is remembered of each slot of a stack."""
        rows = self._db.execute(
            "SELECT service, slot, attempts, restarts, counted, asked, healing, follows"
            " FROM replicas WHERE stack = ?",
            (stack,),
        )
        return {
            ReplicaId(ServiceName(service), slot): ReplicaHistory(
                attempts=attempts,
                restarts=restarts,
                counted=tuple(json.loads(counted)),
                asked=bool(asked),
                healing=bool(healing),
                follows=follows,
            )
            for service, slot, attempts, restarts, counted, asked, healing, follows in rows
        }

    def record_start(
        self,
        stack: str,
        replica: ReplicaId,
        *,
        attempt: int,
        counted: Sequence[float] = (),
        follows: str = "",
    ) -> None:
        """Remember a start; ``attempt`` 0 is a first one, others are restarts in a row.

        Whoever has asked for it has got it.
        """
        with self._brief_transaction() as db:
            db.execute(
                "INSERT INTO replicas (stack, service, slot, attempts, restarts, counted, follows)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stack, service, slot) DO UPDATE SET"
                " attempts = excluded.attempts, restarts = restarts + excluded.restarts,"
                " counted = excluded.counted, follows = excluded.follows, asked = 0, healing = 0",
                (
                    stack,
                    replica.service,
                    replica.slot,
                    attempt,
                    int(attempt > 0),
                    json.dumps(counted),
                    follows,
                ),
            )

    def record_healing(
        self, stack: str, replica: ReplicaId, *, attempt: int, counted: Sequence[float]
    ) -> None:
        """Remember that a replica is stopped to run anew, and as which restart that counts."""
        with self._brief_transaction() as db:
            db.execute(
                "INSERT INTO replicas (stack, service, slot, attempts, counted, healing)"
                " VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (stack, service, slot) DO UPDATE SET"
                " attempts = excluded.attempts, counted = excluded.counted, healing = 1",
                (stack, replica.service, replica.slot, attempt, json.dumps(counted)),
            )

    def request(self, stack: str, services: Iterable[str]) -> None:
        """Note that somebody wants what has ended of services to run again."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO requests (stack, service) VALUES (?, ?)",
                [(stack, service) for service in services],
            )

    def requests(self, stack: str) -> tuple[int, frozenset[ServiceName]]:
        """Return the services of which that is wanted, and the number of the latest request."""
        rows = self._db.execute("SELECT id, service FROM requests WHERE stack = ?", (stack,))
        found = rows.fetchall()
        return max((number for number, _ in found), default=0), frozenset(
            ServiceName(service) for _, service in found
        )

    def settle_requests(self, stack: str, number: int, replicas: Iterable[ReplicaId]) -> None:
        """Put in place of the requests up to ``number`` that these replicas are asked for."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO replicas (stack, service, slot, asked) VALUES (?, ?, ?, 1)"
                " ON CONFLICT (stack, service, slot) DO UPDATE SET asked = 1",
                [(stack, one.service, one.slot) for one in replicas],
            )
            self._db.execute("DELETE FROM requests WHERE stack = ? AND id <= ?", (stack, number))

    def record_ending(self, stack: str, ending: Ending) -> bool:
        """Remember how a run ended; say whether that is news. The oldest of each slot go."""
        slot = (stack, ending.replica.service, ending.replica.slot)
        with self._brief_transaction() as db:
            found = db.execute(
                "INSERT OR IGNORE INTO endings (stack, service, slot, created_wall, run, code, oom,"
                " lived, stopped, at_wall) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *slot,
                    ending.created_wall,
                    ending.run,
                    ending.code,
                    int(ending.oom),
                    ending.lived,
                    int(ending.stopped),
                    ending.at_wall,
                ),
            )
            if found.rowcount < 1:
                return False
            db.execute(
                "DELETE FROM endings WHERE stack = ? AND service = ? AND slot = ? AND id NOT IN"
                " (SELECT id FROM endings WHERE stack = ? AND service = ? AND slot = ?"
                " ORDER BY id DESC LIMIT ?)",
                (*slot, *slot, KEPT_ENDINGS),
            )
            return True

    def endings(self, stack: str) -> tuple[Ending, ...]:
        """Return how the last runs of a stack's replicas ended, the newest first."""
        rows = self._db.execute(
            "SELECT service, slot, created_wall, run, code, oom, lived, stopped, at_wall"
            " FROM endings WHERE stack = ? ORDER BY id DESC",
            (stack,),
        )
        return tuple(
            Ending(
                replica=ReplicaId(ServiceName(service), slot),
                created_wall=created_wall,
                run=run,
                code=code,
                oom=bool(oom),
                lived=lived,
                stopped=bool(stopped),
                at_wall=at_wall,
            )
            for service, slot, created_wall, run, code, oom, lived, stopped, at_wall in rows
        )

    def forget_replica(self, stack: str, replica: ReplicaId, *, keep_address: bool) -> None:
        """Forget an emptied slot; its addresses stay held where it will be filled again."""
        with self._brief_transaction() as db:
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
                "DELETE FROM hooks WHERE stack = ? AND service = ? AND slot IN (?, ?)",
                # Those of the service as a whole go with its first slot.
                (stack, replica.service, replica.slot, 0 if replica.slot == 1 else replica.slot),
            )
            _drop_addresses(db, stack, replica)

    # ── hooks ────────────────────────────────────────────────────────────────────────────

    def hooks(self, stack: str) -> dict[Hook, HookMark]:
        """Return what is known of hooks that have run."""
        rows = self._db.execute(
            "SELECT service, slot, kind, number, key, code, words FROM hooks WHERE stack = ?",
            (stack,),
        )
        return {tuple(row[:4]): HookMark(*row[4:]) for row in rows}

    def record_hook(self, stack: str, hook: Hook, mark: HookMark) -> None:
        """Remember that a hook has run; what is known of an earlier run goes."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO hooks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (stack, *hook, *mark),
            )

    def renew_hooks(self, stack: str) -> None:
        """Let hooks that have failed run again, and those of stopping in any case."""
        with self._transaction():
            self._db.execute(
                "DELETE FROM hooks WHERE stack = ? AND (code != 0 OR kind = 'pre_stop')", (stack,)
            )

    # ── events ───────────────────────────────────────────────────────────────────────────

    def record_event(
        self, stack: str, name: str, subject: str, reason: str, at_wall: float
    ) -> None:
        """Append to the history, and let the oldest go."""
        with self._brief_transaction() as db:
            number = db.execute(
                "INSERT INTO events (stack, name, subject, reason, at_wall) VALUES (?, ?, ?, ?, ?)",
                (stack, name, subject, reason, at_wall),
            ).lastrowid
            if number and number % 256 == 0:
                db.execute("DELETE FROM events WHERE id <= ?", (number - KEPT_EVENTS,))

    # ── inside ───────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Change everything or nothing, on disk before it returns."""
        with _all_or_nothing(self._db):
            yield

    @contextmanager
    def _brief_transaction(self) -> Iterator[sqlite3.Connection]:
        """Change everything or nothing, safe from a kill but not from a power cut at once.

        For what describes processes, which a power cut ends too, and what is found out again.
        Waiting for the disk a few times a container would be most of what starting it costs.
        """
        with _all_or_nothing(self._brief):
            yield self._brief

    def _check(self) -> None:
        # Found later, a broken page would end the daemon in the middle of a pass.
        (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).splitlines()[-1])

    def _wishes(self) -> dict[str, dict[ServiceName, Wish]]:
        rows = self._db.execute(
            "SELECT stack, service, intent, alone, stop_grace, restart_before FROM services"
        )
        found: dict[str, dict[ServiceName, Wish]] = {}
        for stack, service, intent, alone, stop_grace, restart_before in rows:
            found.setdefault(stack, {})[ServiceName(service)] = Wish(
                intent=ServiceIntent(intent),
                alone=bool(alone),
                stop_grace=stop_grace,
                restart_before=restart_before,
            )
        return found

    def _put_wishes(self, stack: str, wishes: Mapping[str, Wish]) -> None:
        self._db.execute("DELETE FROM services WHERE stack = ?", (stack,))
        self._db.executemany(
            "INSERT INTO services VALUES (?, ?, ?, ?, ?, ?)",
            [
                (stack, name, one.intent.value, one.alone, one.stop_grace, one.restart_before)
                for name, one in wishes.items()
                if one != Wish()
            ],
        )


@contextmanager
def _all_or_nothing(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _drop_addresses(db: sqlite3.Connection, stack: str, replica: ReplicaId) -> None:
    db.execute(
        "DELETE FROM addresses WHERE stack = ? AND service = ? AND slot = ?",
        (stack, replica.service, replica.slot),
    )
