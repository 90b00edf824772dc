"""Any stack, any situation, and a host in memory where every action works."""

from dataclasses import replace
from typing import assert_never

from builders import NOW, POOLS
from hypothesis import strategies as st

from scheduler import plan_stack
from scheduler.actions import (
    AdmitReplica,
    BeginUpdate,
    CompleteUpdate,
    CreateNetwork,
    CreateReplica,
    CreateVolume,
    FailReplica,
    FailTrial,
    HealReplica,
    KillReplica,
    LeaseAddresses,
    LeasePort,
    LimitReplica,
    LimitStack,
    MendSandbox,
    PauseUpdate,
    PrepareReplica,
    PullImage,
    RefreshReplica,
    RemoveNetwork,
    RemoveReplica,
    RemoveVolume,
    RollBack,
    RunHooks,
    StartReplica,
    StopReplica,
    WithdrawReplica,
)
from scheduler.desired import (
    CheckKind,
    Condition,
    Content,
    Dependency,
    DesiredNetwork,
    DesiredService,
    DesiredStack,
    DesiredVolume,
    Healthcheck,
    HookKind,
    Membership,
    OnChange,
    OnUnhealthy,
    RestartMode,
    RestartPolicy,
    Share,
)
from scheduler.ids import (
    NetworkName,
    ReplicaId,
    Revision,
    ServiceName,
    StackName,
    VolumeName,
    parse_container_name,
)
from scheduler.observed import (
    AddressLease,
    Created,
    Exited,
    Health,
    HookProgress,
    Hooks,
    Illness,
    ObservedNetwork,
    ObservedReplica,
    ObservedStack,
    ObservedVolume,
    PortLease,
    Running,
    Stopping,
    Trial,
    UpdateRecord,
    UpdateState,
)

SHOP = StackName("shop")
NET = NetworkName("shop_default")
DATA = VolumeName("shop_data")
NAMES = ("a", "b", "c")
MANY_PASSES = 60
WAITING, DONE = HookProgress(Hooks.WAITING), HookProgress(Hooks.DONE)


GIB = 2**30
CPUS, MEMORY = 2.0, 8 * GIB
some_cpus = st.sampled_from([0.0, 0.1, 0.5, 1.5])
some_memory = st.sampled_from([0, GIB, 3 * GIB])


def reserving(one, cpus, memory):
    """A service or a replica that has a part of the machine, and says so in its limits."""
    words = {"reserved cpus": str(cpus), "reserved memory": str(memory)}
    return replace(one, cpu_reservation=cpus, memory_reservation=memory, limits=words)


contents = st.one_of(
    st.just({}),
    st.builds(
        lambda on_change: {"/f": Content(name="config f", digest="d1", on_change=on_change)},
        st.sampled_from(OnChange),
    ),
)
"""What a service has in files that are changed in place."""


@st.composite
def services(draw, name, earlier, *, reserves):
    """A service that may depend on those before it, so that there is no circle."""
    checked = draw(st.booleans())
    dependencies = tuple(
        Dependency(
            service=ServiceName(other.name),
            condition=Condition.HEALTHY if other.checks else Condition.STARTED,
            restart=draw(st.booleans()),
        )
        for other in earlier
        if draw(st.booleans())
    )
    donors = [other for other in earlier if other.replicas and draw(st.booleans())]
    known = {one.service for one in dependencies}
    dependencies += tuple(
        Dependency(service=other.name) for other in donors if other.name not in known
    )
    wanted = DesiredService(
        name=ServiceName(name),
        revision=Revision(draw(st.sampled_from(["r1", "r2"]))),
        image="img",
        replicas=draw(st.integers(0, 3)),
        restart=RestartPolicy(mode=RestartMode.ALWAYS),
        checks={CheckKind.HEALTH: Healthcheck()} if checked else {},
        on_unhealthy=draw(st.sampled_from(OnUnhealthy)),
        follows=draw(st.sampled_from([None, "f1"])),
        dependencies=dependencies,
        shares=tuple(
            Share(draw(st.sampled_from(["network", "ipc", "pid"])), f"shop.{other.name}.1")
            for other in donors
        ),
        networks=(Membership(network=NET),),
        volumes=(DATA,) if draw(st.booleans()) else (),
        stop_grace=draw(st.sampled_from([0.0, 10.0])),
        contents=draw(contents),
        pre_start=draw(st.booleans()),
        post_start=draw(st.booleans()),
    )
    return reserving(wanted, draw(some_cpus), draw(some_memory)) if reserves else wanted


@st.composite
def stacks(draw, *, reserves=False):
    """A stack that wants to run; it ``reserves`` a part of the machine for some replicas."""
    found = []
    for name in NAMES[: draw(st.integers(1, 3))]:
        found.append(draw(services(name, tuple(found), reserves=reserves)))
    return DesiredStack(
        name=SHOP,
        services=tuple(found),
        networks=(DesiredNetwork(name=NET),),
        volumes=(DesiredVolume(name=DATA),),
        pools=POOLS,
        ceiling=draw(st.sampled_from([{}, {"memory": "1 GiB"}])),
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
    made=st.just("before"),
    attempts=st.integers(0, 3),
    asked=st.booleans(),
    healing=st.booleans(),
    follows=st.sampled_from(["", "f1", "f2"]),
    contents=st.sampled_from([{}, {"/f": "d0"}, {"/f": "d1"}]),
    networks=st.just((NET,)),
    sandbox_intact=st.booleans(),
)
hosts = st.builds(
    ObservedStack,
    name=st.just(SHOP),
    replicas=st.lists(replicas, max_size=6, unique_by=lambda one: one.id).map(tuple),
    volumes=st.sampled_from([(), (ObservedVolume(name=DATA, stack=SHOP),)]),
    images=st.sampled_from([{}, {"img": "sha256:img"}]),
    cpus=st.just(CPUS),
    memory=st.just(MEMORY),
)


class World:
    """A host in memory: does what a plan says, in its order, and lets time pass."""

    def __init__(self, desired, host):
        self.desired = desired
        self.now = NOW
        self.seen = {}
        self.count = 0
        self.others = host
        self.services = {one.name: one for one in desired.services}
        self.checked = {one.name for one in desired.services if one.checks}
        self.pre_start = {one.name: WAITING for one in desired.services if one.pre_start}
        self.replicas = {one.id: self._probed(one) for one in host.replicas}
        self.networks = {one.name: one for one in host.networks}
        self.volumes = {one.name: one for one in host.volumes}
        self.images = dict(host.images)
        self.ports = list(host.ports)
        self.ceiling = host.ceiling
        self.addresses = list(host.addresses)
        self.updates = dict(host.updates)

    def _probed(self, replica):
        """A replica has a health exactly when its service has a healthcheck."""
        match replica.phase:
            case Running(health=health) if (health is Health.NONE) is (
                replica.id.service in self.checked
            ):
                health = Health.STARTING if health is Health.NONE else Health.NONE
                return replace(replica, phase=replace(replica.phase, health=health))
            case Running(health=Health.UNHEALTHY):
                return replace(replica, phase=replace(replica.phase, illness=Illness(NOW - 1)))
        return replica

    def observe(self):
        return ObservedStack(
            name=SHOP,
            replicas=tuple(self.replicas.values()),
            networks=tuple(self.networks.values()),
            volumes=tuple(self.volumes.values()),
            pre_start=dict(self.pre_start),
            updates=dict(self.updates),
            images=dict(self.images),
            ports=tuple(self.ports),
            addresses=tuple(self.addresses),
            ceiling=self.ceiling,
            cpus=CPUS,
            memory=MEMORY,
            reserved_cpus=self.others.reserved_cpus,
            reserved_memory=self.others.reserved_memory,
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
                case Running(health=Health.STARTING | Health.UNHEALTHY | Health.UNREADY):
                    well = Running(since=self.now, health=Health.HEALTHY, ready_since=self.now)
                    self._phase(key, well)
                case Stopping():
                    self._phase(key, Exited(code=143, at=self.now, stopped=True))

    def _made(self, container):
        """Return which very one a container is; it must be there."""
        return self.replicas[parse_container_name(container)[1]].made

    def _contents(self, key):
        """Return what files of a slot hold once they hold what they should."""
        wanted = self.services[key.service].contents
        return {target: content.digest for target, content in wanted.items()}

    def _phase(self, key, phase):
        self.replicas[key] = replace(self.replicas[key], phase=phase)

    def _do(self, action):
        match action:
            case PullImage(reference):
                self.images[reference] = "sha256:img"
            case CreateNetwork():
                assert action.network not in self.networks
                self.networks[action.network] = ObservedNetwork(
                    name=action.network, stack=SHOP, subnets=action.subnets
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
                service = self.services[action.replica.service]
                self.count += 1
                self.replicas[action.replica] = ObservedReplica(
                    id=action.replica,
                    revision=action.revision,
                    image="sha256:img",
                    phase=Created(),
                    made=str(self.count),
                    trial=Trial(self.now) if action.trial else None,
                    shares={one: self._made(one) for _, one in action.shares},
                    networks=(NET,),
                    cpu_reservation=service.cpu_reservation,
                    memory_reservation=service.memory_reservation,
                    limits=service.limits,
                    contents=self._contents(action.replica),
                )
                for network, address in action.addresses:
                    lease = AddressLease(
                        stack=SHOP, replica=action.replica, network=network, address=address
                    )
                    if lease not in self.addresses:
                        self.addresses.append(lease)
            case RefreshReplica(replica=key, react=react):
                assert not react or isinstance(self.replicas[key].phase, Running)
                self.replicas[key] = replace(self.replicas[key], contents=self._contents(key))
            case LeaseAddresses(service=name, addresses=addresses):
                self.addresses += [
                    AddressLease(
                        stack=SHOP, replica=ReplicaId(name, 0), network=network, address=address
                    )
                    for network, address in addresses
                ]
            case MendSandbox(replica=key) | PrepareReplica(replica=key):
                self.replicas[key] = replace(self.replicas[key], sandbox_intact=True)
            case LimitStack():
                self.ceiling = self.desired.ceiling
            case LimitReplica(key):
                service = self.services[key.service]
                self.replicas[key] = replace(
                    self.replicas[key],
                    limits=service.limits,
                    cpu_reservation=service.cpu_reservation,
                    memory_reservation=service.memory_reservation,
                )
            case RunHooks(replica=key, kind=HookKind.PRE_START):
                assert self.pre_start[key.service] is not DONE, "hooks that have run run again"
                self.pre_start[key.service] = DONE
            case RunHooks(replica=key, kind=kind):
                found = self.replicas[key]
                assert isinstance(found.phase, Running)
                assert getattr(found, kind) == WAITING, "hooks that have run run again"
                self.replicas[key] = replace(found, **{str(kind): DONE})
            case StartReplica(replica=key):
                assert not isinstance(self.replicas[key].phase, Running | Stopping)
                assert self.pre_start.get(key.service, DONE) is DONE
                hooked = WAITING if self.services[key.service].post_start else HookProgress()
                self.replicas[key] = replace(
                    self.replicas[key],
                    post_start=hooked,
                    pre_stop=hooked,
                    attempts=action.attempt,
                    follows=action.follows,
                    asked=False,
                    healing=False,
                )
                health = Health.STARTING if key.service in self.checked else Health.NONE
                ready = None if key.service in self.checked else self.now
                self._phase(key, Running(since=self.now, health=health, ready_since=ready))
            case HealReplica(replica=key, attempt=attempt):
                assert self.replicas[key].phase.health is Health.UNHEALTHY
                self.replicas[key] = replace(self.replicas[key], healing=True, attempts=attempt)
            case FailReplica(key):
                raise AssertionError(f"{key} may run as long as it likes")
            case StopReplica(replica=key, grace=grace):
                assert isinstance(self.replicas[key].phase, Running)
                assert self.replicas[key].pre_stop != WAITING
                self._phase(key, Stopping(until=self.now + grace))
            case KillReplica(key):
                self._phase(key, Exited(code=137, at=self.now, stopped=True))
            case RemoveReplica(key, keep_address):
                assert not isinstance(self.replicas[key].phase, Running | Stopping)
                del self.replicas[key]
                if not keep_address:
                    self.addresses = [one for one in self.addresses if one.replica != key]
            case BeginUpdate(service=name, target=target):
                self.updates[name] = UpdateRecord(target=target, state=UpdateState.RUNNING)
            case AdmitReplica(key):
                assert isinstance(self.replicas[key].phase, Running)
                self.replicas[key] = replace(
                    self.replicas[key], trial=None, leaving=None, admitted=self.now
                )
            case WithdrawReplica(key):
                assert self.replicas[key].leaving is None
                self.replicas[key] = replace(self.replicas[key], leaving=self.now)
            case CompleteUpdate(name):
                self.updates[name] = replace(self.updates[name], state=UpdateState.COMPLETED)
            case FailTrial() | PauseUpdate() | RollBack():
                raise AssertionError("nothing fails here")
            case unknown:
                assert_never(unknown)

    def passes(self):
        """Plan, carry out and let time pass until that changes nothing; yield each plan.

        When a plan is yielded it is carried out; ``seen`` is what it was made from.
        """
        for _ in range(MANY_PASSES):
            self.seen = dict(self.replicas)
            plan = plan_stack(self.desired, self.observe(), now=self.now)
            self.carry_out(plan)
            yield plan
            before = dict(self.replicas)
            self.pass_time(plan)
            if not plan.steps and plan.wake_at is None and self.replicas == before:
                return
        raise AssertionError(f"never settles: {plan}")

    def settle(self):
        """Go on until nothing is left to do; return the last plan."""
        *_, plan = self.passes()
        assert not plan.steps
        assert not plan.held
        return plan
