"""Values for scheduler tests: say what matters, default the rest."""

from ipaddress import IPv4Network

from scheduler.desired import DesiredNetwork, DesiredService, DesiredStack
from scheduler.ids import NetworkName, ReplicaId, Revision, ServiceName, StackName
from scheduler.observed import ObservedNetwork, ObservedReplica, ObservedStack, Running

NOW = 1000.0
POOLS = (IPv4Network("10.89.0.0/16"),)
SUBNET = IPv4Network("10.89.1.0/26")
NET = NetworkName("shop_default")


def service(name="web", **settings):
    """Return a service of one replica with the image at hand."""
    values = {"revision": Revision("r1"), "image": "img"} | settings
    return DesiredService(name=ServiceName(name), **values)


def stack(*services, **settings):
    """Return a stack that wants to run."""
    return DesiredStack(name=StackName("shop"), services=services, pools=POOLS, **settings)


def replica(slot, phase=None, *, service="web", revision="r1", **settings):
    """Return a running replica, or one in another phase."""
    return ObservedReplica(
        id=ReplicaId(ServiceName(service), slot),
        revision=Revision(revision),
        image="sha256:img",
        phase=phase or Running(since=NOW - 60),
        **settings,
    )


def host(*replicas, **settings):
    """Return an observation of a host that has the image."""
    values = {"images": {"img": "sha256:img"}, "cpus": 2.0, "memory": 2**33} | settings
    return ObservedStack(name=StackName("shop"), replicas=replicas, **values)


def network(members=0):
    """Return the stack's default network as found."""
    return ObservedNetwork(
        name=NET,
        stack=StackName("shop"),
        subnets=((SUBNET, SUBNET.network_address + 1),),
        members=members,
    )


DEFAULT = DesiredNetwork(name=NET)
