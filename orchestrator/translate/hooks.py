"""A stack's hooks: what they are, what has run of them, and what is to be run for them."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from orchestrator.spec import models
from orchestrator.store import Hook, HookMark
from orchestrator.translate import labels
from orchestrator.translate.references import reference_of
from runtime import types as host
from scheduler.desired import HookKind
from scheduler.ids import (
    ReplicaId,
    ServiceName,
    StackName,
    container_name,
    parse_container_name,
)
from scheduler.observed import HookProgress, Hooks

Running = Collection[tuple[host.ContainerId, HookKind]]
NOTHING = HookProgress()


@dataclass(frozen=True, slots=True, kw_only=True)
class HookBatch:
    """The hooks of one kind, in order, as they are run for one replica.

    Exactly one of ``commands`` and ``containers`` is filled. ``keys`` tell for which run, or for
    which definition, each of them counts. ``hidden`` must not be seen in what is told of them.
    """

    stack: StackName
    replica: ReplicaId
    kind: HookKind
    keys: tuple[str, ...]
    commands: tuple[host.ExecConfig, ...] = ()
    containers: tuple[host.ContainerConfig, ...] = ()
    hidden: tuple[bytes, ...] = ()

    @property
    def container(self) -> host.ContainerId:
        """The replica's container: only one batch of a kind runs for it."""
        return host.ContainerId(container_name(self.stack, self.replica))

    def hook(self, number: int) -> Hook:
        """Return under what the end of a hook is remembered."""
        slot = 0 if self.kind is HookKind.PRE_START else self.replica.slot
        return (self.replica.service, slot, self.kind.value, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookBook:
    """Everything known of one stack's hooks at a moment.

    ``services`` are those of its file, and of earlier ones whose containers are left.
    """

    stack: StackName
    model: models.StackFile
    services: Mapping[str, models.Service]
    marks: Mapping[Hook, HookMark]
    running: Running

    def of_replica(
        self, facts: host.ContainerFacts, replica: ReplicaId, kind: HookKind
    ) -> HookProgress:
        """Return how far the hooks are that run in a replica."""
        service = self.services.get(replica.service)
        hooks = _hooks(service, kind) if service else ()
        if not hooks:
            return NOTHING
        if (facts.id, kind) in self.running:
            return HookProgress(Hooks.RUNNING)
        keys = (run_key(facts),) * len(hooks)
        return self._progress((replica.service, replica.slot, kind.value), keys)

    def before_start(self) -> dict[ServiceName, HookProgress]:
        """Return how far the hooks are that run before services."""
        found = {}
        busy = {
            parse_container_name(name)[1].service
            for name, kind in self.running
            if kind is HookKind.PRE_START
        }
        for name, service in self.model.services.items():
            if name in busy:
                found[ServiceName(name)] = HookProgress(Hooks.RUNNING)
            elif service.pre_start:
                keys = definitions(self.model, service)
                found[ServiceName(name)] = self._progress((name, 0, "pre_start"), keys)
        return found

    def is_kept(self, facts: host.ContainerFacts) -> bool:
        """Whether a container a hook ran in is still of use: it runs, or has failed."""
        key = facts.labels.get(labels.HOOK)
        for name, service in self.model.services.items():
            if key in (keys := definitions(self.model, service)):
                mark = self.marks.get((name, 0, "pre_start", keys.index(key)))
                return mark is None or mark.key != key or mark.code != 0
        return False

    def _progress(self, of: tuple[str, int, str], keys: Sequence[str]) -> HookProgress:
        for number, key in enumerate(keys):
            mark = self.marks.get((*of, number))
            if mark is None or mark.key != key:
                return HookProgress(Hooks.WAITING)
            if mark.code:
                return HookProgress(Hooks.FAILED, mark.words)
        return HookProgress(Hooks.DONE)

    def commands(self, facts: host.ContainerFacts, replica: ReplicaId, kind: HookKind) -> HookBatch:
        """Return the hooks that are run in a replica's container."""
        service = self.services[replica.service]
        hooks = _hooks(service, kind)
        return HookBatch(
            stack=self.stack,
            replica=replica,
            kind=kind,
            keys=(run_key(facts),) * len(hooks),
            commands=tuple(
                host.ExecConfig(
                    argv=hook.command or (),
                    environment=_variables(hook),
                    user=hook.user or None,
                    working_dir=hook.working_dir or None,
                    privileged=hook.privileged,
                )
                for hook in hooks
            ),
            hidden=self._hidden(),
        )

    def containers(
        self, replica: ReplicaId, config: host.ContainerConfig, images: Mapping[str, str]
    ) -> HookBatch:
        """Return the hooks that run in containers of their own, which are like ``config``.

        ``images`` are the ids of the images the hooks name.
        """
        service = self.model.services[replica.service]
        keys = definitions(self.model, service)
        found = []
        for number, (hook, key) in enumerate(zip(service.pre_start, keys, strict=True), start=1):
            reference = hook.image or reference_of(self.model, replica.service)
            other = reference != reference_of(self.model, replica.service)
            name = f"{replica.service}.{HookKind.PRE_START}"
            own = replace(
                config,
                id=host.ContainerId(f"{self.stack}.{name}.{number}"),
                image=host.Digest(images[reference]) if other else config.image,
                cgroup=f"{self.stack}/{name}.{number}",
                log=config.log.parent.with_name(name) / str(number),
                environment={**config.environment, **_variables(hook)},
                user=hook.user or (None if other else config.user),
                working_dir=hook.working_dir or (None if other else config.working_dir),
                privileged=hook.privileged or config.privileged,
                tty=False,
                stdin_open=False,
                labels={
                    **config.labels,
                    labels.HOOK: key,
                    labels.SERVICE: name,
                    labels.SLOT: str(number),
                    labels.SANDBOX: "shared",
                    labels.COMPOSE_ONEOFF: "True",
                    labels.COMPOSE_HOOK: HookKind.PRE_START.value,
                },
            )
            if hook.command is not None:
                own = replace(own, entrypoint=(), command=hook.command)
            elif other:
                own = replace(own, entrypoint=None, command=None)
            found.append(own)
        return HookBatch(
            stack=self.stack,
            replica=replica,
            kind=HookKind.PRE_START,
            keys=keys,
            containers=tuple(found),
            hidden=self._hidden(),
        )

    def _hidden(self) -> tuple[bytes, ...]:
        return tuple(one.payload for one in self.model.secrets.values() if one.payload)


def run_key(facts: host.ContainerFacts) -> str:
    """Return what tells one run of a container from every other one of any container."""
    run = facts.phase.run if isinstance(facts.phase, host.Running | host.Exited) else 0
    return f"{facts.created_wall:.6f}/{run}"


def definitions(model: models.StackFile, service: models.Service) -> tuple[str, ...]:
    """Return what tells each `pre_start` hook from one that says something else.

    Those before it are part of it: after another one it must run again, too.
    """
    found, so_far = [], model.name
    for hook in service.pre_start:
        said = json.dumps([so_far, hook.model_dump(mode="json")], sort_keys=True)
        so_far = sha256(said.encode()).hexdigest()[:16]
        found.append(so_far)
    return tuple(found)


def hook_images(model: models.StackFile, name: str) -> tuple[str, ...]:
    """Return the references of the images a service's hooks run from, its own left out."""
    own = reference_of(model, name)
    named = {hook.image for hook in model.services[name].pre_start if hook.image}
    return tuple(sorted(named - {own}))


def _hooks(service: models.Service, kind: HookKind) -> Sequence[models.Hook]:
    match kind:
        case HookKind.PRE_START:
            return service.pre_start
        case HookKind.POST_START:
            return service.post_start
        case HookKind.PRE_STOP:
            return service.pre_stop


def _variables(hook: models.Hook) -> dict[str, str]:
    return {name: value for name, value in hook.environment.items() if value is not None}
