"""Whether the daemon can do what it is there for, as it finds out when it is asked."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.errors import UnwritableError
from orchestrator.service import Orchestrator
from runtime.doctor import examine_programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One thing that keeps the daemon from it, for a person."""

    subject: str
    detail: str
    hint: str | None = None


async def examine(orchestrator: Orchestrator) -> tuple[Complaint, ...]:
    """Return everything that is wrong; nothing where all is well."""
    missing = await asyncio.to_thread(examine_programs)
    return (
        *_store(orchestrator),
        *(
            Complaint(subject=subject, detail=detail, hint="see the daemon's log, and `pyorch ls`")
            for subject, detail in orchestrator.progress.stuck()
        ),
        *(Complaint(subject=one.subject, detail=one.detail, hint=one.remedy) for one in missing),
    )


def _store(orchestrator: Orchestrator) -> Iterator[Complaint]:
    try:
        orchestrator.store.db.try_to_write()
    except UnwritableError as error:
        yield Complaint(subject="state", detail=str(error), hint=error.hint)
