"""Carry out one action: the one place where the union of actions meets the drivers.

Every action is safe to repeat: what an interrupted pass left behind is taken over, or
made anew where it differs.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from orchestrator.actions.updating import Updating
from orchestrator.chronicle import Chronicle
from orchestrator.observer import Drivers, find_images
from orchestrator.publisher import Publisher
from orchestrator.store import Store
from orchestrator.translate import labels
from orchestrator.translate.container import ContainerFactory
from orchestrator.translate.hooks import HookBatch, HookBook, hook_images
from orchestrator.translate.observed import made_of
from orchestrator.translate.refreshing import Refreshment
from runtime.errors import AlreadyExistsError, ConflictError
from runtime.types import (
    ContainerConfig,
    ContainerId,
    NetworkConfig,
    NetworkId,
    SandboxConfig,
    VolumeConfig,
    VolumeId,
)
from scheduler import actions
from scheduler.desired import HookKind
from scheduler.ids import NetworkName, ReplicaId, StackName, container_name, service_slot
from scheduler.observed import PortLease
from scheduler.plan import Step

Sandbox = Callable[[ReplicaId, actions.Addresses], SandboxConfig]
Network = Callable[[actions.CreateNetwork], NetworkConfig]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackActions:
    """The actions of one pass over one stack, bound to what carries them out."""

    stack: StackName
    generation: int
    now: Callable[[], float]
    drivers: Drivers
    store: Store
    chronicle: Chronicle
    publisher: Publisher
    factory: ContainerFactory
    hooks: HookBook
    begin_hooks: Callable[[HookBatch], None]
    refresh: Callable[[Refreshment], Awaitable[None]]
    sandbox: Sandbox
    network: Network
    secrets: Sequence[bytes] = ()
    """What is told of nobody."""

    async def perform(self, step: Step) -> None:
        """Carry out one step and tell what became of it."""
        await self._do(step.action, step.reason)
        if told := _EVENTS.get(type(step.action)):
            self.publish(told, subject_of(step.action), step.reason)

    def publish(self, name: str, subject: str, reason: str) -> None:
        """Tell a fact about the stack."""
        self.chronicle.tell(self.stack, name, subject, reason)

    async def _do(self, action: actions.Action, reason: str) -> None:
        drivers = self.drivers
        match action:
            case actions.PullImage(reference):
                await drivers.images.pull(reference)
            case actions.CreateNetwork():
                await self._create_network(action)
            case actions.RemoveNetwork(network):
                await drivers.networks.remove(NetworkId(network))
            case actions.CreateVolume(volume):
                await drivers.volumes.create(self.factory.mounting.volume(volume))
            case actions.RemoveVolume(volume):
                await drivers.volumes.remove(VolumeId(volume))
            case actions.LeasePort():
                self.store.leases.lease_port(
                    PortLease(
                        stack=self.stack,
                        service=action.service,
                        host_ip=action.host_ip,
                        host_port=action.host_port,
                        protocol=action.protocol,
                        target=action.target,
                    )
                )
            case actions.LeaseAddresses(service=service, addresses=addresses):
                self.store.leases.lease_addresses(self.stack, service_slot(service), addresses)
            case actions.CreateReplica() | actions.PrepareReplica():
                await self._create(action)
            case actions.MendSandbox(replica=replica, addresses=addresses):
                await self._sandbox(replica, addresses)
                await self.publisher.publish()
            case actions.LimitStack(stack):
                await drivers.containers.bound(stack, self.factory.ceiling())
            case actions.LimitReplica(replica):
                container = self._container(replica)
                # What is written down of the container says that all of it is done.
                await drivers.networks.limit_sandbox(container, self.factory.rates(replica))
                await drivers.containers.limit(container, self.factory.limits(replica))
            case actions.RefreshReplica(replica=replica, react=react):
                await self.refresh(self._refreshment(replica, react, reason))
            case actions.StartReplica(replica=replica):
                await drivers.containers.start(self._container(replica))
                self.store.replicas.record_start(
                    self.stack,
                    replica,
                    attempt=action.attempt,
                    counted=action.counted,
                    follows=action.follows,
                )
                self.publisher.publish_soon()
            case actions.RunHooks(replica=replica, kind=kind):
                await self._run_hooks(replica, kind)
            case actions.HealReplica(replica=replica):
                self.store.replicas.record_healing(
                    self.stack, replica, attempt=action.attempt, counted=action.counted
                )
            case actions.FailReplica(replica):
                self.store.replicas.record_overdue(self.stack, replica)
            case actions.StopReplica(replica=replica, grace=grace):
                await drivers.containers.stop(self._container(replica), grace=grace)
            case actions.KillReplica(replica):
                await drivers.containers.kill(self._container(replica))
            case actions.RemoveReplica(replica, keep_address):
                await drivers.containers.remove(self._container(replica))
                await drivers.networks.remove_sandbox(self._container(replica))
                self.store.forget_replica(self.stack, replica, keep_address=keep_address)
            case (
                actions.BeginUpdate()
                | actions.AdmitReplica()
                | actions.FailTrial()
                | actions.WithdrawReplica()
                | actions.PauseUpdate()
                | actions.CompleteUpdate()
                | actions.RollBack()
            ):
                await self.updating.perform(action, reason)
            case unknown:
                assert_never(unknown)

    @property
    def updating(self) -> Updating:
        """The steps of updates."""
        return Updating(
            stack=self.stack,
            generation=self.generation,
            store=self.store,
            publisher=self.publisher,
            now=self.now,
        )

    def _refreshment(self, replica: ReplicaId, react: Collection[str], reason: str) -> Refreshment:
        return Refreshment(
            stack=self.stack,
            replica=replica,
            container=self._container(replica),
            files=self.factory.mounting.build(replica),
            reactions=tuple(self.factory.mounting.reactions(replica, react)),
            reason=reason,
            secrets=self.secrets,
        )

    async def _create_network(self, action: actions.CreateNetwork) -> None:
        networks = self.drivers.networks
        before = networks.changes()
        await networks.create(self.network(action))
        for change in networks.changes():
            if change not in before:
                self.publish("host.changed", "", change)

    async def _create(self, action: actions.Filling) -> None:
        # Leased before it is used: after a kill in between, the slot finds its address again.
        self.store.leases.lease_addresses(self.stack, action.replica, action.addresses)
        if isinstance(action, actions.CreateReplica):
            trial = self.now() if action.trial else None
            self.store.replicas.record_making(self.stack, action.replica, trial=trial)
        netns = None
        if self.factory.own_sandbox(action.replica):
            netns = await self._sandbox(action.replica, action.addresses)
            self.publisher.publish_soon()
        elif donor := dict(action.shares).get("network"):
            netns = await self._shared_sandbox(action.replica, ContainerId(donor))
        config = await self._configure(action, netns)
        try:
            await self.drivers.containers.create(config)
        except AlreadyExistsError:
            return
        except ConflictError:
            # A half-done pass made it from another generation, and nothing runs in it yet.
            await self.drivers.containers.remove(config.id)
            await self.drivers.containers.create(config)

    async def _made(self, shares: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
        wanted = {container for _, container in shares}
        if not wanted:
            return {}
        containers = await self.drivers.containers.list()
        return {facts.id: made_of(facts) for facts in containers if facts.id in wanted}

    async def _shared_sandbox(self, replica: ReplicaId, donor: ContainerId) -> Path | None:
        """Return the sandbox another container has; None where that is the host's network."""
        for sandbox in await self.drivers.networks.list_sandboxes():
            if sandbox.config.id == donor:
                return sandbox.netns
        for facts in await self.drivers.containers.list():
            if facts.id == donor and facts.labels.get(labels.SANDBOX) == "host":
                return None
        raise ConflictError(
            "create container",
            self._container(replica),
            f"`{donor}` has no network of its own to share",
            hint="name the container whose network that one shares",
        )

    async def _run_hooks(self, replica: ReplicaId, kind: HookKind) -> None:
        container = self._container(replica)
        if kind is not HookKind.PRE_START:
            for facts in await self.drivers.containers.list():
                if facts.id == container:
                    self.begin_hooks(self.hooks.commands(facts, replica, kind))
            return
        netns: Path | None = None
        places: actions.Addresses = ()
        for sandbox in await self.drivers.networks.list_sandboxes():
            if sandbox.config.id == container:
                netns = sandbox.netns
                places = tuple(
                    (NetworkName(one.network), address)
                    for one in sandbox.config.attachments
                    for address in one.addresses
                )
        config = await self._configure(
            actions.PrepareReplica(replica=replica, addresses=places), netns
        )
        references = hook_images(self.factory.model, replica.service)
        images = await find_images(self.drivers.images, references)
        ids = {name: facts.id for name, facts in images.items()}
        self.begin_hooks(self.hooks.containers(replica, config, ids))

    async def _configure(self, action: actions.Filling, netns: Path | None) -> ContainerConfig:
        """Build a container's configuration from what is there now; make its nameless volumes."""
        factory, replica = self.factory, action.replica
        new = [name for name in factory.references(replica) if name not in factory.images]
        if new:
            # Pulled since the pass began.
            images = await find_images(self.drivers.images, new)
            factory = replace(factory, images={**factory.images, **images})
        if factory.needs_others(replica):
            factory = replace(factory, others=await self.drivers.containers.list())
        for holder in factory.mounting.holders(replica):
            if wanted := factory.mounting.anonymous(holder):
                # Leased before they are used, as addresses are.
                leased = self.store.leases.lease_volumes(self.stack, holder, wanted)
                for target, given in wanted.items():
                    config = VolumeConfig(id=VolumeId(leased[target]), labels=given)
                    await self.drivers.volumes.create(config)
        return factory.build(action, netns, await self._made(action.shares))

    async def _sandbox(self, replica: ReplicaId, addresses: actions.Addresses) -> Path:
        return await self.drivers.networks.create_sandbox(self.sandbox(replica, addresses))

    def _container(self, replica: ReplicaId) -> ContainerId:
        return ContainerId(container_name(self.stack, replica))


_EVENTS: Mapping[type[actions.Action], str] = {
    actions.PullImage: "image.pulled",
    actions.CreateNetwork: "network.created",
    actions.RemoveNetwork: "network.removed",
    actions.CreateVolume: "volume.created",
    actions.RemoveVolume: "volume.removed",
    actions.LeasePort: "port.leased",
    actions.LeaseAddresses: "address.leased",
    actions.CreateReplica: "replica.created",
    actions.MendSandbox: "replica.mended",
    actions.PrepareReplica: "replica.prepared",
    actions.LimitReplica: "replica.limited",
    actions.LimitStack: "stack.limited",
    actions.StartReplica: "replica.started",
    actions.HealReplica: "replica.healing",
    actions.FailReplica: "replica.overdue",
    actions.StopReplica: "replica.stopping",
    actions.KillReplica: "replica.killed",
    actions.RemoveReplica: "replica.removed",
    actions.BeginUpdate: "update.started",
    actions.AdmitReplica: "replica.admitted",
    actions.FailTrial: "replica.failed",
    actions.WithdrawReplica: "replica.withdrawn",
    actions.PauseUpdate: "update.paused",
    actions.CompleteUpdate: "update.completed",
    actions.RollBack: "update.rolled_back",
}


def subject_of(action: actions.Action) -> str:
    """Return what an action is done to, as people name it."""
    match action:
        case actions.PullImage(reference):
            return reference
        case actions.CreateNetwork(network=network) | actions.RemoveNetwork(network=network):
            return network
        case actions.CreateVolume(volume) | actions.RemoveVolume(volume):
            return volume
        case (
            actions.LeasePort(service=service)
            | actions.LeaseAddresses(service=service)
            | actions.BeginUpdate(service=service)
            | actions.PauseUpdate(service)
            | actions.CompleteUpdate(service)
            | actions.RollBack(service)
        ):
            return service
        case actions.LimitStack():
            return ""
        case _:
            return str(action.replica)
