"""Everything the API may do, in one place: note what is wanted, wake the loop, tell what is.

Nothing here acts on the host on behalf of a stack. A request becomes intent in the store
and a key in the queue; the answer is given before anything happens.

Requests about one stack overlap, and passes go on meanwhile. So what is written follows from
what is in the store at that moment: where that has changed while something was waited for, it
is decided again.
"""

import json
import tempfile
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator import selection
from orchestrator.builds import Builds
from orchestrator.draining import Draining
from orchestrator.errors import PyorchError
from orchestrator.events import Event, EventBus
from orchestrator.generations import Generations
from orchestrator.intents import Intents
from orchestrator.notifier import Notifier
from orchestrator.observer import Drivers, find_images
from orchestrator.oneoffs import RunRequest
from orchestrator.progress import Progress
from orchestrator.reconciler import Reconciler, secrets_of
from orchestrator.runs import Begun, prepare_run, refuse_taken_name
from orchestrator.settings import Settings
from orchestrator.spec.judging.consistency import check_settled
from orchestrator.spec.models import StackFile
from orchestrator.store import Store, StoredStack, Wish
from orchestrator.tally import Tally
from orchestrator.translate.desired import build_desired
from orchestrator.translate.devices import cdi_names
from orchestrator.translate.logging import unattached
from orchestrator.translate.observed import name_of
from orchestrator.views import StackView, Views
from orchestrator.workqueue import WorkQueue
from runtime import types as host
from runtime.drivers import ExecSession
from runtime.errors import DriverError
from scheduler import ask_for_ended, plan_stack
from scheduler.desired import DesiredStack, Intent, ServiceIntent
from scheduler.ids import StackName, parse_container_name
from scheduler.observed import UpdateState
from scheduler.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """What the person said besides the file. ``owner_uid`` is that of the socket's peer."""

    owner_uid: int = 0
    force_recreate: bool = False
    pull: str | None = None
    scale: Mapping[str, int] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    """Those it is about; all of the file where there are none."""
    no_deps: bool = False
    """Leave alone what these depend on, and do not wait for it."""
    no_start: bool = False
    """Make containers and start none."""
    remove_orphans: bool = False
    """Remove what somebody ran once and has ended; what the file names no more goes anyway."""
    beside: bool = False
    """It is about what somebody is to run beside the services: where none is named, none is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The generation that holds now, and whether it is a new one."""

    generation: int
    changed: bool


@dataclass(slots=True, kw_only=True)
class Orchestrator:
    """What the API stands in front of."""

    settings: Settings
    drivers: Drivers
    store: Store
    events: EventBus
    queue: WorkQueue
    reconciler: Reconciler
    progress: Progress
    tally: Tally
    notifier: Notifier
    builds: Builds

    async def apply(self, model: StackFile, *, options: ApplyOptions) -> Applied:
        """Accept a settled stack file as what is wanted from now on, and wake its stack.

        The same file with the same images keeps the present generation.
        """
        return await self._apply(lambda: model, options)

    async def run(
        self, model: StackFile, wanted: RunRequest, *, owner_uid: int
    ) -> tuple[Begun, ExecSession]:
        """Have a service run once, by itself, as soon as what it depends on lets it.

        Returns who takes part in its streams; close that.
        """
        selection.need(model, [wanted.service])
        one, begun = prepare_run(model, wanted)
        await refuse_taken_name(self.drivers, begun.called)
        needs = () if wanted.no_deps else tuple(model.services[wanted.service].depends_on)
        options = ApplyOptions(
            owner_uid=owner_uid,
            services=tuple(name for name in needs if name in model.services),
            remove_orphans=wanted.remove_orphans,
            beside=True,
        )
        applied = await self._apply(lambda: model, options)
        # Whoever listens does so before anything can be said.
        session = await self.drivers.containers.attach(begun.container)
        self.store.one_offs.add(model.name, replace(one, generation=applied.generation))
        self._wake(model.name)
        return begun, session

    def let_go(self, name: str, run: str) -> None:
        """Have a one-off end and go. Raises PyorchError for one that is not there."""
        if run not in {one.name for one in self.store.one_offs.of(name)}:
            raise PyorchError(f"stack `{name}` has no run `{run}`", code="not_found")
        self.store.one_offs.let_go(name, run)
        self._wake(name)

    async def remove_ended(self, name: str) -> None:
        """Let every one-off of a stack go that has ended."""
        for one in (await self.view(name)).replicas:
            if one.one_off and one.phase == "exited":
                self.store.one_offs.let_go(name, one.service)

    async def scale(self, name: str, scale: Mapping[str, int], *, owner_uid: int) -> Applied:
        """Want so many replicas of services from now on; the rest stays as it is."""
        options = ApplyOptions(
            owner_uid=owner_uid, scale=scale, services=tuple(scale), no_deps=True
        )
        return await self._apply(lambda: self.reconciler.model(self._known(name)), options)

    async def _apply(self, asked: Callable[[], StackFile], options: ApplyOptions) -> Applied:
        self.reconciler.need_undrained()
        while True:
            model = asked()
            if options.scale:
                scaled = _scaled(model, options.scale).model_dump_json(warnings=False)
                model = StackFile.model_validate_json(scaled)
                check_settled(model)
            running = await self._running(model.name) if options.no_start else ()
            stored = self.store.stacks.find(model.name)
            model, wishes = self._select(model, stored, options, running)
            document: dict[str, Any] = json.loads(model.model_dump_json())
            if options.force_recreate:
                document["recreate"] = (stored.generation if stored else 0) + 1
            elif not document["recreate"]:
                # No file says it: containers that were made anew once are as they should be.
                document["recreate"] = self._recreated(stored)
            same, pins = self._compared(stored, document)
            await self._check(model)
            stands = same and await self._images_stand(pins, options)
            if self.store.stacks.find(model.name) == stored:
                break
        if stored is not None and stands:
            if stored.intent is not Intent.RUN or wishes != stored.wishes:
                self.store.stacks.set_intent(stored.name, Intent.RUN, wishes=wishes)
            number = stored.generation
        else:
            number = self.store.stacks.save_generation(
                model.name, document, {}, owner_uid=options.owner_uid, wishes=wishes
            )
        # Whoever asks for it again wants it to go on.
        self._turn(model.name, (), UpdateState.PAUSED, UpdateState.RUNNING)
        if options.remove_orphans:
            await self.remove_ended(model.name)
        self._run_again(model, options)
        return Applied(generation=number, changed=not stands)

    def _select(
        self,
        model: StackFile,
        stored: StoredStack | None,
        options: ApplyOptions,
        running: Collection[str],
    ) -> tuple[StackFile, dict[str, Wish]]:
        """Return the file and the wishes that hold once some services, or all, are asked for."""
        selection.need(model, options.services)
        chosen = options.services or (() if options.beside else tuple(model.services))
        if options.services and not options.no_deps:
            chosen = selection.with_dependencies(model, options.services)
        idle = [name for name in chosen if name not in running] if options.no_start else ()
        created = dict.fromkeys(idle, Wish(intent=ServiceIntent.CREATED))
        if not options.services and not options.beside:
            return model, created
        going = stored is None or stored.intent is Intent.REMOVE
        present = None if going or stored is None else self.reconciler.model(stored)
        merged = selection.merge(present, model, chosen)
        if options.beside:
            # What the others go on with stays as it is; a stack that is new is known in whole.
            merged = model if present is None else selection.keep_sections(present, merged)
        wishes = selection.wishes_for(
            stored.wishes if stored else {},
            present=present,
            merged=merged,
            chosen=chosen,
            wish=Wish(alone=options.no_deps),
            stopped=stored is not None and stored.intent is Intent.STOP,
        )
        return merged, {name: wish for name, wish in (wishes | created).items() if wish != Wish()}

    async def rollback(self, name: str, number: int | None, *, owner_uid: int) -> Applied:
        """Want again what a generation said, with the images it stood on.

        Without ``number`` it is the newest one that is not the same as the present. It becomes
        the next generation. An image that is not here any more is pulled by its name.
        """
        self.reconciler.need_undrained()
        generations = Generations(store=self.store)
        while True:
            stored = self._known(name)
            chosen = generations.before(name) if number is None else number
            document, pins = generations.document(name, chosen)
            changed = bool(generations.diff(name, chosen, stored.generation))
            images = await find_images(self.drivers.images, pins.values()) if changed else {}
            if self.store.stacks.find(name) == stored:
                break
        if changed:
            here = {reference: image for reference, image in pins.items() if image in images}
            present = self.store.stacks.save_generation(
                name, document, here, owner_uid=owner_uid, origin=f"rollback to {chosen}"
            )
            reason = f"to generation {chosen}, which is generation {present} now"
            self.reconciler.chronicle.tell(name, "stack.rolled_back", "", reason)
        else:
            present = stored.generation
            self.store.stacks.set_intent(name, Intent.RUN, wishes={})
        self._wake(name)
        return Applied(generation=present, changed=changed)

    async def plan(self, model: StackFile | None, name: str) -> Plan:
        """Return what applying ``model`` would do, or what the present file still asks for."""
        stored = self.store.stacks.find(name)
        if model is None:
            if stored is None:
                raise _unknown(name)
            model = self.reconciler.model(stored)
        await self._check(model)
        pins: Mapping[str, str] = {}
        if stored is not None:
            if not model.recreate:
                model = model.model_copy(update={"recreate": self._recreated(stored)})
            same, pins = self._compared(stored, json.loads(model.model_dump_json()))
            if not (same and await self._images_stand(pins, ApplyOptions())):
                pins = {}
        assumed = StoredStack(
            name=StackName(name),
            intent=Intent.RUN,
            generation=stored.generation if stored else 0,
            remove_volumes=False,
            stop_grace=None,
            owner_uid=0,
            changed_wall=0.0,
        )
        whole = self.reconciler.whole(name, model)
        desired, observed, _, _ = await self.reconciler.prepare(assumed, whole, pins)
        desired = self.reconciler.schedules.present(desired)
        return plan_stack(desired, ask_for_ended(observed), now=self.reconciler.now())

    def pause_updates(self, name: str, services: Iterable[str]) -> tuple[str, ...]:
        """Have updates that are going on wait; return whose. What is on trial goes on with it."""
        return self._turn(name, services, UpdateState.RUNNING, UpdateState.PAUSED)

    def resume_updates(self, name: str, services: Iterable[str]) -> tuple[str, ...]:
        """Have updates that are paused go on; return whose."""
        return self._turn(name, services, UpdateState.PAUSED, UpdateState.RUNNING)

    def _turn(
        self, name: str, services: Iterable[str], before: UpdateState, after: UpdateState
    ) -> tuple[str, ...]:
        self._known(name)
        updates = self.store.updates.of(name)
        wanted = tuple(services)
        for service in wanted:
            if service not in updates:
                raise PyorchError(
                    f"service `{service}` of stack `{name}` has had no update",
                    hint=f"see `pyorch -p {name} rollout status`",
                    code="not_found",
                )
        found = tuple(
            service
            for service, one in updates.items()
            if one.state is before and (not wanted or service in wanted)
        )
        for service in found:
            reason = "somebody asked for that" if after is UpdateState.PAUSED else ""
            self.store.updates.turn(name, service, after, reason=reason)
            if after is UpdateState.RUNNING:
                self.store.replicas.renew_trials(name, service, since=self.reconciler.now())
        self._wake(name)
        return found

    async def stop(self, name: str, *, grace: float | None = None) -> None:
        """Have every container of a stack stopped and kept."""
        self._known(name)
        self.store.stacks.set_intent(name, Intent.STOP, stop_grace=grace)
        self._wake(name)

    async def start(self, name: str) -> None:
        """Have a stopped stack run again."""
        self.reconciler.need_undrained()
        stored = self._known(name)
        self.store.stacks.set_intent(name, Intent.RUN, wishes={})
        self.store.replicas.request(name, self.reconciler.model(stored).services)
        self._wake(name)

    async def remove(self, name: str, *, volumes: bool, grace: float | None = None) -> None:
        """Have nothing left of a stack but its volumes, or not even those."""
        self._known(name)
        self.store.stacks.set_intent(name, Intent.REMOVE, remove_volumes=volumes, stop_grace=grace)
        self._wake(name)

    @property
    def intents(self) -> Intents:
        """Requests about single services."""
        return Intents(
            drivers=self.drivers, store=self.store, reconciler=self.reconciler, wake=self._wake
        )

    def schedules(self, name: str) -> list[dict[str, Any]]:
        """Describe what of a stack runs by the clock, and how its runs went."""
        return list(self.reconciler.schedules.describe(self._planned(name)))

    def run_now(self, name: str, service: str) -> int:
        """Have a service that runs by the clock run now, and return the number of that run."""
        self.reconciler.need_undrained()
        number = self.reconciler.schedules.ask(self._planned(name), service)
        self._wake(name)
        return number

    @property
    def draining(self) -> Draining:
        """Stopping everything, and letting it run again."""
        return Draining(
            mark=self.settings.run / "drained",
            drivers=self.drivers,
            store=self.store,
            reconciler=self.reconciler,
            wake=self.queue.add,
        )

    async def stacks(self) -> tuple[StackView, ...]:
        """Describe every stack."""
        containers = await self.drivers.containers.list()
        sandboxes = await self.drivers.networks.list_sandboxes()
        return tuple(
            self._views().of_stack(stored, containers, sandboxes)
            for stored in self.store.stacks.all()
        )

    async def view(self, name: str, *, labels: bool = False) -> StackView:
        """Describe one stack, with its labels if asked. Raises PyorchError for an unknown one."""
        containers = await self.drivers.containers.list()
        sandboxes = await self.drivers.networks.list_sandboxes()
        return self._views().of_stack(self._known(name), containers, sandboxes, labels=labels)

    def unattached(self, name: str) -> frozenset[str]:
        """Return the services whose output an attached `up` does not show."""
        return unattached(self.reconciler.model(self._known(name)))

    def secrets_of(self, name: str) -> tuple[bytes, ...]:
        """Return the contents of a stack's secrets: what must not be told."""
        model = self.reconciler.model(self._known(name))
        return secrets_of(model)

    async def need_services(self, name: str, services: Iterable[str]) -> None:
        """Raise PyorchError for a service the stack's file does not name and nothing is left of."""
        stored = self._known(name)
        document, _ = self.store.stacks.generation(stored.name, stored.generation)
        known = set(StackFile.model_validate(document).services)
        known |= {one.service for one in (await self.view(name)).replicas}
        for service in services:
            if service not in known:
                raise PyorchError(
                    f"no such service in stack `{name}`: `{service}`",
                    hint=f"there are {', '.join(sorted(known))}",
                    code="no_service",
                )

    async def pack(self, stack: str, service: str, slot: int | None, target: Path) -> None:
        """Write a replica's files to a tarball; the lowest slot where none is given."""
        facts = await self.container_of(stack, service, slot)
        await self.drivers.containers.pack(facts.id, target, changes=False)

    async def commit(
        self, stack: str, service: str, slot: int | None, config: host.CommitConfig
    ) -> host.ImageFacts:
        """Make an image of what a replica is now."""
        facts = await self.container_of(stack, service, slot)
        with tempfile.TemporaryDirectory(dir=self.settings.data) as folder:
            changes = Path(folder, "changes.tar")
            await self.drivers.containers.pack(facts.id, changes, changes=True)
            return await self.drivers.images.commit(facts.image, changes, config)

    async def container_of(self, stack: str, service: str, slot: int | None) -> host.ContainerFacts:
        """Return a replica's container, the lowest slot's where none is given."""
        self._known(stack)
        for facts in await self.drivers.containers.list():
            owner, replica = parse_container_name(facts.id)
            if (owner, replica.service) == (stack, service) and slot in (None, replica.slot):
                return facts
        which = service if slot is None else f"{service}.{slot}"
        raise PyorchError(
            f"stack `{stack}` has no container of `{which}`",
            hint=f"`pyorch -p {stack} ps -a` lists what there is",
            code="not_found",
        )

    async def needed_images(self) -> dict[host.Digest, str]:
        """Return the images that must stay, and in a word who needs each.

        Those of containers, of every kept generation, and what stacks that have not come to
        pin theirs yet ask for by name.
        """
        needed = {
            host.Digest(image): f"stack `{stack}`"
            for image, stack in self.store.stacks.pinned().items()
        }
        asked = {
            reference: desired.name
            for desired in tuple(self.reconciler.desired.values())
            for service in desired.services
            for reference in (service.image, *service.mounted_images, *service.hook_images)
        }
        for reference, stack in asked.items():
            found = await self.drivers.images.find(reference)
            if found is not None:
                needed[found.id] = f"stack `{stack}`"
        for facts in await self.drivers.containers.list():
            mounted = (one for one in facts.mounts if one.kind is host.MountKind.IMAGE)
            for image in (facts.image, *(host.Digest(one.source) for one in mounted)):
                needed[image] = f"container `{facts.id}`"
        return needed

    async def follow(self, name: str) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the present state, then facts as they happen and the state after each pass.

        Ends with ``{"type": "gone"}`` once nothing is left of the stack.
        """
        with self.events.subscribe(name) as queue:
            try:
                yield {"type": "state", **(await self.view(name)).as_json()}
            except PyorchError:
                yield {"type": "gone"}
                return
            while True:
                event = await queue.get()
                if event is None:
                    try:
                        yield {"type": "state", **(await self.view(name)).as_json()}
                    except PyorchError:
                        yield {"type": "gone"}
                        return
                elif event.name == "stack.gone":
                    yield {"type": "gone"}
                    return
                else:
                    yield {**_told(event), "container": self._called(name, event.subject)}

    # ── inside ───────────────────────────────────────────────────────────────────────────

    def _called(self, stack: str, subject: str) -> str:
        """Return what people call the container an event is about."""
        stored = self.store.stacks.find(stack)
        services = (
            self.reconciler.whole(stack, self.reconciler.model(stored)).services if stored else {}
        )
        service = services.get(subject.rpartition(".")[0])
        own = service.container_name if service else ""
        return own or f"{stack}-{subject.replace('.', '-')}"

    def _compared(
        self, stored: StoredStack | None, document: Mapping[str, object]
    ) -> tuple[bool, Mapping[str, str]]:
        """Whether a stack's present generation says the same, and the images it is tied to."""
        if stored is None:
            return False, {}
        present, pins = self.store.stacks.generation(stored.name, stored.generation)
        return _same(present, document), pins

    def _recreated(self, stored: StoredStack | None) -> int:
        """Return what makes the revisions of a stack's present containers what they are."""
        if stored is None or stored.intent is Intent.REMOVE:
            return 0
        return self.reconciler.model(stored).recreate

    async def _running(self, stack: str) -> set[str]:
        """Return the services of which a replica runs, and is not being stopped."""
        found = set()
        for facts in await self.drivers.containers.list():
            owner, replica = parse_container_name(facts.id)
            match facts.phase:
                case host.Running(stop_by=None) if owner == stack:
                    found.add(str(replica.service))
                case _:
                    pass
        return found

    async def _check_names(self, model: StackFile) -> None:
        """Refuse a name for a container that one of another stack has, or is to have."""
        taken = {
            name_of(facts): parse_container_name(facts.id)[0]
            for facts in await self.drivers.containers.list()
        }
        for stored in self.store.stacks.all():
            if stored.intent is not Intent.REMOVE:
                for service in self.reconciler.model(stored).services.values():
                    taken.setdefault(service.container_name, stored.name)
        for name, service in model.services.items():
            holder = taken.get(service.container_name, model.name)
            if service.container_name and holder != model.name:
                raise PyorchError(
                    f"services.{name}.container_name: a container of stack `{holder}` is called"
                    f" `{service.container_name}`",
                    hint=f"use another name, or leave it out; `pyorch -p {holder} down` frees it",
                    code="conflict",
                )

    async def _check(self, model: StackFile) -> None:
        """Refuse a stack this host cannot run, before anything is done for it."""
        if any(service.container_name for service in model.services.values()):
            await self._check_names(model)
        for name, service in model.services.items():
            names = cdi_names(service)
            if not service.runtime and not names and not service.platform:
                continue
            try:
                await self.drivers.containers.check(
                    runtime=service.runtime or None, cdi=names, platform=service.platform or None
                )
            except DriverError as error:
                raise PyorchError(
                    f"services.{name}: {error}", hint=error.hint, code=error.code
                ) from error

    def _run_again(self, model: StackFile, options: ApplyOptions) -> None:
        """Have what was asked for run that has ended, and wake its stack."""
        if not options.no_start:
            chosen = options.services or (() if options.beside else tuple(model.services))
            if not options.no_deps:
                chosen = selection.with_dependencies(model, chosen)
            self.store.replicas.request(model.name, chosen)
        self._wake(model.name)

    def _wake(self, name: str) -> None:
        # Whoever asks again asks for hooks that have failed, too.
        self.store.hooks.renew(name)
        self.reconciler.reports.pop(name, None)
        self.queue.add(name)

    def _planned(self, name: str) -> DesiredStack:
        """Return what a stack is to be. Raises PyorchError for one nobody knows."""
        stored = self._known(name)
        model, settings = self.reconciler.model(stored), self.settings
        return build_desired(model, stored, settings, images={}, pins={})

    def _known(self, name: str) -> StoredStack:
        stored = self.store.stacks.find(name)
        if stored is None:
            raise _unknown(name)
        return stored

    def _views(self) -> Views:
        return Views(drivers=self.drivers, store=self.store, reconciler=self.reconciler)

    async def _images_stand(self, pins: Mapping[str, str], options: ApplyOptions) -> bool:
        if options.pull == "always":
            return False
        found = await find_images(self.drivers.images, pins)
        return all(
            name not in found or str(found[name].id) == pinned for name, pinned in pins.items()
        )


def _told(event: Event) -> dict[str, Any]:
    return {
        "type": "event",
        "name": event.name,
        "subject": event.subject,
        "reason": event.reason,
        "at_wall": event.at_wall,
    }


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two files say the same, wherever they are."""
    first, second = ({**document, "origin": None} for document in (one, other))
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


def _scaled(model: StackFile, scale: Mapping[str, int]) -> StackFile:
    services = dict(model.services)
    for name, replicas in scale.items():
        if name not in services:
            raise PyorchError(f"--scale: no such service: `{name}`", code="not_found")
        deploy = services[name].deploy
        services[name] = services[name].model_copy(
            update={
                "scale": replicas,
                "deploy": deploy.model_copy(update={"replicas": None}) if deploy else None,
            }
        )
    return model.model_copy(update={"services": services})


def _unknown(name: str) -> PyorchError:
    return PyorchError(
        f"no stack named `{name}` is known here", hint="see `pyorch ls`", code="not_found"
    )
