"""Take a stack down: dependents before what they depend on, and data only when asked.

Volumes go only with the operator's own word for it, external ones never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.actions import KillReplica, RemoveNetwork, RemoveReplica, RemoveVolume, StopReplica
from scheduler.desired import DesiredStack, HookKind, Intent, ServiceIntent
from scheduler.graph import dependents, start_order
from scheduler.hooks import await_hooks
from scheduler.ids import NetworkName, ReplicaId, ServiceName
from scheduler.leftovers import LEFT_BEHIND, find_leftovers
from scheduler.observed import Hooks, ObservedReplica, ObservedStack, Running, Stopping
from scheduler.plan import Plan, PlanBuilder

REMOVED_BY_HAND = "its containers were removed by hand"


def plan_shutdown(desired: DesiredStack, observed: ObservedStack, *, now: float) -> Plan:
    """Return what brings ``observed`` nearer to stopped, or to gone."""
    return _Shutdown(desired=desired, observed=observed, now=now).run()


@dataclass(slots=True, kw_only=True)
class _Shutdown:
    desired: DesiredStack
    observed: ObservedStack
    now: float
    plan: PlanBuilder = field(default_factory=PlanBuilder)
    ended: dict[ServiceName, list[int]] = field(default_factory=dict)
    """Service → steps of this plan after which nothing of it runs."""
    alive: set[ServiceName] = field(default_factory=set)
    """Services that still run when this plan is done."""
    removed: dict[ReplicaId, int] = field(default_factory=dict)

    def run(self) -> Plan:
        found: dict[ServiceName, list[ObservedReplica]] = {}
        for replica in sorted(self.observed.replicas, key=lambda one: one.id):
            found.setdefault(replica.id.service, []).append(replica)
        order = list(start_order(self.desired))
        order += sorted(set(found) - set(order))
        above = dependents(self.desired)
        graces = {service.name: service.stop_grace for service in self.desired.services}
        for name in reversed(order):
            grace = self.desired.stop_grace
            grace = graces.get(name, 10.0) if grace is None else grace
            for replica in reversed(found.get(name, [])):
                self._replica(replica, above, grace=grace)
        for leftover in find_leftovers(self.desired, self.observed):
            self.removed[leftover] = self.plan.add(RemoveReplica(leftover), LEFT_BEHIND)
        if self.desired.intent is Intent.REMOVE:
            self._networks()
            self._volumes()
        return self.plan.build()

    def _replica(
        self,
        replica: ObservedReplica,
        above: Mapping[ServiceName, tuple[ServiceName, ...]],
        *,
        grace: float,
    ) -> None:
        name = replica.id.service
        over, reason = self._fate(name)
        match replica.phase:
            case Running():
                waits = [other for other in above.get(name, ()) if other in self.alive]
                if waits:
                    self.alive.add(name)
                    self.plan.hold(str(replica.id), f"{waits[0]} stops first")
                    return
                after = [
                    step for other in above.get(name, ()) for step in self.ended.get(other, ())
                ]
                if self._awaits_hooks(replica, reason, after):
                    self.alive.add(name)
                    return
                if grace > 0:
                    self.alive.add(name)
                    self.plan.add(StopReplica(replica=replica.id, grace=grace), reason, after=after)
                    return
                killed = self.plan.add(KillReplica(replica.id), reason, after=after)
            case Stopping(until=until) if until > self.now and grace > 0:
                self.alive.add(name)
                self.plan.wake(until)
                self.plan.hold(str(replica.id), "stopping")
                return
            case Stopping():
                killed = self.plan.add(KillReplica(replica.id), "did not stop in time")
            case _:
                if over:
                    self.removed[replica.id] = self.plan.add(RemoveReplica(replica.id), reason)
                return
        self.ended.setdefault(name, []).append(killed)
        if over:
            self.removed[replica.id] = self.plan.add(
                RemoveReplica(replica.id), reason, after=(killed,)
            )

    def _fate(self, name: ServiceName) -> tuple[bool, str]:
        """Return whether nothing of a service is to be left, and why it ends."""
        if self.desired.intent is Intent.REMOVE:
            return True, "stack goes down"
        services = self.desired.services
        absent = any(one.name == name and one.intent is ServiceIntent.ABSENT for one in services)
        return absent, REMOVED_BY_HAND if absent else "stack stops"

    def _awaits_hooks(self, replica: ObservedReplica, reason: str, after: list[int]) -> bool:
        hooks = replica.pre_stop
        if self.desired.stop_grace == 0:
            return False  # whoever gives no time gives none to hooks either
        if hooks.state is Hooks.FAILED and not self.desired.pre_stop_binds:
            return False
        return await_hooks(
            self.plan, replica.id, HookKind.PRE_STOP, hooks, reason=reason, after=after
        )

    def _all_removed(self) -> bool:
        return all(replica.id in self.removed for replica in self.observed.replicas)

    def _networks(self) -> None:
        attached: dict[NetworkName, list[ReplicaId]] = {}
        for replica in self.observed.replicas:
            for network in replica.networks:
                attached.setdefault(network, []).append(replica.id)
        for found in sorted(self.observed.networks, key=lambda network: network.name):
            if found.stack != self.desired.name:
                continue
            mine = attached.get(found.name, [])
            if not all(replica in self.removed for replica in mine):
                continue
            if found.members > len(mine) + len(self.observed.sandboxes):
                self.plan.hold(
                    f"network {found.name}",
                    "another stack uses it",
                    hint="take that one down first",
                    stuck=True,
                )
                continue
            after = [self.removed[replica] for replica in mine]
            after += [
                self.removed[leftover]
                for leftover in self.observed.sandboxes
                if leftover in self.removed
            ]
            self.plan.add(RemoveNetwork(found.name), "stack goes down", after=after)

    def _volumes(self) -> None:
        if not self.desired.remove_volumes or not self._all_removed():
            return
        external = {volume.name for volume in self.desired.volumes if volume.external}
        for found in sorted(self.observed.volumes, key=lambda volume: volume.name):
            # Whoever made it, its data is also that of every stack whose file names it.
            mine = found.stack == self.desired.name and not found.others
            if mine and found.name not in external:
                self.plan.add(
                    RemoveVolume(found.name),
                    "its removal was asked for",
                    after=self.removed.values(),
                )
