"""What is told of stacks and replicas: their state, for people and programs."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.observer import Drivers
from orchestrator.reconciler import Reconciler
from orchestrator.sources.probes import ProbeResult
from orchestrator.store import Ending, ReplicaHistory, Store, StoredStack
from orchestrator.translate import labels as labelling
from orchestrator.translate.observed import name_of, phase_of
from runtime import types as host
from runtime.image.reference import without_platform
from scheduler.actions import bound
from scheduler.desired import (
    DesiredService,
    DesiredStack,
    Intent,
    RestartPolicy,
    ServiceIntent,
)
from scheduler.ids import ReplicaId, Revision, parse_container_name
from scheduler.observed import Exited, Health, ObservedReplica, Phase, Running
from scheduler.restart import (
    LOOPING,
    RestartAt,
    RestartDecision,
    RestartNow,
    StayDown,
    decide_healing,
    decide_restart,
)

SHOWN_CODES = 5
"""Of the last runs of a replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """One replica, for people."""

    id: str
    container: str
    service: str
    slot: int
    one_off: str
    """Which service it is a single run of; empty for a replica like others."""
    paused: bool
    tty: bool
    phase: str
    health: str
    exit_code: int | None
    oom: bool
    """It ended because memory had run out."""
    why: str
    """What is known of its end besides the code."""
    began: bool
    """False for one whose program could not be run at all."""
    restarts: int
    attempts: int
    """Restarts in a row."""
    restarting_wall: float | None
    """When it is started again; None where it runs, or stays as it is."""
    crash_loop: bool
    """It ends again and again, and is started again and again."""
    given_up: str
    """Why it is not started any more, though its restart policy would have it run, or well."""
    probes: tuple[ProbeResult, ...]
    """What it was last asked, and how it answered, the newest last."""
    last_codes: tuple[int, ...]
    """What its last runs ended with, the newest first."""
    image: str
    image_id: str
    command: str
    created_wall: float
    started_wall: float | None
    revision: str
    ports: tuple[str, ...]
    addresses: Mapping[str, str]
    labels: Mapping[str, str]
    log: str
    forwarding: Mapping[str, object] | None = None
    """Where lines of its log are sent, and how it stands with that; None where they stay here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """One service as its file has it. Its labels are not those of its containers."""

    name: str
    mode: str
    replicas: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackView:
    """One stack, for people."""

    name: str
    intent: str
    generation: int
    reported: bool
    """A pass of this generation has ended."""
    settled: bool
    """Everything is as wanted, and nothing has ended since a pass said so."""
    failure: str
    held: tuple[Mapping[str, object], ...]
    errors: tuple[Mapping[str, object], ...]
    replicas: tuple[ReplicaView, ...]
    services: tuple[ServiceView, ...] = ()
    host: tuple[str, ...] = ()
    """What of this host's own settings is changed as long as there are networks."""
    restarting: tuple[str, ...] = ()
    """Services whose restart was asked for and is not over."""
    updates: tuple[Mapping[str, object], ...] = ()
    """The last update of each service that has had one."""
    undone: Mapping[str, object] | None = None
    """The generation before, where this one undid it because something failed, and what."""
    unmet: tuple[str, ...] = ()
    """What of the file this host cannot do, or cannot at present, each by its service."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Describes stacks from what drivers, store and the last passes say."""

    drivers: Drivers
    store: Store
    reconciler: Reconciler

    def of_stack(
        self,
        stored: StoredStack,
        containers: tuple[host.ContainerFacts, ...],
        sandboxes: tuple[host.SandboxFacts, ...],
        *,
        labels: bool = False,
    ) -> StackView:
        """Describe a stack whose host was looked at already.

        Services, and labels of containers, are in it where ``labels`` says so: they are many,
        and who follows a stack has no use for them.
        """
        report = self.reconciler.reports.get(stored.name)
        asked = (stored.generation, stored.intent)
        if report is not None and (report.generation, report.intent) != asked:
            # Of a pass that had begun before something else was asked for.
            report = None
        mine = [one for one in containers if parse_container_name(one.id)[0] == stored.name]
        desired = self.reconciler.desired.get(stored.name)
        endings = self.store.replicas.endings(stored.name)
        histories = self.store.replicas.histories(stored.name)
        places = {facts.config.id: facts.config.attachments for facts in sandboxes}
        return StackView(
            name=stored.name,
            intent=stored.intent.value,
            generation=stored.generation,
            reported=report is not None,
            settled=report is not None
            and report.settled
            and not any(
                isinstance(facts.phase, host.Exited)
                and parse_container_name(facts.id)[1] in report.running
                for facts in mine
            ),
            failure=report.failure if report else "",
            held=tuple(
                {"subject": h.subject, "reason": h.reason, "hint": h.hint, "stuck": h.stuck}
                for h in (report.plan.held if report else ())
            ),
            errors=tuple(
                {
                    "message": problem.message,
                    "hint": problem.hint,
                    "services": problem.services,
                }
                for problem in (report.problems if report else ())
            ),
            replicas=tuple(
                self._replica(
                    facts, places.get(facts.id, ()), desired, histories, endings, labels=labels
                )
                for facts in mine
            ),
            services=tuple(self._services(stored)) if desired and labels else (),
            host=tuple(self.drivers.networks.changes()),
            restarting=tuple(
                name for name, wish in stored.wishes.items() if wish.restart_before is not None
            ),
            updates=tuple(map(asdict, self.store.updates.of(stored.name).values())),
            undone=self._undone(stored),
            unmet=tuple(
                dict.fromkeys(
                    f"services.{parse_container_name(facts.id)[1].service}.{lost}"
                    for facts in mine
                    for lost in (*facts.unmet, *self._unreached(facts))
                )
            ),
        )

    def _undone(self, stored: StoredStack) -> Mapping[str, object] | None:
        found = self.store.stacks.undone(stored.name, stored.generation) if stored.origin else None
        return {"generation": found[0], "reason": found[1]} if found else None

    def _services(self, stored: StoredStack) -> Iterator[ServiceView]:
        for name, service in self.reconciler.model(stored).services.items():
            deploy = service.deploy
            yield ServiceView(
                name=name,
                mode=(deploy.mode if deploy else "") or "replicated",
                replicas=service.replicas,
                labels=deploy.labels if deploy else {},
            )

    def _replica(
        self,
        facts: host.ContainerFacts,
        places: tuple[host.Attachment, ...],
        desired: DesiredStack | None,
        histories: Mapping[ReplicaId, ReplicaHistory],
        endings: Sequence[Ending],
        *,
        labels: bool,
    ) -> ReplicaView:
        stack, replica = parse_container_name(facts.id)
        service = next(
            (s for s in (desired.services if desired else ()) if s.name == replica.service), None
        )
        health = self.reconciler.prober.health.get(facts.id)
        if health is None:
            watched = service is not None and bool(service.checks)
            health = Health.STARTING if watched else Health.NONE
        phase = facts.phase
        versions = {address.version for place in places for address in place.addresses}
        everywhere = ("", "::") if 6 in versions else ("",)
        running = isinstance(phase, host.Running)
        history = histories.get(replica, ReplicaHistory())
        policy = service.restart if service else RestartPolicy()
        decision = self._decision(facts, replica, history, policy)
        wanted = desired is not None and desired.intent is Intent.RUN
        wanted = wanted and service is not None and service.intent is ServiceIntent.RUN
        returns = isinstance(decision, RestartNow | RestartAt) and wanted
        now = self.reconciler.now()
        lived = now - phase.started if isinstance(phase, host.Running) else 0.0
        return ReplicaView(
            id=str(replica),
            container=name_of(facts),
            service=replica.service,
            slot=replica.slot,
            paused=isinstance(phase, host.Running) and phase.paused,
            tty=facts.tty,
            one_off=facts.labels.get(labelling.ONE_OFF, ""),
            phase=_phase_word(phase),
            health=health.value if running else Health.NONE.value,
            exit_code=phase.code if isinstance(phase, host.Exited) else None,
            oom=isinstance(phase, host.Exited) and phase.oom,
            why=phase.why if isinstance(phase, host.Exited) else "",
            began=not isinstance(phase, host.Exited) or phase.began,
            restarts=history.restarts,
            attempts=history.attempts,
            restarting_wall=self._wall(decision.moment if isinstance(decision, RestartAt) else now)
            if returns
            else None,
            crash_loop=history.attempts >= LOOPING
            and (returns or (running and lived < policy.settled_after)),
            given_up=decision.reason
            if isinstance(decision, StayDown) and decision.given_up and wanted
            else self._left_ill(facts, replica, history, service)
            if wanted and service is not None
            else "",
            probes=self.reconciler.prober.results(facts.id),
            last_codes=tuple(one.code for one in endings if one.replica == replica)[:SHOWN_CODES],
            image=without_platform(service.image) if service else str(facts.image),
            image_id=str(facts.image),
            command=facts.labels.get("pyorch.command", ""),
            created_wall=facts.created_wall,
            started_wall=self._wall(phase.started) if isinstance(phase, host.Running) else None,
            revision=facts.labels.get("pyorch.revision", ""),
            ports=tuple(
                f"{bound(host_ip)}:{lease.host_port}->{lease.target}/{lease.protocol}"
                for lease in self.store.leases.ports()
                if (lease.stack, lease.service) == (stack, replica.service)
                for host_ip in ([lease.host_ip] if lease.host_ip else everywhere)
            ),
            addresses={place.network: ", ".join(map(str, place.addresses)) for place in places},
            labels=facts.labels if labels else {},
            log=str(facts.log),
            forwarding=self._forwarding(facts),
        )

    def _forwarding(self, facts: host.ContainerFacts) -> Mapping[str, object] | None:
        found = self.drivers.logs.forwarding.status(facts.log)
        return None if found is None else asdict(found)

    def _unreached(self, facts: host.ContainerFacts) -> tuple[str, ...]:
        found = self.drivers.logs.forwarding.status(facts.log)
        if found is None or not found.cause:
            return ()
        return (f"logging: {found.target} cannot be reached, lines wait in its log: {found.cause}",)

    def _decision(
        self,
        facts: host.ContainerFacts,
        replica: ReplicaId,
        history: ReplicaHistory,
        policy: RestartPolicy,
    ) -> RestartDecision | None:
        phase = phase_of(facts, Health.NONE, overdue=history.overdue)
        if not isinstance(phase, Exited):
            return None
        found = _as_observed(replica, phase, history)
        return decide_restart(policy, found, phase, now=self.reconciler.now())

    def _left_ill(
        self,
        facts: host.ContainerFacts,
        replica: ReplicaId,
        history: ReplicaHistory,
        service: DesiredService,
    ) -> str:
        """Return why a replica that is unhealthy is not restarted any more; empty if it is."""
        illness = self.reconciler.prober.illnesses.get(facts.id)
        phase = phase_of(facts, Health.UNHEALTHY)
        if illness is None or not isinstance(phase, Running) or not service.heals:
            return ""
        found = _as_observed(replica, phase, history)
        decision = decide_healing(service.restart, found, illness, now=self.reconciler.now())
        return decision.reason if isinstance(decision, StayDown) and decision.given_up else ""

    def _wall(self, moment: float) -> float:
        return time.time() - (self.reconciler.now() - moment)


def _as_observed(replica: ReplicaId, phase: Phase, history: ReplicaHistory) -> ObservedReplica:
    """Return what a restart is decided of; nothing else of the replica is in it."""
    return ObservedReplica(
        id=replica,
        revision=Revision(""),
        image="",
        phase=phase,
        attempts=history.attempts,
        counted=history.counted,
        asked=history.asked,
    )


def _phase_word(phase: host.ContainerPhase) -> str:
    match phase:
        case host.Created():
            return "created"
        case host.Running(stop_by=None):
            return "running"
        case host.Running():
            return "stopping"
        case host.Exited():
            return "exited"
