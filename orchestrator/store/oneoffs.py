"""Containers that were asked for once, besides what a stack's file names."""

import json
from dataclasses import dataclass
from typing import Any

from orchestrator.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOff:
    """One run of a service by itself.

    ``name`` is what it has in place of a service's name, ``service`` the one it is like.
    ``document`` is that service as it was asked for; the networks, secrets and the like that it
    names are those of ``generation``.
    """

    name: str
    service: str
    generation: int
    document: dict[str, Any]
    alone: bool = False
    """It starts whatever its dependencies do."""
    attached: bool = False
    """Somebody listens from its first byte on."""
    remove: bool = False
    """It goes as soon as it has ended."""
    going: bool = False
    """It is to go, and what it left on the way."""


class OneOffs:
    """Those of every stack."""

    def __init__(self, db: Database) -> None:
        """Keep them in ``db``."""
        self._db = db

    def of(self, stack: str) -> tuple[OneOff, ...]:
        """Return those of one stack, by name."""
        rows = self._db.read(
            "SELECT name, service, generation, document, alone, attached, remove, going"
            " FROM one_offs WHERE stack = ? ORDER BY name",
            (stack,),
        )
        return tuple(
            OneOff(
                name=name,
                service=service,
                generation=generation,
                document=json.loads(document),
                alone=bool(alone),
                attached=bool(attached),
                remove=bool(remove),
                going=bool(going),
            )
            for name, service, generation, document, alone, attached, remove, going in rows
        )

    def add(self, stack: str, one: OneOff) -> None:
        """Want one from now on."""
        with self._db.transaction() as db:
            db.execute(
                "INSERT INTO one_offs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stack,
                    one.name,
                    one.service,
                    one.generation,
                    json.dumps(one.document),
                    one.alone,
                    one.attached,
                    one.remove,
                    one.going,
                ),
            )

    def let_go(self, stack: str, name: str) -> None:
        """Want one no more; it is known until nothing is left of it."""
        with self._db.transaction() as db:
            db.execute("UPDATE one_offs SET going = 1 WHERE stack = ? AND name = ?", (stack, name))

    def forget(self, stack: str, name: str) -> None:
        """Forget one of which nothing is left."""
        with self._db.brief_transaction() as db:
            db.execute("DELETE FROM one_offs WHERE stack = ? AND name = ?", (stack, name))
