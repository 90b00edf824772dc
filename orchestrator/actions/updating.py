"""The steps of an update: each is noted first, and then reachable is who takes part.

What is noted is what the next pass goes by, so a step that was interrupted is made again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from orchestrator.publisher import Publisher
from orchestrator.spec.models import StackFile
from orchestrator.store import Store
from orchestrator.translate.desired import revision as revision_of
from orchestrator.translate.references import reference_of
from runtime.errors import DriverError
from scheduler import actions
from scheduler.ids import ReplicaId, Revision, ServiceName, StackName
from scheduler.observed import UpdateState

UpdateAction = (
    actions.BeginUpdate
    | actions.AdmitReplica
    | actions.FailTrial
    | actions.WithdrawReplica
    | actions.PauseUpdate
    | actions.CompleteUpdate
    | actions.RollBack
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Updating:
    """Updates of the services of one stack, in one generation of it."""

    stack: StackName
    generation: int
    store: Store
    publisher: Publisher
    now: Callable[[], float]

    async def perform(self, action: UpdateAction, reason: str) -> None:
        """Carry out one step."""
        updates, replicas = self.store.updates, self.store.replicas
        match action:
            case actions.BeginUpdate(service=service):
                updates.begin(
                    self.stack,
                    service,
                    generation=self.generation,
                    target=action.target,
                    before=self._before(service, action.revision, action.image),
                )
            case actions.AdmitReplica(replica):
                replicas.record_admission(self.stack, replica, at=self.now())
                await self.publisher.publish()
            case actions.FailTrial(replica):
                replicas.record_failed_trial(self.stack, replica)
            case actions.WithdrawReplica(replica):
                await self._withdraw(replica)
            case actions.PauseUpdate(service):
                updates.turn(self.stack, service, UpdateState.PAUSED, reason=reason)
            case actions.CompleteUpdate(service):
                updates.turn(self.stack, service, UpdateState.COMPLETED)
            case actions.RollBack(service):
                self._roll_back(service, reason)
            case unknown:
                assert_never(unknown)

    def _before(self, service: ServiceName, revision: Revision, image: str) -> int | None:
        """Return the newest generation before the present one that a replica can be of."""
        generations = self.store.stacks.generations(self.stack)
        for number in (one.number for one in generations if one.number < self.generation):
            document, pins = self.store.stacks.generation(self.stack, number)
            model = StackFile.model_validate(document)
            if service not in model.services:
                continue
            made_from = pins.get(reference_of(model, service), image)
            if made_from == image and revision_of(model, model.services[service]) == revision:
                return number
        return None

    async def _withdraw(self, replica: ReplicaId) -> None:
        self.store.replicas.record_leaving(self.stack, replica, since=self.now())
        try:
            await self.publisher.publish()
        except DriverError:
            # Its time to drain has not begun while connections still come to it.
            self.store.replicas.record_leaving(self.stack, replica, since=None)
            raise

    def _roll_back(self, service: ServiceName, reason: str) -> None:
        update = self.store.updates.of(self.stack).get(service)
        stored = self.store.stacks.find(self.stack)
        if update is None or update.before is None or stored is None:
            return
        if stored.generation != self.generation:
            return  # somebody wants something else by now
        document, pins = self.store.stacks.generation(self.stack, update.before)
        self.store.updates.turn(self.stack, service, UpdateState.ROLLED_BACK, reason=reason)
        self.store.stacks.save_generation(
            self.stack,
            document,
            pins,
            owner_uid=stored.owner_uid,
            origin=f"rollback to {update.before}",
            undoes=(self.generation, reason),
            wishes=dict(stored.wishes.items()),
        )
