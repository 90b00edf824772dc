"""What a service may use → the runtime's limits, and those in words for a plan."""

from collections.abc import Iterator

from orchestrator.spec import models
from runtime.limits import size
from runtime.types import IoKind, IoRate, Limits, Rates

MOST_PROCESSES = 4096
"""Where the file sets no limit."""
SHARES = 1024
"""Weight of one processor."""
LEAST_SHARES = 2
PAGE = 4096
NO_CEILING = Limits(pids=None)

IO_WORDS = {
    IoKind.READ_BYTES: "bytes read from",
    IoKind.WRITE_BYTES: "bytes written to",
    IoKind.READS: "reads from",
    IoKind.WRITES: "writes to",
}


def limits_of(service: models.Service) -> Limits:
    """Return what the containers of a service keep to."""
    deploy = service.deploy.resources if service.deploy else models.Resources()
    most = deploy.limits or models.Resource()
    reserved = deploy.reservations or models.Resource()
    pids = service.pids_limit or most.pids or MOST_PROCESSES
    io = service.blkio_config or models.BlkioConfig()
    # What is set aside is also what it gets when everybody wants more.
    share = max(round(reserved.cpus * SHARES), LEAST_SHARES) if reserved.cpus else None
    return Limits(
        cpus=service.cpus or most.cpus or None,
        cpu_period=service.cpu_period or None,
        cpu_quota=service.cpu_quota or None,
        cpu_shares=service.cpu_shares or share,
        cpuset=service.cpuset or None,
        memory=service.mem_limit or most.memory or None,
        memory_reservation=service.mem_reservation or reserved.memory or None,
        memory_swap=service.memswap_limit or None,
        memory_swappiness=service.mem_swappiness or None,
        oom_kill_disable=service.oom_kill_disable,
        pids=pids if pids > 0 else None,
        io_weight=io.weight or None,
        io_weights=tuple((one.path, one.weight) for one in io.weight_device),
        io_rates=tuple(
            IoRate(kind=kind, device=one.path, rate=one.rate)
            for kind in IoKind
            for one in getattr(io, f"device_{kind.value}")
        ),
        net_receive=service.x_pyorch.rates.receive or None,
        net_send=service.x_pyorch.rates.send or None,
        reserved_cpus=reserved.cpus,
        reserved_memory=reserved.memory,
        reserved_units=tuple(sorted(units_of(service).items())),
    )


def units_of(service: models.Service) -> dict[str, int]:
    """Return what else a replica has to itself: of each kind so many."""
    deploy = service.deploy.resources if service.deploy else models.Resources()
    found: dict[str, int] = {}
    for one in deploy.reservations.generic_resources if deploy.reservations else ():
        wanted = one.discrete_resource_spec
        if wanted is not None:
            found[wanted.kind] = found.get(wanted.kind, 0) + wanted.value
    return found


def rates_of(service: models.Service) -> Rates:
    """Return what the sandboxes of a service keep to."""
    limits = limits_of(service)
    return Rates(receive=limits.net_receive, send=limits.net_send)


def ceiling_of(model: models.StackFile) -> Limits:
    """Return what all containers of a stack keep to together."""
    given = model.x_pyorch.resources
    return Limits(
        cpus=given.cpus or None,
        # The kernel counts in pages: what it says of itself afterwards is to be the same.
        memory=given.memory // PAGE * PAGE or None,
        pids=given.pids or None,
    )


def limits_in_words(limits: Limits) -> dict[str, str]:
    """Return every limit by its name; two limits are the same exactly when their words are."""
    return dict(_words(limits))


def _words(limits: Limits) -> Iterator[tuple[str, str]]:
    for name, number in (
        ("cpus", limits.cpus),
        ("cpu period", limits.cpu_period),
        ("cpu quota", limits.cpu_quota),
        ("cpu shares", limits.cpu_shares),
        ("swappiness", limits.memory_swappiness),
        ("processes", limits.pids),
        ("io weight", limits.io_weight),
        ("reserved cpus", limits.reserved_cpus or None),
    ):
        if number is not None:
            yield name, f"{number:g}" if isinstance(number, float) else str(number)
    if limits.cpuset is not None:
        yield "cpuset", limits.cpuset
    for name, amount in (
        ("memory", limits.memory),
        ("memory reservation", limits.memory_reservation),
        ("memory and swap", limits.memory_swap),
        ("reserved memory", limits.reserved_memory or None),
    ):
        if amount is not None:
            yield name, size(amount)
    for name, rate in (("received", limits.net_receive), ("sent", limits.net_send)):
        if rate is not None:
            yield f"bytes {name} over each network", f"{size(rate)}/s"
    for kind, number in limits.reserved_units:
        yield f"reserved `{kind}`", str(number)
    if limits.oom_kill_disable:
        yield "killing when out of memory", "off"
    for path, weight in limits.io_weights:
        yield f"io weight of {path}", str(weight)
    for one in limits.io_rates:
        whole = one.kind in (IoKind.READ_BYTES, IoKind.WRITE_BYTES)
        yield f"{IO_WORDS[one.kind]} {one.device}", f"{size(one.rate) if whole else one.rate}/s"
