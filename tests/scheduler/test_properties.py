"""What holds for every stack and every situation, not only for the examples."""

from dataclasses import replace
from typing import assert_never

from builders import NOW, POOLS
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import plan_stack
from scheduler.actions import (
    CreateNetwork,
    CreateReplica,
    CreateVolume,
    KillReplica,
    LeasePort,
    MendSandbox,
    PrepareReplica,
    PullImage,
    RemoveNetwork,
    RemoveReplica,
    RemoveVolume,
    StartReplica,
    StopReplica,
)
from scheduler.desired import (
    Condition,
    Dependency,
    DesiredNetwork,
    DesiredService,
    DesiredStack,
    DesiredVolume,
    Healthcheck,
    Intent,
    Membership,
    RestartMode,
    RestartPolicy,
)
from scheduler.ids import NetworkName, ReplicaId, Revision, ServiceName, StackName, VolumeName
from scheduler.observed import (
    AddressLease,
    Created,
    Exited,
    Health,
    ObservedNetwork,
    ObservedReplica,
    ObservedStack,
    ObservedVolume,
    PortLease,
    Running,
    Stopping,
)

SHOP = StackName("shop")
NET = NetworkName("shop_default")
DATA = VolumeName("shop_data")
NAMES = ("a", "b", "c")
MANY_PASSES = 60


@st.composite
def services(draw, name, earlier):
    """A service that may depend on those before it, so that there is no circle."""
    checked = draw(st.booleans())
    dependencies = tuple(
        Dependency(
            service=ServiceName(other.name),
            condition=Condition.HEALTHY if other.healthcheck else Condition.STARTED,
        )
        for other in earlier
        if draw(st.booleans())
    )
    return DesiredService(
        name=ServiceName(name),
        revision=Revision(draw(st.sampled_from(["r1", "r2"]))),
        image="img",
        replicas=draw(st.integers(0, 3)),
        restart=RestartPolicy(mode=RestartMode.ALWAYS),
        healthcheck=Healthcheck(test=("true",)) if checked else None,
        dependencies=dependencies,
        networks=(Membership(network=NET),),
        volumes=(DATA,) if draw(st.booleans()) else (),
        stop_grace=draw(st.sampled_from([0.0, 10.0])),
    )


@st.composite
def stacks(draw):
    found = []
    for name in NAMES[: draw(st.integers(1, 3))]:
        found.append(draw(services(name, tuple(found))))
    return DesiredStack(
        name=SHOP,
        services=tuple(found),
        networks=(DesiredNetwork(name=NET),),
        volumes=(DesiredVolume(name=DATA),),
        pools=POOLS,
    )


phases = st.one_of(
    st.just(Created()),
    st.builds(Running, since=st.just(NOW - 60), health=st.sampled_from(Health)),
    st.builds(Stopping, until=st.sampled_from([NOW - 1, NOW + 5])),
    st.builds(Exited, code=st.sampled_from([0, 1]), at=st.just(NOW - 1), stopped=st.booleans()),
)
replicas = st.builds(
    ObservedReplica,
    id=st.builds(ReplicaId, st.sampled_from([*NAMES, "old"]), st.integers(1, 4)),
    revision=st.sampled_from(["r1", "r2"]),
    image=st.just("sha256:img"),
    phase=phases,
    attempts=st.integers(0, 3),
    networks=st.just((NET,)),
    sandbox_intact=st.booleans(),
)
hosts = st.builds(
    ObservedStack,
    name=st.just(SHOP),
    replicas=st.lists(replicas, max_size=6, unique_by=lambda one: one.id).map(tuple),
    volumes=st.sampled_from([(), (ObservedVolume(name=DATA, stack=SHOP),)]),
    images=st.sampled_from([{}, {"img": "sha256:img"}]),
    cpus=st.just(2.0),
    memory=st.just(2**33),
)


class World:
    """A host in memory: does what a plan says, in its order, and lets time pass."""

    def __init__(self, desired, host):
        self.desired = desired
        self.now = NOW
        self.checked = {one.name for one in desired.services if one.healthcheck}
        self.replicas = {one.id: self._probed(one) for one in host.replicas}
        self.networks = {one.name: one for one in host.networks}
        self.volumes = {one.name: one for one in host.volumes}
        self.images = dict(host.images)
        self.ports = list(host.ports)
        self.addresses = list(host.addresses)

    def _probed(self, replica):
        """A replica has a health exactly when its service has a healthcheck."""
        match replica.phase:
            case Running(health=health) if (health is Health.NONE) is (
                replica.id.service in self.checked
            ):
                health = Health.STARTING if health is Health.NONE else Health.NONE
                return replace(replica, phase=replace(replica.phase, health=health))
        return replica

    def observe(self):
        return ObservedStack(
            name=SHOP,
            replicas=tuple(self.replicas.values()),
            networks=tuple(self.networks.values()),
            volumes=tuple(self.volumes.values()),
            images=dict(self.images),
            ports=tuple(self.ports),
            addresses=tuple(self.addresses),
            cpus=2.0,
            memory=2**33,
        )

    def carry_out(self, plan):
        done = set()
        for step in plan.steps:
            assert set(step.after) <= done, f"{step} stands before what it waits for"
            self._do(step.action)
            done.add(step.number)

    def pass_time(self, plan):
        """Let probes succeed, told processes end, and the moment the plan asked for come."""
        self.now = max(self.now + 1, plan.wake_at or 0)
        for key, one in self.replicas.items():
            match one.phase:
                case Running(health=Health.STARTING | Health.UNHEALTHY):
                    self._phase(key, Running(since=self.now, health=Health.HEALTHY))
                case Stopping():
                    self._phase(key, Exited(code=143, at=self.now, stopped=True))

    def _phase(self, key, phase):
        self.replicas[key] = replace(self.replicas[key], phase=phase)

    def _do(self, action):
        match action:
            case PullImage(reference):
                self.images[reference] = "sha256:img"
            case CreateNetwork():
                assert action.network not in self.networks
                self.networks[action.network] = ObservedNetwork(
                    name=action.network, stack=SHOP, subnet=action.subnet
                )
            case RemoveNetwork(network):
                del self.networks[network]
            case CreateVolume(volume):
                assert volume not in self.volumes
                self.volumes[volume] = ObservedVolume(name=volume, stack=SHOP)
            case RemoveVolume(volume):
                del self.volumes[volume]
            case LeasePort():
                self.ports.append(
                    PortLease(
                        stack=SHOP,
                        service=action.service,
                        host_ip=action.host_ip,
                        host_port=action.host_port,
                        protocol=action.protocol,
                        target=action.target,
                    )
                )
            case CreateReplica():
                assert action.replica not in self.replicas, "two containers for one slot"
                self.replicas[action.replica] = ObservedReplica(
                    id=action.replica,
                    revision=action.revision,
                    image="sha256:img",
                    phase=Created(),
                    networks=(NET,),
                )
                for network, address in action.addresses:
                    lease = AddressLease(
                        stack=SHOP, replica=action.replica, network=network, address=address
                    )
                    if lease not in self.addresses:
                        self.addresses.append(lease)
            case MendSandbox(replica=key) | PrepareReplica(replica=key):
                self.replicas[key] = replace(self.replicas[key], sandbox_intact=True)
            case StartReplica(replica=key):
                assert not isinstance(self.replicas[key].phase, Running | Stopping)
                health = Health.STARTING if key.service in self.checked else Health.NONE
                self._phase(key, Running(since=self.now, health=health))
            case StopReplica(replica=key, grace=grace):
                assert isinstance(self.replicas[key].phase, Running)
                self._phase(key, Stopping(until=self.now + grace))
            case KillReplica(key):
                self._phase(key, Exited(code=137, at=self.now, stopped=True))
            case RemoveReplica(key, keep_address):
                assert not isinstance(self.replicas[key].phase, Running | Stopping)
                del self.replicas[key]
                if not keep_address:
                    self.addresses = [one for one in self.addresses if one.replica != key]
            case unknown:
                assert_never(unknown)

    def settle(self):
        """Plan and carry out until nothing is left to do; return the last plan."""
        for _ in range(MANY_PASSES):
            plan = plan_stack(self.desired, self.observe(), now=self.now)
            if not plan.steps and not plan.held:
                return plan
            self.carry_out(plan)
            self.pass_time(plan)
        raise AssertionError(f"never settles: {plan}")


@given(desired=stacks(), host=hosts)
@settings(max_examples=200, deadline=None)
def test_every_situation_settles_and_then_holds_exactly_what_was_asked_for(desired, host):
    world = World(desired, host)

    world.settle()

    wanted = {
        ReplicaId(service.name, slot): service.revision
        for service in desired.services
        for slot in range(1, service.replicas + 1)
    }
    assert {key: one.revision for key, one in world.replicas.items()} == wanted
    assert all(isinstance(one.phase, Running) for one in world.replicas.values())


@given(desired=stacks(), host=hosts, shuffle=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_in_which_things_are_reported_changes_nothing(desired, host, shuffle):
    reported = list(host.replicas)
    shuffle.shuffle(reported)

    plan = plan_stack(desired, replace(host, replicas=tuple(reported)), now=NOW)

    assert plan == plan_stack(desired, host, now=NOW)


@given(desired=stacks(), host=hosts)
@settings(deadline=None)
def test_running_stacks_never_lose_a_volume(desired, host):
    plan = plan_stack(desired, host, now=NOW)

    assert not any(isinstance(step.action, RemoveVolume) for step in plan.steps)


@given(desired=stacks(), host=hosts, volumes=st.booleans())
@settings(deadline=None)
def test_what_is_taken_down_leaves_nothing_but_the_data_nobody_gave_up(desired, host, volumes):
    leaving = replace(desired, intent=Intent.REMOVE, remove_volumes=volumes)
    world = World(leaving, host)

    world.settle()

    assert not world.replicas
    assert not world.networks
    kept = {one.name for one in host.volumes}
    assert set(world.volumes) == (set() if volumes else kept)


@given(desired=stacks())
@settings(deadline=None)
def test_no_replica_starts_before_its_dependencies(desired):
    world = World(desired, ObservedStack(name=SHOP, images={"img": "sha256:img"}))
    services = {one.name: one for one in desired.services}
    for _ in range(MANY_PASSES):
        plan = plan_stack(desired, world.observe(), now=world.now)
        starts = {
            step.action.replica: step
            for step in plan.steps
            if isinstance(step.action, StartReplica)
        }
        for replica, step in starts.items():
            for dependency in services[replica.service].dependencies:
                for slot in range(1, services[dependency.service].replicas + 1):
                    first = ReplicaId(dependency.service, slot)
                    if dependency.condition is Condition.HEALTHY:
                        assert world.replicas[first].phase.health is Health.HEALTHY
                    elif first in starts:
                        assert starts[first].number in step.after
                    else:
                        assert isinstance(world.replicas[first].phase, Running)
        world.carry_out(plan)
        world.pass_time(plan)


def test_a_thousand_services_of_three_replicas_take_two_steps_a_replica():
    many = DesiredStack(
        name=SHOP,
        services=tuple(
            DesiredService(
                name=ServiceName(f"s{number}"),
                revision=Revision("r1"),
                image="img",
                replicas=3,
                dependencies=(
                    (Dependency(service=ServiceName(f"s{number - 1}")),) if number else ()
                ),
            )
            for number in range(1000)
        ),
        pools=POOLS,
    )

    plan = plan_stack(many, ObservedStack(name=SHOP, images={"img": "sha256:img"}), now=NOW)

    assert len(plan.steps) == 6000
    assert not plan.held
