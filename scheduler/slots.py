"""The slots of one service, and all that can be done with each: fill, start, keep, replace."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scheduler.actions import (
    Addresses,
    CreateReplica,
    FailReplica,
    HealReplica,
    KillReplica,
    LimitReplica,
    MendSandbox,
    PrepareReplica,
    RefreshReplica,
    RemoveReplica,
    RunHooks,
    StartReplica,
    StopReplica,
)
from scheduler.desired import (
    Content,
    DesiredService,
    HookKind,
    OnChange,
    OnUnhealthy,
    RestartMode,
    ServiceIntent,
)
from scheduler.discarding import discard
from scheduler.gates import Gatekeeper
from scheduler.hooks import await_hooks
from scheduler.ids import ReplicaId
from scheduler.observed import (
    Created,
    Exited,
    Health,
    HookProgress,
    Hooks,
    ObservedReplica,
    Running,
    Stopping,
    UpdateRecord,
)
from scheduler.placement import Refusal
from scheduler.plan import PlanBuilder
from scheduler.restart import (
    RestartAt,
    RestartNow,
    StayDown,
    decide_healing,
    decide_restart,
    proven_at,
)

FIRST = RestartNow(0, "")
"""A start that is no restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Donor:
    """A container that replicas of a service share something with.

    ``made`` tells which very one is there now; empty while none is. ``replica`` is None for
    one of another stack.
    """

    kind: str
    container: str
    made: str
    replica: ReplicaId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the slots of one service stand on.

    ``image`` is the id of the image they must be made from, and ``mounted_images`` of those
    that are mounted in them, None while they are not there.
    ``after`` are the steps of this plan that must succeed before a slot is filled, and
    ``shut`` says why none can be filled at all. ``refused`` are the replicas that
    may not be started, for want of room or because their place is elsewhere.
    """

    image: str | None
    mounted_images: tuple[str, ...] | None
    after: tuple[int, ...]
    shut: str
    addresses: Callable[[ReplicaId], Addresses]
    donors: "tuple[Donor, ...]"
    refused: Mapping[ReplicaId, Refusal]
    pre_start: HookProgress
    update: UpdateRecord | None = None
    first: tuple[int, ...] = ()
    """Steps that must succeed before a replica is started or gets other limits."""


def _other_content(changed: Iterable[Content]) -> str:
    """Return which files have other content, in words; nothing where there are none."""
    names = ", ".join(dict.fromkeys(one.name for one in changed))
    return f"{names} {'have' if ',' in names else 'has'} other content" if names else ""


def changed_limits(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return what changes between two sets of limits, each as its name, the old and the new."""
    return [
        f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}"
        for name in dict.fromkeys((*after, *before))
        if before.get(name) != after.get(name)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The slots of one service, and what can be done with each."""

    plan: PlanBuilder
    service: DesiredService
    ground: Ground
    gates: Gatekeeper
    now: float
    going: set[ReplicaId]
    """Those that run, are on their way out, or are started by this plan."""

    def outdated(self, found: ObservedReplica) -> str:
        """Return why a replica must be replaced; empty when it need not."""
        run = self.service.run
        if run is not None:
            # A run goes on as it began: what changes meanwhile is for the next one.
            return "" if found.revision == self.service.revision else f"run {run.number} is due"
        if self.service.one_off:
            return ""
        if found.revision != self.service.revision:
            if not found.revision:
                return "nobody can tell any more what it was made from"
            known = self.service.since.get(found.revision)
            return known or f"revision {found.revision} is not {self.service.revision}"
        if self.ground.image is not None and found.image != self.ground.image:
            return "image has changed"
        for donor in self.ground.donors:
            if donor.made and found.shares.get(donor.container) != donor.made:
                return f"{donor.container}, whose {donor.kind} it shares, is a new one"
        mounted = self.ground.mounted_images
        if mounted is not None and found.mounted_images != mounted:
            return "an image mounted in it has changed"
        return ""

    def is_unready(self, found: ObservedReplica) -> bool:
        """Whether a replica of the wanted revision is on its way up: others wait for it."""
        if self.outdated(found):
            return isinstance(found.phase, Stopping)
        if self.service.intent is ServiceIntent.CREATED:
            return False
        match found.phase:
            case Running(health=health):
                hooked = found.post_start.state in (Hooks.NONE, Hooks.DONE)
                return health in (Health.STARTING, Health.UNREADY) or not hooked
            case Created() | Stopping():
                return True
            case Exited():
                return False

    def fill(
        self,
        replica: ReplicaId,
        reason: str,
        *,
        restart: RestartNow = FIRST,
        after: tuple[int, ...] = (),
        trial: bool = False,
    ) -> None:
        if self.ground.shut:
            self.plan.hold(str(replica), self.ground.shut)
            return
        if self.is_refused(replica) or self.lacks_donor(replica) or self.is_crowded_out(replica):
            return
        created = self.plan.add(
            CreateReplica(
                replica=replica,
                revision=self.service.revision,
                addresses=self.ground.addresses(replica),
                shares=self.shares,
                trial=trial,
            ),
            reason,
            after=(*self.ground.after, *self.after_donors(), *after),
        )
        self.gates.filled[replica] = created
        self.start(replica, reason, restart=restart, after=(created,))

    def ends_for_restart(self, found: ObservedReplica) -> bool:
        """Whether a restart was asked for that this replica has not had yet."""
        before = self.service.restart_before
        if before is None or self.service.intent is not ServiceIntent.RUN:
            return False
        match found.phase:
            case Running(since=since):
                return since < before
            case Exited(at=at):
                return at < before
            case _:
                return False

    def has_changed_before(self, found: ObservedReplica) -> str:
        """Return what has changed that a replica that runs is restarted after; empty if nothing."""
        follows = self.service.follows
        known = found.follows and follows is not None
        if not known or found.follows == follows or not isinstance(found.phase, Running):
            return ""
        if self.service.intent is not ServiceIntent.RUN:
            return ""
        names = [one.service for one in self.service.dependencies if one.restart]
        return f"{', '.join(names)} changed, and it is restarted after"

    def changed_files(self, found: ObservedReplica) -> dict[str, Content]:
        """Return the files that hold something else by now, by where they are."""
        return {
            target: content
            for target, content in self.service.contents.items()
            if found.contents.get(target) != content.digest
        }

    def restarts_for_files(self, found: ObservedReplica) -> str:
        """Return which files have changed that a replica that runs is restarted for, if any."""
        if not isinstance(found.phase, Running) or self.service.intent is not ServiceIntent.RUN:
            return ""
        changed = self.changed_files(found).values()
        return _other_content(one for one in changed if one.on_change is OnChange.RESTART)

    def restart_in_turn(
        self, found: ObservedReplica, reason: str, *, busy: ReplicaId | None
    ) -> bool:
        """Have a replica end, or hold it while another is on its way up; say whether it ends."""
        if busy is not None:
            self.plan.hold(str(found.id), f"waiting for {busy} to be restarted")
            return False
        self.restart(found, reason)
        return True

    def refresh(self, found: ObservedReplica) -> tuple[int, ...]:
        """Have files hold what they should; return the step, if it takes one."""
        changed = self.changed_files(found)
        if not changed or isinstance(found.phase, Stopping):
            return ()
        if found.refreshing and isinstance(found.phase, Running):
            self.plan.hold(str(found.id), "it is being told of its files")
            return ()
        reason = _other_content(changed.values())
        react: tuple[str, ...] = ()
        if isinstance(found.phase, Running):
            tell = (OnChange.SIGNAL, OnChange.EXEC)
            react = tuple(target for target, one in changed.items() if one.on_change in tell)
            told = dict.fromkeys(changed[target].told for target in react)
            reason += "".join(f", {one}" for one in told)
        return (self.plan.add(RefreshReplica(replica=found.id, react=react), reason),)

    def restart_after(self, found: ObservedReplica, reason: str) -> None:
        """Have a replica end once all it depends on lets the next run begin."""
        unrest = self.gates.follows_unrest(self.service)
        gate = self.gates.judge(self.service)
        if unrest is not None:
            self.plan.hold(str(found.id), f"is restarted after {unrest}")
        elif gate.shut:
            self.plan.hold(str(found.id), gate.shut, hint=gate.hint, stuck=gate.stuck)
        else:
            self.restart(found, reason)

    def restart(self, found: ObservedReplica, reason: str) -> None:
        """Have a replica end, or begin again once it has."""
        if isinstance(found.phase, Exited):
            self.start_again(found, reason)
            return
        self.gates.touched.add(self.service.name)
        hooks = found.pre_stop
        if not self.service.at_once and await_hooks(
            self.plan, found.id, HookKind.PRE_STOP, hooks, reason=reason
        ):
            return
        grace = self.service.stop_grace
        if grace > 0:
            self.plan.add(StopReplica(replica=found.id, grace=grace), reason)
        else:
            self.plan.add(KillReplica(found.id), reason)

    def start(
        self,
        replica: ReplicaId,
        reason: str,
        *,
        restart: RestartNow = FIRST,
        after: tuple[int, ...] = (),
    ) -> None:
        if self.service.intent is ServiceIntent.CREATED or self.is_refused(replica):
            return
        if self.is_crowded_out(replica):
            return
        gate = self.gates.judge(self.service)
        if gate.shut:
            self.plan.hold(str(replica), gate.shut, hint=gate.hint, stuck=gate.stuck)
            return
        progress = self.ground.pre_start
        if progress.state is Hooks.WAITING and self.service.name in self.gates.hooked:
            self.plan.hold(str(replica), "pre_start has not run yet")
            return
        self.gates.hooked.add(self.service.name)
        if await_hooks(
            self.plan,
            replica,
            HookKind.PRE_START,
            progress,
            reason="before the first start",
            after=(*after, *gate.after, *self.ground.first),
        ):
            return
        number = self.plan.add(
            StartReplica(
                replica=replica,
                attempt=restart.attempt,
                counted=restart.counted,
                follows=self.service.follows or "",
            ),
            reason,
            after=(*after, *gate.after, *self.ground.first),
        )
        self.gates.started.setdefault(self.service.name, {})[replica.slot] = number
        self.going.add(replica)
        if self.service.post_start:
            step = RunHooks(replica=replica, kind=HookKind.POST_START)
            self.plan.add(step, "it has started", after=(number,))

    def is_refused(self, replica: ReplicaId) -> bool:
        """Hold a replica that may not be started, and say whether it is one."""
        refusal = self.ground.refused.get(replica)
        if refusal is None:
            return False
        self.plan.hold(
            str(replica),
            refusal.reason,
            hint=refusal.hint if refusal.stuck else None,
            stuck=refusal.stuck,
        )
        return True

    def is_crowded_out(self, replica: ReplicaId) -> bool:
        """Hold a replica while as many others run as may at one time; say whether they do."""
        most = self.service.most_at_once
        if not most or self.service.intent is ServiceIntent.CREATED:
            return False
        if len(self.going - {replica}) < most:
            return False
        self.plan.hold(str(replica), f"{most} of them run at one time")
        return True

    @property
    def shares(self) -> tuple[tuple[str, str], ...]:
        return tuple((donor.kind, donor.container) for donor in self.ground.donors)

    def after_donors(self) -> tuple[int, ...]:
        """Return the steps that make what a replica shares something with."""
        filled = self.gates.filled
        return tuple(
            filled[donor.replica] for donor in self.ground.donors if donor.replica in filled
        )

    def lacks_donor(self, replica: ReplicaId) -> bool:
        """Hold a replica whose donor is not there, or not for long, and say whether it is one."""
        for donor in self.ground.donors:
            mine = donor.replica
            if mine is None or mine in self.gates.filled:
                continue
            if not donor.made or mine.service in self.gates.touched:
                self.plan.hold(str(replica), f"waiting for {mine}, whose {donor.kind} it shares")
                return True
        return False

    def start_again(
        self,
        found: ObservedReplica,
        reason: str,
        *,
        restart: RestartNow = FIRST,
        after: tuple[int, ...] = (),
    ) -> None:
        """Start a replica that is there, once everything it stood on is there again."""
        if found.sandbox_intact:
            self.start(found.id, reason, restart=restart, after=after)
            return
        if self.ground.shut:
            self.plan.hold(str(found.id), self.ground.shut)
            return
        prepared = self.plan.add(
            PrepareReplica(
                replica=found.id, addresses=self.ground.addresses(found.id), shares=self.shares
            ),
            "its network namespace or its files are gone",
            after=(*self.ground.after, *self.after_donors()),
        )
        self.gates.filled[found.id] = prepared
        self.start(found.id, reason, restart=restart, after=(prepared, *after))

    def replace(self, found: ObservedReplica, reason: str, *, busy: ReplicaId | None) -> bool:
        """Replace a replica, or hold it; say whether it is under way now."""
        runs = isinstance(found.phase, Running)
        self.gates.unsettled.add(self.service.name)
        if self.is_refused(found.id):
            return False
        if runs and (self.ground.shut or self.ground.after):
            # What the new one needs comes first: the old one serves as long as it can.
            shut = self.ground.shut or "what the new one needs is not there yet"
            self.plan.hold(f"{found.id}", shut)
            return False
        if runs and busy is not None:
            self.plan.hold(f"{found.id}", f"waiting for {busy} to be replaced")
            return False
        self.gates.touched.add(self.service.name)
        gone = discard(
            self.plan,
            found,
            grace=self.service.stop_grace,
            reason=reason,
            now=self.now,
            keep_address=True,
        )
        if gone is not None:
            self.fill(found.id, reason, after=(gone,))
        return True

    def limit(self, found: ObservedReplica) -> tuple[int, ...]:
        """Have a replica keep to the limits that are wanted; return the step, if it takes one."""
        changes = changed_limits(found.limits, self.service.limits)
        if not changes or isinstance(found.phase, Stopping):
            return ()  # what is on its way out keeps to what it has
        if isinstance(found.phase, Running) and self.is_refused(found.id):
            return ()
        step = LimitReplica(found.id)
        return (self.plan.add(step, ", ".join(changes), after=self.ground.first),)

    def keep(self, found: ObservedReplica) -> None:
        ready = (*self.limit(found), *self.refresh(found))
        match found.phase:
            case Running(monitored=False) if self.service.restart.mode is not RestartMode.NO:
                self.gates.touched.add(self.service.name)
                reason = "its monitor died: nobody keeps its output"
                self.plan.add(StopReplica(replica=found.id, grace=self.service.stop_grace), reason)
            case Running() as running:
                if self.heal(found, running) or self.end_overdue(found, running):
                    return
                if (moment := proven_at(found, running)) > self.now:
                    self.plan.wake(moment)
                if not found.sandbox_intact:
                    self.plan.add(
                        MendSandbox(replica=found.id, addresses=self.ground.addresses(found.id)),
                        "its network links are gone",
                    )
                await_hooks(
                    self.plan,
                    found.id,
                    HookKind.POST_START,
                    found.post_start,
                    reason="it has started",
                )
            case Stopping(until=until):
                self.gates.touched.add(self.service.name)
                if until > self.now:
                    self.plan.wake(until)
                    self.plan.hold(str(found.id), "stopping")
                else:
                    self.plan.add(KillReplica(found.id), "did not stop in time")
            case Created():
                self.start_again(found, "created but never started", after=ready)
            case Exited() as exited:
                match decide_restart(self.service.restart, found, exited, now=self.now):
                    case RestartNow(_, reason) as restart if self.is_made_anew(found):
                        gone = self.plan.add(RemoveReplica(found.id, keep_address=True), reason)
                        trial = found.trial is not None
                        self.fill(found.id, reason, restart=restart, after=(gone,), trial=trial)
                    case RestartNow(_, reason) as restart:
                        self.start_again(found, reason, restart=restart, after=ready)
                    case RestartAt(moment, _, reason):
                        self.plan.wake(moment)
                        self.plan.hold(str(found.id), reason, stuck=not exited.began)
                    case StayDown(reason, given_up=True):
                        self.plan.hold(str(found.id), reason, stuck=True)
                    case StayDown():
                        pass

    def heal(self, found: ObservedReplica, running: Running) -> bool:
        """End a replica that is unhealthy so that it runs anew; say whether that has begun."""
        if not self.service.heals or running.illness is None or running.paused:
            return False
        match decide_healing(self.service.restart, found, running.illness, now=self.now):
            case RestartNow(attempt, reason, counted):
                self.gates.touched.add(self.service.name)
                # A hook that fails in what is ill is no reason to leave it so.
                hooks = found.pre_stop
                if hooks.state is not Hooks.FAILED and await_hooks(
                    self.plan, found.id, HookKind.PRE_STOP, hooks, reason=reason
                ):
                    return True
                step = HealReplica(replica=found.id, attempt=attempt, counted=counted)
                noted = self.plan.add(step, reason)
                grace = self.service.stop_grace
                if grace > 0:
                    stop = StopReplica(replica=found.id, grace=grace)
                    self.plan.add(stop, reason, after=(noted,))
                else:
                    self.plan.add(KillReplica(found.id), reason, after=(noted,))
                return True
            case RestartAt(moment, _, reason):
                self.plan.wake(moment)
                self.plan.hold(str(found.id), reason)
            case StayDown(reason, given_up=True):
                self.plan.hold(str(found.id), reason, stuck=True)
            case StayDown():
                pass
        return False

    def end_overdue(self, found: ObservedReplica, running: Running) -> bool:
        """End a run that takes longer than it may; say whether that has begun."""
        timeout = self.service.timeout
        if not timeout:
            return False
        due = running.since + timeout
        if self.now < due:
            self.plan.wake(due)
            return False
        self.gates.touched.add(self.service.name)
        reason = f"ran for more than {timeout:g} s"
        noted = self.plan.add(FailReplica(found.id), reason)
        grace = self.service.stop_grace
        if grace > 0:
            self.plan.add(StopReplica(replica=found.id, grace=grace), reason, after=(noted,))
        else:
            self.plan.add(KillReplica(found.id), reason, after=(noted,))
        return True

    def is_made_anew(self, found: ObservedReplica) -> bool:
        """Whether a replica that was ill is replaced by a new one rather than started again."""
        return found.healing and self.service.on_unhealthy is OnUnhealthy.RECREATE
