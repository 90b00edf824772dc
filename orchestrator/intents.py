"""What is asked of single services while their stack runs: to stop, start, begin anew, go.

A request is noted and the stack woken; the loop does the rest, and goes on with it after a crash.
Between reading what is wanted of a stack and writing it nothing waits: no other request comes
between, and none is overheard.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator import selection
from orchestrator.errors import PyorchError
from orchestrator.observer import Drivers
from orchestrator.reconciler import Reconciler
from orchestrator.spec.models import StackFile
from orchestrator.store import Store, StoredStack, Wish
from runtime import types as host
from runtime.signals import signal_number
from scheduler.desired import Intent, ServiceIntent
from scheduler.ids import ServiceName, parse_container_name

KILL = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Intents:
    """Requests about some of a stack's services; none named means all of them."""

    drivers: Drivers
    store: Store
    reconciler: Reconciler
    wake: Callable[[str], None]

    async def stop(self, stack: str, services: Iterable[str], *, grace: float | None) -> None:
        """Have services stopped and kept; they stay so until somebody asks otherwise."""
        stored, _, names = self._look(stack, services)
        wish = Wish(intent=ServiceIntent.STOPPED, stop_grace=grace)
        self._put(stored, dict.fromkeys(names, wish))

    async def start(self, stack: str, services: Iterable[str]) -> None:
        """Have services run again. Raises PyorchError for one that has no containers."""
        self.reconciler.need_undrained()
        replicas = await self._replicas(stack)
        stored, model, names = self._look(stack, services)
        always = [one for one in names if not model.services[one].x_pyorch.schedule]
        _need_containers(stack, always, replicas)
        others = set(model.services) - set(names) if stored.intent is Intent.STOP else ()
        stopped = Wish(intent=ServiceIntent.STOPPED)
        self.store.replicas.request(stack, names)
        self._put(stored, {**dict.fromkeys(names, Wish()), **dict.fromkeys(others, stopped)})

    async def restart(
        self, stack: str, services: Iterable[str], *, grace: float | None, dependents: bool
    ) -> None:
        """Have every run of services end and another one begin, of the same containers.

        With ``dependents`` those that run and whose `depends_on` says `restart: true` do so, too.
        Raises PyorchError for a service that has no containers.
        """
        self.reconciler.need_undrained()
        named = tuple(services)
        replicas = await self._replicas(stack)
        stored, model, names = self._look(stack, named)
        if by_clock := [one for one in named if model.services[one].x_pyorch.schedule]:
            raise PyorchError(
                f"`{by_clock[0]}` runs by its schedule, each time anew",
                hint=f"`pyorch cron run {by_clock[0]}` runs it now",
                code="conflict",
            )
        names = tuple(one for one in names if not model.services[one].x_pyorch.schedule)
        _need_containers(stack, names, replicas)
        if dependents:
            running = {one.service for one in replicas if one.running}
            more = selection.with_dependents(model, names)
            names = tuple(one for one in more if one in names or one in running)
        wish = Wish(stop_grace=grace, restart_before=self.reconciler.now())
        self._put(stored, dict.fromkeys(names, wish))

    async def pause(self, stack: str, services: Iterable[str], *, paused: bool) -> None:
        """Have every process of services stand still, or go on, where they run.

        It is so until somebody asks otherwise, or they stop. Raises PyorchError where none runs.
        """
        replicas = await self._replicas(stack)
        stored, _, names = self._look(stack, services)
        hit = [one for one in replicas if one.running and one.service in names]
        _need_running(stack, names, hit)
        for one in hit:
            await self.drivers.containers.pause(one.container, paused=paused)
            told = "replica.paused" if paused else "replica.unpaused"
            subject = str(parse_container_name(one.container)[1])
            self.reconciler.chronicle.tell(stored.name, told, subject, "it was asked for")
        self.wake(stored.name)

    async def kill(self, stack: str, services: Iterable[str], *, signal: str) -> None:
        """Send a signal to the main processes of services; SIGKILL also has them stay down.

        Raises PyorchError where none of them runs.
        """
        number = signal_number(signal)
        replicas = await self._replicas(stack)
        stored, _, names = self._look(stack, services)
        hit = [one for one in replicas if one.running and one.service in names]
        _need_running(stack, names, hit)
        if number == KILL:
            wish = Wish(intent=ServiceIntent.STOPPED, stop_grace=0.0)
            self._put(stored, dict.fromkeys((one.service for one in hit), wish))
            return
        for one in hit:
            await self.drivers.containers.signal(one.container, number)

    async def remove(self, stack: str, services: Iterable[str], *, stop: bool) -> tuple[str, ...]:
        """Have containers removed, with ``stop`` also those that run; return whose they are.

        Services of which anything runs are left alone without it. Single runs go with theirs.
        """
        replicas = await self._replicas(stack)
        stored, _, names = self._look(stack, services)
        running = {one.service for one in replicas if one.running}
        present = {one.service for one in replicas}
        gone = tuple(one for one in names if one in present and (stop or one not in running))
        once = [one.name for one in self.store.one_offs.of(stack) if one.service in names]
        once = [one for one in once if one in present and (stop or one not in running)]
        for one in once:
            self.store.one_offs.let_go(stack, one)
        self._put(stored, dict.fromkeys(gone, Wish(intent=ServiceIntent.ABSENT)))
        return (*gone, *once)

    def _look(
        self, stack: str, services: Iterable[str]
    ) -> tuple[StoredStack, StackFile, tuple[str, ...]]:
        stored = self.store.stacks.find(stack)
        if stored is None or stored.intent is Intent.REMOVE:
            raise PyorchError(
                f"no stack named `{stack}` is known here", hint="see `pyorch ls`", code="not_found"
            )
        model = self.reconciler.model(stored)
        names = tuple(dict.fromkeys(services)) or tuple(model.services)
        selection.need(model, names)
        return stored, model, names

    def _put(self, stored: StoredStack, wishes: Mapping[str, Wish]) -> None:
        merged: dict[str, Wish] = {**dict(stored.wishes.items()), **wishes}
        # A stack that is stopped as a whole goes on to be, unless somebody is to run now.
        if stored.intent is not Intent.RUN and any(
            one.intent is ServiceIntent.RUN for one in wishes.values()
        ):
            self.store.stacks.set_intent(stored.name, Intent.RUN, wishes=merged)
        else:
            self.store.stacks.set_wishes(stored.name, merged)
        self.wake(stored.name)

    async def _replicas(self, stack: str) -> list["_Replica"]:
        found = []
        for facts in await self.drivers.containers.list():
            owner, replica = parse_container_name(facts.id)
            if owner == stack:
                running = isinstance(facts.phase, host.Running)
                found.append(_Replica(facts.id, replica.service, running))
        return found


@dataclass(frozen=True, slots=True)
class _Replica:
    container: host.ContainerId
    service: ServiceName
    running: bool


def _need_running(stack: str, services: Iterable[str], running: Sequence[_Replica]) -> None:
    if not running:
        raise PyorchError(
            f"nothing of {', '.join(f'`{name}`' for name in services)} runs",
            hint=f"see `pyorch -p {stack} ps -a`",
            code="conflict",
        )


def _need_containers(stack: str, services: Iterable[str], replicas: Iterable[_Replica]) -> None:
    present = {one.service for one in replicas}
    for name in services:
        if name not in present:
            raise PyorchError(
                f"service `{name}` has no containers",
                hint=f"`pyorch -p {stack} up -d {name}` makes them",
                code="conflict",
            )
