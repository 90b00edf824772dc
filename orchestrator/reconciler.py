"""One pass over one stack: load, observe, plan, execute, record, say when to look again.

A pass is told only *which* stack to look at, never what happened to it. Whatever woke the
queue, the pass reads the whole situation again, so a lost or repeated wake-up changes
nothing but the delay.
"""

import itertools
import math
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from orchestrator.actions import StackActions
from orchestrator.chronicle import Chronicle
from orchestrator.errors import PyorchError, UnwritableError
from orchestrator.events import EventBus
from orchestrator.executor import Done, Outcome, execute
from orchestrator.observer import Drivers, find_images, name_machine, observe
from orchestrator.oneoffs import with_one_offs
from orchestrator.progress import Progress
from orchestrator.publisher import Publisher
from orchestrator.reports import PassReport, Problem, find_problems, report_pass, report_refusal
from orchestrator.runs import let_go_of_ended
from orchestrator.schedules import Schedules
from orchestrator.selection import satisfied
from orchestrator.settings import Settings
from orchestrator.shares import Shares
from orchestrator.sources.hooks import HookRunner
from orchestrator.sources.probes import Prober
from orchestrator.sources.refreshing import Refresher
from orchestrator.spec.models import StackFile
from orchestrator.spec.models.extensions import NotifyExtension
from orchestrator.store import Store, StoredStack
from orchestrator.tally import Tally
from orchestrator.translate.container import ContainerFactory
from orchestrator.translate.desired import build_desired
from orchestrator.translate.differences import with_words
from orchestrator.translate.health import checks_of
from orchestrator.translate.hooks import HookBook, hook_images
from orchestrator.translate.mounts import mounted_images
from orchestrator.translate.network import build_network
from orchestrator.translate.observed import HostView, build_observed, reserved_by_running
from orchestrator.translate.references import reference_of
from orchestrator.translate.sandbox import build_sandbox
from runtime.errors import DriverError
from runtime.types import HostFacts, ImageFacts, SandboxConfig
from scheduler import PlanError, claims, plan_stack, reserve
from scheduler.actions import Addresses, PullImage, StartReplica, describe
from scheduler.desired import DesiredStack, Intent
from scheduler.ids import (
    ReplicaId,
    ServiceName,
    StackName,
    parse_container_name,
    service_slot,
)
from scheduler.observed import Exited, Illness, ObservedStack, Phase, Running
from scheduler.plan import Plan, Step
from scheduler.restart import (
    LOOPING,
    RestartDecision,
    StayDown,
    ask_for_ended,
    decide_healing,
    decide_restart,
)

log = structlog.get_logger()

FIRST_PAUSE = 0.5
"""Seconds before a stack with an error is looked at again; doubles up to LONGEST_PAUSE."""
LONGEST_PAUSE = 30.0
DOUBLINGS = 8
"""After as many, the pause is the longest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Situation:
    """All that one pass goes by."""

    stored: StoredStack
    model: StackFile
    desired: DesiredStack
    observed: ObservedStack
    images: Mapping[str, ImageFacts]
    ended: Collection[ReplicaId]
    """Replicas whose run ended since the pass before."""


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """Runs passes. What it keeps between two of them is only ever a cache or a report."""

    settings: Settings
    drivers: Drivers
    store: Store
    events: EventBus
    chronicle: Chronicle
    now: Callable[[], float]
    prober: Prober
    hooks: HookRunner
    schedules: Schedules
    refresher: Refresher
    progress: Progress
    tally: Tally
    halting: bool = False
    """Everything stops, without anybody wanting it stopped: it is started again later."""
    halt_by: float | None = None
    """When whoever has not stopped by then is killed; None where everybody has all of its time."""
    publisher: Publisher = field(init=False)
    reports: dict[str, PassReport] = field(default_factory=dict)
    desired: dict[str, DesiredStack] = field(default_factory=dict)
    _models: dict[str, tuple[int, StackFile]] = field(default_factory=dict)
    _pulled: set[tuple[str, int, str]] = field(default_factory=set)
    _shares: Shares = field(default_factory=Shares)
    _ill: dict[tuple[StackName, ReplicaId], Illness] = field(default_factory=dict)
    """Illnesses that are left as they are: each is told once."""
    _machine: HostFacts | None = None
    """The machine as it was last looked at: its size is still the same."""
    _errors: dict[str, int] = field(default_factory=dict)
    _passes: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        """Tie the publisher to what this reconciler knows of every stack."""
        self.publisher = Publisher(
            drivers=self.drivers,
            store=self.store,
            stacks=lambda: self.desired.values(),
            health=lambda: self.prober.health,
        )

    async def run_pass(self, name: str) -> float | None:
        """Bring a stack one pass closer to its file; return the pause before the next one."""
        with structlog.contextvars.bound_contextvars(stack=name, pass_id=next(self._passes)):
            try:
                with self.progress.passing(name):
                    pause = await self._pass(name)
            except (PyorchError, PlanError, DriverError) as error:
                return self._refused(name, error)
            except Exception:
                # A bug in one stack must not take the others down; it is told, and retried.
                log.exception("pass.crashed")
                bug = PyorchError("a pass over the stack crashed", hint="see the daemon's log")
                return self._refused(name, bug)
            return pause

    def need_undrained(self) -> None:
        """Raise PyorchError while nothing is started, whatever anybody wants."""
        if self.halting:
            raise PyorchError(
                "this machine is drained: nothing is started",
                hint="`pyorch drain --end` lets everything run again",
                code="conflict",
            )

    async def preload(self) -> None:
        """Learn what every stack is, before anything is published: a stack that is not known
        yet would lose its ports and names for a moment, and its part of the machine."""
        self._shares.begin(reserved_by_running(await self.drivers.containers.list()))
        for stored in self.store.stacks.all():
            try:
                model = self.whole(stored.name, self.model(stored))
                _, pins = self.store.stacks.generation(stored.name, stored.generation)
                names = {reference_of(model, service) for service in model.services}
                images = await find_images(self.drivers.images, names)
                desired = build_desired(
                    model,
                    stored,
                    self.settings,
                    images=images,
                    pins=pins,
                    one_offs=self.store.one_offs.of(stored.name),
                )
                self.desired[stored.name] = self.schedules.present(desired)
            except (PyorchError, DriverError, ValueError) as error:
                log.error("stack.unreadable", stack=stored.name, error=str(error))

    def model(self, stored: StoredStack) -> StackFile:
        """Return the stack file of a stack's present generation."""
        cached = self._models.get(stored.name)
        if cached and cached[0] == stored.generation:
            return cached[1]
        document, _ = self.store.stacks.generation(stored.name, stored.generation)
        model = StackFile.model_validate(document)
        self._models[stored.name] = (stored.generation, model)
        return model

    def whole(self, name: str, model: StackFile) -> StackFile:
        """Return a file of a stack with what is run once besides."""
        one_offs = self.store.one_offs.of(name)

        def of(number: int) -> StackFile:
            return StackFile.model_validate(self.store.stacks.generation(name, number)[0])

        return with_one_offs(model, one_offs, of) if one_offs else model

    def wishes_of(self, stack: str) -> tuple[int, tuple[NotifyExtension, ...]]:
        """Return whose a stack is, and whom it wants told of what happens to it."""
        stored = self.store.stacks.find(stack)
        if stored is None:
            return 0, ()
        try:
            return stored.owner_uid, self.model(stored).x_pyorch.notify
        except (KeyError, ValueError) as error:
            # Whatever is told of a stack must not fail of what nobody can read.
            log.warning("stack.unreadable", stack=stack, error=str(error))
            return stored.owner_uid, ()

    async def prepare(
        self, stored: StoredStack, model: StackFile, pins: Mapping[str, str]
    ) -> tuple[DesiredStack, ObservedStack, dict[str, ImageFacts], HostView]:
        """Translate intent and observe the host: everything a plan is made from."""
        references = {reference_of(model, service) for service in model.services}
        references.update(*(mounted_images(model, one) for one in model.services.values()))
        references.update(*(hook_images(model, name) for name in model.services))
        images = await find_images(self.drivers.images, references | set(pins.values()))
        one_offs = self.store.one_offs.of(stored.name)
        desired = build_desired(
            model, stored, self.settings, images=images, pins=pins, one_offs=one_offs
        )
        view = await observe(self.drivers, machine=self._wants_machine(desired), stack=stored.name)
        self._machine = view.machine or self._machine
        there = [parse_container_name(facts.id) for facts in view.containers]
        present = {one.service for owner, one in there if owner == stored.name}
        observed = build_observed(
            stored.name,
            view,
            references={name: images[name].id for name in references if name in images},
            checked={service.name for service in desired.services if service.checks},
            health=self.prober.health,
            illnesses=self.prober.illnesses,
            ready=self.prober.ready,
            updates=self.store.updates.of(stored.name),
            histories=self.store.replicas.histories(stored.name),
            addresses=self.store.leases.addresses(),
            ports=self.store.leases.ports(),
            machine=name_machine(self.settings),
            size=self._machine,
            reserved=self._shares.held_by_others(stored.name),
            claims=self._shares.claims_of_others(stored.name),
            volumes_of_others=self._volumes_of_others(stored),
            named={share.container for one in desired.services for share in one.shares},
            hooks=self._hooks(stored, model, present),
            refreshing=self.refresher.running,
        )
        return with_words(desired, observed, model, self._kept(stored)), observed, images, view

    def _hooks(self, stored: StoredStack, model: StackFile, present: Collection[str]) -> HookBook:
        """Return what is known of a stack's hooks, of those of services on their way out, too."""
        services = dict(model.services)
        gone = set(present) - set(services)
        for kept in self._kept(stored) if gone else ():
            for name in gone & set(kept.services):
                services.setdefault(name, kept.services[name])
        return HookBook(
            stack=stored.name,
            model=model.model_copy(update={"services": {}})
            if stored.intent is not Intent.RUN
            else model,
            services=services,
            marks=self.store.hooks.of(stored.name),
            running=self.hooks.running,
        )

    def _kept(self, stored: StoredStack) -> Iterator[StackFile]:
        """Yield the stack's kept files, the newest first."""
        for kept in self.store.stacks.generations(stored.name):
            yield StackFile.model_validate(
                self.store.stacks.generation(stored.name, kept.number)[0]
            )

    async def _pass(self, name: str) -> float | None:
        stored = self.store.stacks.find(name)
        if stored is None:
            return None
        if self.halting:
            stored = self._halted(stored)
        started = self.now()
        found = await self._look(stored)
        plan = self._plan(found)
        actions = self._actions(found)

        async def perform(step: Step) -> None:
            patient = isinstance(step.action, PullImage)
            words = describe(step.action)
            with self.progress.working(name, step.number, words, patient=patient):
                await actions.perform(step)

        outcomes = await execute(plan, perform)
        problems = find_problems(plan, outcomes)
        await self._record(found, plan, outcomes, problems)
        done = sum(isinstance(outcome, Done) for outcome in outcomes.values())
        took = self.now() - started
        self.tally.note_pass(took)
        # A pass that found nothing to do is not news: the sweep makes one every few seconds.
        note = log.info if plan.steps or problems else log.debug
        note(
            "pass.finished",
            steps=len(plan.steps),
            done=done,
            held=len(plan.held),
            errors=len(problems),
            took=round(took, 4),
        )
        if _gone(found, plan):
            self._tell_kept(found.desired, found.observed)
            await self.drivers.logs.forwarding.settle(self.settings.logs_of(name))
            self._forget(name)
            return None
        self.events.changed(name)
        return self._pause(name, plan, done=done, problems=problems)

    def _halted(self, stored: StoredStack) -> StoredStack:
        """Return a stack as it is wanted while everything stops."""
        if stored.intent is Intent.RUN:
            stored = replace(stored, intent=Intent.STOP, stop_grace=None)
        if self.halt_by is not None and self.now() >= self.halt_by:
            stored = replace(stored, stop_grace=0.0)
        return stored

    async def _look(self, stored: StoredStack) -> _Situation:
        """Observe, with images tied to what they stand for and requests handed to replicas."""
        model = self.whole(stored.name, self.model(stored))
        _, pins = self.store.stacks.generation(stored.name, stored.generation)
        request, requested = self.store.replicas.requests(stored.name)
        desired, observed, images, view = await self.prepare(stored, model, pins)
        if requested:
            observed = ask_for_ended(observed, requested)
            asked = [one.id for one in observed.replicas if one.asked]
            self.store.replicas.settle_requests(stored.name, request, asked)
        if self.halting:
            desired = replace(desired, pre_stop_binds=False)
        if self._pin(stored, desired, images, pins):
            images |= {str(facts.id): facts for facts in images.values()}
            one_offs = self.store.one_offs.of(stored.name)
            desired = build_desired(
                model, stored, self.settings, images=images, pins=pins, one_offs=one_offs
            )
            desired = with_words(desired, observed, model, self._kept(stored))
        if self.halting:
            # Nobody stops it: whatever goes on is gone on with, and what is due is made up for.
            desired = self.schedules.present(desired)
        else:
            desired = self.schedules.look(desired, observed)
        self.desired[stored.name] = desired
        self._lease_again(stored.name, observed)
        return _Situation(
            stored=stored,
            model=model,
            desired=desired,
            observed=observed,
            images=images,
            ended=self.chronicle.note_endings(stored.name, view.containers),
        )

    def _plan(self, found: _Situation) -> Plan:
        # Nobody else's pass goes on between the observation and the note of the stack's share:
        # what others hold is counted there, and what this stack holds from now on is counted here.
        desired, observed, now = found.desired, found.observed, self.now()
        self._release_leases(desired)
        plan = plan_stack(desired, observed, now=now)
        if desired.intent is Intent.RUN and (due := self.schedules.next_look(desired)) is not None:
            plan = replace(plan, wake_at=min(plan.wake_at or due, due))
        if self.halting and self.halt_by is not None and now < self.halt_by and plan.held:
            plan = replace(plan, wake_at=min(plan.wake_at or self.halt_by, self.halt_by))
        held, waiting = reserve(desired, observed, now=now), claims(desired, observed, now=now)
        self._wake(self._shares.note(desired.name, held, waiting))
        return plan

    def _actions(self, found: _Situation) -> StackActions:
        stored, model, desired = found.stored, found.model, found.desired
        factory = ContainerFactory(
            settings=self.settings,
            model=model,
            desired=desired,
            images=found.images,
            nameservers=self.drivers.networks.nameservers,
            gateway=self.drivers.networks.gateway,
            leased=partial(self.store.leases.anonymous_volumes, stored.name),
            one_offs={one.name: one for one in self.store.one_offs.of(stored.name)},
        )
        self.drivers.logs.cap(self.settings.logs_of(stored.name), factory.log_cap)
        present = {one.id.service for one in found.observed.replicas}
        return StackActions(
            stack=stored.name,
            generation=stored.generation,
            now=self.now,
            drivers=self.drivers,
            store=self.store,
            chronicle=self.chronicle,
            publisher=self.publisher,
            factory=factory,
            hooks=self._hooks(stored, model, present),
            begin_hooks=self.hooks.begin,
            refresh=self.refresher.refresh,
            sandbox=partial(_sandbox, model, desired),
            network=lambda action: build_network(model, action, stored.name),
            secrets=secrets_of(model),
        )

    async def _record(
        self,
        found: _Situation,
        plan: Plan,
        outcomes: Mapping[int, Outcome],
        problems: tuple[Problem, ...],
    ) -> None:
        stored, model, desired, observed = found.stored, found.model, found.desired, found.observed
        self._note_pulled(stored, plan, outcomes)
        self._note_restarted(stored, observed)
        if await let_go_of_ended(self.settings, self.drivers, self.store, observed):
            self._wake([stored.name])
        self._tell_loops(desired, observed, plan, outcomes, ended=found.ended)
        await self.publisher.publish()
        checks = {
            ServiceName(one): checks_of(service, found.images.get(model.image_of(one)))
            for one, service in model.services.items()
        }
        self.prober.adjust(desired, observed, checks, secrets=secrets_of(model))
        self.reports[stored.name] = report_pass(
            stored, desired, observed, plan, problems, now=self.now()
        )

    def _lease_again(self, name: str, observed: ObservedStack) -> None:
        """Write down what replicas hold: a database that was lost knows nothing of it."""
        known = set(self.store.leases.addresses())
        lost = [one for one in observed.addresses if one.stack == name and one not in known]
        for replica in {one.replica for one in lost}:
            held = [
                one for one in observed.addresses if (one.stack, one.replica) == (name, replica)
            ]
            addresses = tuple((one.network, one.address) for one in held)
            try:
                self.store.leases.lease_addresses(name, replica, addresses)
            except UnwritableError as error:
                log.warning("lease.lost", stack=name, replica=str(replica), error=str(error))

    def _tell_loops(
        self,
        desired: DesiredStack,
        observed: ObservedStack,
        plan: Plan,
        outcomes: Mapping[int, Outcome],
        *,
        ended: Collection[ReplicaId],
    ) -> None:
        """Tell that a replica has begun to crash again and again, or is given up; once each."""
        for step in plan.steps:
            match step.action:
                case StartReplica(replica=replica, attempt=attempt) if attempt == LOOPING:
                    if isinstance(outcomes[step.number], Done):
                        reason = f"{attempt} restarts in a row; {step.reason}"
                        self.chronicle.tell(
                            desired.name, "replica.crash_looping", str(replica), reason
                        )
                case _:
                    pass
        services = {service.name: service for service in desired.services}
        for found in observed.replicas:
            service = services.get(found.id.service)
            decision: RestartDecision | None = None
            match found.phase:
                case Exited() as exited if service and found.id in ended:
                    decision = decide_restart(service.restart, found, exited, now=self.now())
                case Running(illness=Illness() as illness) if service and service.heals:
                    if self._ill.get((desired.name, found.id)) == illness:
                        continue
                    decision = decide_healing(service.restart, found, illness, now=self.now())
                    if isinstance(decision, StayDown):
                        self._ill[desired.name, found.id] = illness
                case _:
                    pass
            if isinstance(decision, StayDown) and decision.given_up:
                self.chronicle.tell(
                    desired.name, "replica.given_up", str(found.id), decision.reason
                )

    def _wake(self, stacks: Iterable[str]) -> None:
        for name in stacks:
            self.prober.wake(name)

    def _volumes_of_others(self, stored: StoredStack) -> dict[str, tuple[StackName, ...]]:
        """Return who else names which volume; asked only where a volume might be removed."""
        found: dict[str, tuple[StackName, ...]] = {}
        if not stored.remove_volumes:
            return found
        for other in self.store.stacks.all():
            if other.name != stored.name and other.intent is not Intent.REMOVE:
                for volume in self.model(other).volumes.values():
                    found[volume.name] = (*found.get(volume.name, ()), other.name)
        return found

    def _tell_kept(self, desired: DesiredStack, observed: ObservedStack) -> None:
        for volume in observed.volumes:
            if desired.remove_volumes and volume.stack == desired.name and volume.others:
                reason = f"stack `{volume.others[0]}` uses it"
                self.chronicle.tell(desired.name, "volume.kept", volume.name, reason)

    def _wants_machine(self, desired: DesiredStack) -> bool:
        if desired.intent is not Intent.RUN:
            return False
        held = {
            (lease.service, lease.target, lease.protocol)
            for lease in self.store.leases.ports()
            if lease.stack == desired.name
        }
        wanted = {
            (service.name, port.target, port.protocol)
            for service in desired.services
            for port in service.ports
        }
        return bool(wanted - held) or desired.name not in self.reports or self._machine is None

    def _pin(
        self,
        stored: StoredStack,
        desired: DesiredStack,
        images: Mapping[str, ImageFacts],
        pins: dict[str, str],
    ) -> bool:
        """Tie references to the images they stand for now; say whether any was new."""
        if desired.intent is not Intent.RUN:
            return False
        fresh = {
            reference: str(images[reference].id)
            for service in desired.services
            for reference in (service.image, *service.mounted_images, *service.hook_images)
            if reference in images
            and reference not in pins
            and (
                service.pull != "always"
                or (stored.name, stored.generation, reference) in self._pulled
            )
        }
        if not fresh:
            return False
        pins.update(fresh)
        self.store.stacks.pin_images(stored.name, stored.generation, pins)
        return True

    def _note_pulled(
        self, stored: StoredStack, plan: Plan, outcomes: Mapping[int, Outcome]
    ) -> None:
        for step in plan.steps:
            if isinstance(step.action, PullImage) and isinstance(outcomes[step.number], Done):
                self._pulled.add((stored.name, stored.generation, step.action.reference))

    def _note_restarted(self, stored: StoredStack, observed: ObservedStack) -> None:
        """Drop requests for a restart that every replica has had."""
        if not any(wish.restart_before is not None for wish in stored.wishes.values()):
            return
        begun: dict[ServiceName, float] = {}
        for replica in observed.replicas:
            name = replica.id.service
            begun[name] = min(begun.get(name, math.inf), _begun(replica.phase))
        wishes = satisfied(stored.wishes, begun, now=self.now())
        # Whoever asks for something while a pass goes on is not to be overheard.
        latest = self.store.stacks.find(stored.name)
        if wishes is not None and latest is not None and latest.wishes == stored.wishes:
            self.store.stacks.set_wishes(stored.name, wishes)

    def _release_leases(self, desired: DesiredStack) -> None:
        wanted = {
            (service.name, port.target, port.protocol, port.host_ip)
            for service in desired.services
            for port in service.ports
            if desired.intent is not Intent.REMOVE
        }
        for lease in self.store.leases.ports():
            key = (lease.service, lease.target, lease.protocol, lease.host_ip)
            if lease.stack == desired.name and key not in wanted:
                self.store.leases.release_port(lease)
        virtual = {one.name for one in desired.services if one.virtual and one.networks}
        for held in self.store.leases.addresses():
            whole = held.replica == service_slot(held.replica.service)
            if held.stack == desired.name and whole and held.replica.service not in virtual:
                self.store.leases.lease_addresses(desired.name, held.replica, ())

    def _refused(self, name: str, error: PyorchError | PlanError | DriverError) -> float:
        log.error("pass.refused", error=str(error))
        self.reports[name] = report_refusal(self.store.stacks.find(name), error)
        self.events.changed(name)
        return self._back_off(name)

    def _pause(
        self, name: str, plan: Plan, *, done: int, problems: tuple[Problem, ...]
    ) -> float | None:
        if problems:
            return self._back_off(name)
        self._errors.pop(name, None)
        if done:
            return 0.0
        return None if plan.wake_at is None else max(plan.wake_at - self.now(), 0.0)

    def _back_off(self, name: str) -> float:
        count = self._errors.get(name, 0)
        self._errors[name] = count + 1
        # A stack may fail for days; the power of a count that large is no float.
        return float(min(FIRST_PAUSE * 2 ** min(count, DOUBLINGS), LONGEST_PAUSE))

    def _forget(self, name: str) -> None:
        stored = self.store.stacks.find(name)
        if stored is None or stored.intent is not Intent.REMOVE:
            # Somebody wants it again since the pass began, and has woken it.
            return
        self.desired.pop(name, None)
        self.reports.pop(name, None)
        self._models.pop(name, None)
        self._errors.pop(name, None)
        self._wake(self._shares.forget(name))
        self.chronicle.forget(name)
        self.drivers.logs.cap(self.settings.logs_of(name), None)
        self.drivers.logs.forwarding.forget(self.settings.logs_of(name))
        for ill in [one for one in self._ill if one[0] == name]:
            del self._ill[ill]
        shutil.rmtree(self.settings.logs_of(name), ignore_errors=True)
        self.store.stacks.forget(name)
        self.chronicle.tell(name, "stack.gone", "", "nothing is left of it")


def _sandbox(
    model: StackFile, desired: DesiredStack, replica: ReplicaId, addresses: Addresses
) -> SandboxConfig:
    service = next(one for one in desired.services if one.name == replica.service)
    return build_sandbox(model, service, desired.name, replica, addresses)


def _gone(found: _Situation, plan: Plan) -> bool:
    return (
        found.desired.intent is Intent.REMOVE
        and not plan.steps
        and not plan.held
        and not found.observed.replicas
        and not found.observed.sandboxes
    )


def _begun(phase: Phase) -> float:
    """Return when a run began, or ended where it has; one that is to begin has not yet."""
    match phase:
        case Running(since=since):
            return since
        case Exited(at=at, stopped=False):
            return at
        case _:
            return -math.inf


def secrets_of(model: StackFile) -> tuple[bytes, ...]:
    """Return the contents of a stack's secrets: what must not be told."""
    return tuple(one.payload for one in model.secrets.values() if one.payload)
