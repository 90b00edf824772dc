"""What is wanted: stacks, the generations of their files, and wishes for single services."""

import json
import time
from collections.abc import Mapping

from orchestrator.store.database import Connection, Database, unwritable
from orchestrator.store.payloads import SecretFiles
from orchestrator.store.values import Generation, StoredStack, Wish
from scheduler.desired import Intent, ServiceIntent
from scheduler.ids import ServiceName, StackName

KEPT_GENERATIONS = 20
"""Of each stack, to go back to. What only older ones need goes: their images, their secrets."""


class Stacks:
    """Every stack, with what its files said and what was asked of it since."""

    def __init__(self, db: Database, secrets: SecretFiles) -> None:
        """Keep them in ``db``, and the contents of their secrets in ``secrets``."""
        self._db = db
        self._secrets = secrets

    def all(self) -> tuple[StoredStack, ...]:
        """Return every stack known, by name."""
        rows = self._db.read(
            "SELECT name, intent, generation, remove_volumes, stop_grace, owner_uid, changed_wall,"
            " (SELECT origin FROM generations WHERE stack = name AND number = generation)"
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
                origin=origin or "",
            )
            for (
                name,
                intent,
                generation,
                remove_volumes,
                stop_grace,
                owner_uid,
                changed_wall,
                origin,
            ) in rows
        )

    def find(self, name: str) -> StoredStack | None:
        """Return one stack, or None."""
        return next((stack for stack in self.all() if stack.name == name), None)

    def save_generation(
        self,
        name: str,
        model: Mapping[str, object],
        images: Mapping[str, str],
        *,
        owner_uid: int,
        origin: str = "",
        undoes: tuple[int, str] | None = None,
        wishes: Mapping[str, Wish] | None = None,
    ) -> int:
        """Accept a settled model as the stack's next generation, and return its number.

        ``model`` is the JSON form of a stack file with the contents of its secrets; they
        are taken out of it here. The stack's intent becomes `run`, and generations that are too
        old to be kept go. ``origin`` says where it came from if not from a file,
        ``undoes`` which generation it undoes, and why, if nobody asked for that. ``wishes`` take
        the place of those there are; without any every service is to run.
        """
        found = self.find(name)
        number: int = 1 + max(
            found.generation if found else 0,
            self._db.read(
                "SELECT COALESCE(MAX(number), 0) FROM generations WHERE stack = ?", (name,)
            ).fetchone()[0],
        )
        try:
            bare = self._secrets.take_out(name, number, model)
        except OSError as error:
            raise unwritable(error) from error
        with self._db.transaction() as db:
            db.execute(
                "INSERT INTO stacks (name, intent, generation, owner_uid, changed_wall)"
                " VALUES (?, 'run', ?, ?, ?) ON CONFLICT (name) DO UPDATE SET intent = 'run',"
                " generation = excluded.generation, remove_volumes = 0, stop_grace = NULL,"
                " changed_wall = excluded.changed_wall",
                (name, number, owner_uid, time.time()),
            )
            db.execute(
                "INSERT INTO generations (stack, number, model, images, accepted_wall,"
                " accepted_uid, origin, undoes, because) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    name,
                    number,
                    json.dumps(bare),
                    json.dumps(dict(images)),
                    time.time(),
                    owner_uid,
                    origin,
                    *(undoes or (None, "")),
                ),
            )
            db.execute(
                "DELETE FROM generations WHERE stack = ? AND number <= ? AND number NOT IN"
                " (SELECT generation FROM one_offs WHERE stack = ?)",
                (name, number - KEPT_GENERATIONS, name),
            )
            _put_wishes(db, name, wishes or {})
        self._secrets.keep_only(name, [one.number for one in self.generations(name)])
        return number

    def generations(self, name: str) -> tuple[Generation, ...]:
        """Return the generations of a stack that are kept, the newest first."""
        rows = self._db.read(
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
        row = self._db.read(
            "SELECT model, images FROM generations WHERE stack = ? AND number = ?", (name, number)
        ).fetchone()
        if row is None:
            raise KeyError(name, number)
        return self._secrets.put_back(name, number, json.loads(row[0])), json.loads(row[1])

    def undone(self, name: str, number: int) -> tuple[int, str] | None:
        """Return which generation was undone by one that nobody asked for, and why."""
        row = self._db.read(
            "SELECT undoes, because FROM generations WHERE stack = ? AND number = ?", (name, number)
        ).fetchone()
        return None if row is None or row[0] is None else (row[0], row[1])

    def pinned(self) -> dict[str, str]:
        """Return every image a kept generation stands on, and a stack it is of."""
        rows = self._db.read("SELECT stack, images FROM generations").fetchall()
        return {
            str(image): stack for stack, images in rows for image in json.loads(images).values()
        }

    def pin_images(self, name: str, number: int, images: Mapping[str, str]) -> None:
        """Note which images a generation's references stand for, from now on."""
        with self._db.transaction() as db:
            db.execute(
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
        with self._db.transaction() as db:
            if wishes is not None:
                _put_wishes(db, name, wishes)
            db.execute(
                "UPDATE stacks SET intent = ?, remove_volumes = ?, stop_grace = ?,"
                " changed_wall = ? WHERE name = ?",
                (intent.value, int(remove_volumes), stop_grace, time.time(), name),
            )

    def set_wishes(self, name: str, wishes: Mapping[str, Wish]) -> None:
        """Change what is wanted of single services of a stack."""
        with self._db.transaction() as db:
            _put_wishes(db, name, wishes)

    def forget(self, name: str) -> None:
        """Drop a stack of which nothing is left but what happened to it; secrets go first.

        Where a power cut undoes it, the wish to remove the stack is still there.
        """
        self._secrets.forget(name)
        with self._db.brief_transaction() as db:
            db.execute("DELETE FROM stacks WHERE name = ?", (name,))

    def _wishes(self) -> dict[str, dict[ServiceName, Wish]]:
        rows = self._db.read(
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


def _put_wishes(db: Connection, stack: str, wishes: Mapping[str, Wish]) -> None:
    db.execute("DELETE FROM services WHERE stack = ?", (stack,))
    db.executemany(
        "INSERT INTO services VALUES (?, ?, ?, ?, ?, ?)",
        [
            (stack, name, one.intent.value, one.alone, one.stop_grace, one.restart_before)
            for name, one in wishes.items()
            if one != Wish()
        ],
    )
