"""Carry out one action: the one place where the union of actions meets the drivers.

Every action is safe to repeat: what an interrupted pass left behind is taken over, or
made anew where it differs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import assert_never

import structlog

from orchestrator.events import Event, EventBus
from orchestrator.observer import Drivers
from orchestrator.publisher import Publisher
from orchestrator.store import Store
from orchestrator.translate import labels
from runtime.errors import AlreadyExistsError, ConflictError
from runtime.types import (
    Attachment,
    ContainerConfig,
    ContainerId,
    Limits,
    NetworkConfig,
    NetworkId,
    SandboxConfig,
    VolumeId,
)
from scheduler import actions
from scheduler.ids import NetworkName, ReplicaId, StackName, container_name
from scheduler.observed import PortLease
from scheduler.plan import Step

log = structlog.get_logger()

Configure = Callable[[actions.Filling, Path | None], ContainerConfig]
"""Build the container's configuration; the path is that of its sandbox, if it has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackActions:
    """The actions of one pass over one stack, bound to what carries them out."""

    stack: StackName
    drivers: Drivers
    store: Store
    events: EventBus
    publisher: Publisher
    configure: Configure
    limits: Callable[[ReplicaId], Limits]
    own_sandbox: Callable[[ReplicaId], bool]
    sandbox_sysctls: Mapping[str, str]

    async def perform(self, step: Step) -> None:
        """Carry out one step and tell what became of it."""
        await self._do(step.action)
        if told := _EVENTS.get(type(step.action)):
            self.publish(told, subject_of(step.action), step.reason)

    def publish(self, name: str, subject: str, reason: str) -> None:
        """Log a fact, remember it, and tell whoever follows the stack."""
        log.info(name, subject=subject, reason=reason)
        event = Event(stack=self.stack, name=name, subject=subject, reason=reason)
        self.store.record_event(event.stack, name, subject, reason, event.at_wall)
        self.events.publish(event)

    async def _do(self, action: actions.Action) -> None:
        drivers = self.drivers
        match action:
            case actions.PullImage(reference):
                await drivers.images.pull(reference)
            case actions.CreateNetwork():
                await self._create_network(action)
            case actions.RemoveNetwork(network):
                await drivers.networks.remove(NetworkId(network))
            case actions.CreateVolume(volume):
                await drivers.volumes.create(VolumeId(volume), {labels.STACK: self.stack})
            case actions.RemoveVolume(volume):
                await drivers.volumes.remove(VolumeId(volume))
            case actions.LeasePort():
                self.store.lease_port(
                    PortLease(
                        stack=self.stack,
                        service=action.service,
                        host_ip=action.host_ip,
                        host_port=action.host_port,
                        protocol=action.protocol,
                        target=action.target,
                    )
                )
            case actions.CreateReplica() | actions.PrepareReplica():
                await self._create(action)
            case actions.MendSandbox(replica=replica, addresses=addresses):
                await self._sandbox(replica, addresses)
                await self.publisher.publish()
            case actions.LimitReplica(replica):
                await drivers.containers.limit(self._container(replica), self.limits(replica))
            case actions.StartReplica(replica=replica, attempt=attempt):
                await drivers.containers.start(self._container(replica))
                self.store.record_start(self.stack, replica, attempt=attempt)
                self.publisher.publish_soon()
            case actions.StopReplica(replica=replica, grace=grace):
                await drivers.containers.stop(self._container(replica), grace=grace)
            case actions.KillReplica(replica):
                await drivers.containers.kill(self._container(replica))
            case actions.RemoveReplica(replica, keep_address):
                await drivers.containers.remove(self._container(replica))
                await drivers.networks.remove_sandbox(self._container(replica))
                self.store.forget_replica(self.stack, replica, keep_address=keep_address)
            case unknown:
                assert_never(unknown)

    async def _create_network(self, action: actions.CreateNetwork) -> None:
        networks = self.drivers.networks
        before = networks.changes()
        await networks.create(
            NetworkConfig(
                id=NetworkId(action.network),
                subnet=action.subnet,
                gateway=action.gateway,
                internal=action.internal,
                labels={labels.STACK: self.stack},
            )
        )
        for change in networks.changes():
            if change not in before:
                self.publish("host.changed", "", change)

    async def _create(self, action: actions.Filling) -> None:
        # Leased before it is used: after a kill in between, the slot finds its address again.
        self.store.lease_addresses(self.stack, action.replica, action.addresses)
        netns = None
        if self.own_sandbox(action.replica):
            netns = await self._sandbox(action.replica, action.addresses)
            self.publisher.publish_soon()
        config = self.configure(action, netns)
        try:
            await self.drivers.containers.create(config)
        except AlreadyExistsError:
            return
        except ConflictError:
            # A half-done pass made it from another generation, and nothing runs in it yet.
            await self.drivers.containers.remove(config.id)
            await self.drivers.containers.create(config)

    async def _sandbox(
        self, replica: ReplicaId, addresses: tuple[tuple[NetworkName, IPv4Address], ...]
    ) -> Path:
        return await self.drivers.networks.create_sandbox(
            SandboxConfig(
                id=self._container(replica),
                attachments=tuple(
                    Attachment(
                        network=NetworkId(network), address=address, interface=f"eth{number}"
                    )
                    for number, (network, address) in enumerate(addresses)
                ),
                sysctls=self.sandbox_sysctls,
            )
        )

    def _container(self, replica: ReplicaId) -> ContainerId:
        return ContainerId(container_name(self.stack, replica))


_EVENTS: Mapping[type[actions.Action], str] = {
    actions.PullImage: "image.pulled",
    actions.CreateNetwork: "network.created",
    actions.RemoveNetwork: "network.removed",
    actions.CreateVolume: "volume.created",
    actions.RemoveVolume: "volume.removed",
    actions.LeasePort: "port.leased",
    actions.CreateReplica: "replica.created",
    actions.MendSandbox: "replica.mended",
    actions.PrepareReplica: "replica.prepared",
    actions.LimitReplica: "replica.limited",
    actions.StartReplica: "replica.started",
    actions.StopReplica: "replica.stopping",
    actions.KillReplica: "replica.killed",
    actions.RemoveReplica: "replica.removed",
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
        case actions.LeasePort(service=service):
            return service
        case _:
            return str(action.replica)
