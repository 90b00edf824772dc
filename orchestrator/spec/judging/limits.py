"""Which limits of a service the kernel, or Docker before it, would not take. Pure."""

import re
from collections.abc import Iterator

from orchestrator.spec.models import BlkioConfig, Resource, Resources, Service, StackFile
from orchestrator.spec.tree import Path, Refusal

LEAST_MEMORY = 6 * 2**20
LEAST_CPUS = 0.01
LEAST_RATE = 1024
CPUSET = re.compile(r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*")
IO_RATES = ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops")
NO_LIMIT = "leave it out for no limit"


def limit_refusals(service: Service, path: Path) -> Iterator[Refusal]:
    """Yield every limit of a service that cannot be one."""
    deploy = service.deploy.resources if service.deploy else Resources()
    most, reserved = deploy.limits or Resource(), deploy.reservations or Resource()
    places = (*path, "deploy", "resources")
    yield from _memory(service, most, reserved, path)
    for where, cpus in (
        ((*path, "cpus"), service.cpus),
        ((*places, "limits", "cpus"), most.cpus),
        ((*places, "reservations", "cpus"), reserved.cpus),
    ):
        if cpus and cpus < LEAST_CPUS:
            yield where, f"must be {LEAST_CPUS} at least", NO_LIMIT
    yield from _cpu_time(service, most, path)
    for where, pids in (
        ((*path, "pids_limit"), service.pids_limit),
        ((*places, "limits", "pids"), most.pids),
    ):
        if pids < -1:
            yield where, "must not be negative", "-1 is no limit"
    if service.blkio_config is not None:
        yield from _io(service.blkio_config, (*path, "blkio_config"))
    yield from _rates(service, (*path, "x-pyorch", "rates"))


def ceiling_refusals(stack: StackFile) -> Iterator[Refusal]:
    """Yield what of a stack's ceiling cannot be one, and every service that is above it."""
    ceiling, path = stack.x_pyorch.resources, ("x-pyorch", "resources")
    if ceiling.cpus and ceiling.cpus < LEAST_CPUS:
        yield (*path, "cpus"), f"must be {LEAST_CPUS} at least", NO_LIMIT
    if ceiling.memory and ceiling.memory < LEAST_MEMORY:
        yield (*path, "memory"), "must be 6 MiB at least", NO_LIMIT
    if ceiling.pids < 0:
        yield (*path, "pids"), "must not be negative", NO_LIMIT
    for name, service in stack.services.items():
        limits = service.deploy.resources.limits if service.deploy else None
        most = limits.cpus if limits else 0
        if 0 < ceiling.cpus < (service.cpus or most):
            own = ("cpus",) if service.cpus else ("deploy", "resources", "limits", "cpus")
            cause = f"more than the {ceiling.cpus:g} all services of the stack have together"
            yield ("services", name, *own), cause, "see `x-pyorch.resources` at the top"


def _rates(service: Service, path: Path) -> Iterator[Refusal]:
    rates = service.x_pyorch.rates
    for key in ("receive", "send"):
        rate = getattr(rates, key)
        if rate and rate < LEAST_RATE:
            yield (*path, key), "must be 1 KiB a second at least", NO_LIMIT
        if rate and service.network_mode not in ("", "bridge"):
            cause = f"with `network_mode: {service.network_mode}` it has no links of its own"
            yield (*path, key), cause, "leave it out, or set it where the network is from"


def _memory(service: Service, most: Resource, reserved: Resource, path: Path) -> Iterator[Refusal]:
    places = (*path, "deploy", "resources")
    limit, limited = service.mem_limit, (*path, "mem_limit")
    if not limit:
        limit, limited = most.memory, (*places, "limits", "memory")
    soft, softly = service.mem_reservation, (*path, "mem_reservation")
    if not soft:
        soft, softly = reserved.memory, (*places, "reservations", "memory")
    for where, amount in ((limited, limit), (softly, soft)):
        if amount and amount < LEAST_MEMORY:
            yield where, "must be 6 MiB at least", NO_LIMIT
    if limit and soft > limit:
        yield softly, "more than the memory it may have", "raise the limit, or reserve less"
    swap, where = service.memswap_limit, (*path, "memswap_limit")
    if swap < -1:
        yield where, "must not be negative", "-1 is no limit"
    elif swap > 0 and not limit:
        yield where, "needs a limit of memory beside it", "set `mem_limit`"
    elif 0 < swap < limit:
        cause = "less than `mem_limit`: it counts memory and swap together"
        yield where, cause, "the same value means no swap"
    if not 0 <= service.mem_swappiness <= 100:
        yield (*path, "mem_swappiness"), "goes from 0 to 100", None


def _cpu_time(service: Service, most: Resource, path: Path) -> Iterator[Refusal]:
    for key in ("cpu_period", "cpu_quota"):
        if getattr(service, key) and (service.cpus or most.cpus):
            yield (*path, key), f"`{key}` and `cpus` exclude each other", "keep `cpus`"
    if service.cpu_period and not 1000 <= service.cpu_period <= 1_000_000:
        yield (*path, "cpu_period"), "goes from 1000 to 1000000 µs", None
    if service.cpu_quota and service.cpu_quota < 1000:
        yield (*path, "cpu_quota"), "must be 1000 µs at least", NO_LIMIT
    if service.cpu_shares < 0 or service.cpu_shares == 1:
        yield (*path, "cpu_shares"), "must be 2 at least", "1024 is what others have"
    if service.cpuset and not CPUSET.fullmatch(service.cpuset):
        cause = f"`{service.cpuset[:40]}` is no set of processors"
        yield (*path, "cpuset"), cause, "write 0-3, or 0,2"


def _io(io: BlkioConfig, path: Path) -> Iterator[Refusal]:
    weights = [((*path, "weight"), io.weight)] if io.weight else []
    weights += [
        ((*path, "weight_device", str(number), "weight"), one.weight)
        for number, one in enumerate(io.weight_device)
    ]
    for where, weight in weights:
        if not 10 <= weight <= 1000:
            yield where, "goes from 10 to 1000", None
    named = [(("weight_device", str(n)), one.path) for n, one in enumerate(io.weight_device)]
    for key in IO_RATES:
        for number, one in enumerate(getattr(io, key)):
            named.append(((key, str(number)), one.path))
            if one.rate <= 0:
                yield (*path, key, str(number), "rate"), "must be more than nothing", NO_LIMIT
    for place, device in named:
        if not device.startswith("/"):
            cause = f"`{device[:60]}` is no absolute path"
            yield (*path, *place, "path"), cause, "write one like /dev/sda"
