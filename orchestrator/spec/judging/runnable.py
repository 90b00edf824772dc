"""What a stack may say and the runtime cannot do: told before anything is done. Pure.

`config` prints such a stack as the reference does; `up` and `plan` refuse it, and so does the
daemon.
"""

import re
from collections.abc import Iterator

from orchestrator.spec.judging.deploying import deploy_refusals
from orchestrator.spec.judging.limits import ceiling_refusals, limit_refusals
from orchestrator.spec.judging.logging import mistakes
from orchestrator.spec.judging.mounts import (
    brought_refusals,
    carried_refusals,
    mount_refusals,
    volume_refusals,
)
from orchestrator.spec.judging.networking import networking_refusals
from orchestrator.spec.judging.process import process_refusals
from orchestrator.spec.judging.support import REFUSED
from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.models.stack import MOST_REPLICAS
from orchestrator.spec.tree import Path, Refusal
from orchestrator.spec.values.pulling import POLICY
from orchestrator.spec.values.signals import SIGNAL

RESTART = re.compile(r"(no|always|unless-stopped|on-failure(:[0-9]+)?)?")
CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
HOSTNAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}")
PLATFORM = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+(/[a-z0-9.]+)?)?", re.IGNORECASE)
USER = re.compile(r"[^:\s]+(:[^:\s]+)?")
LONGEST_STACK = 63
LONGEST_NAME = 128
RUNNABLE_NAME = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,{LONGEST_NAME - 1}}}")
NAME_HINT = f"at most {LONGEST_NAME} letters, digits, `.`, `_`, `-`, the first no `.` and no `-`"

WORDS = (
    ("restart", RESTART, "restart policy", "one of no, always, unless-stopped, on-failure[:N]"),
    ("container_name", CONTAINER_NAME, "name of a container", "use letters, digits, `_.-`"),
    ("hostname", HOSTNAME, "host name", "use at most 63 letters, digits, `.` and `-`"),
    ("platform", PLATFORM, "platform", "write one like linux/arm64, or linux/arm/v7"),
    ("user", USER, "user", "write USER or USER:GROUP"),
    ("stop_signal", SIGNAL, "signal", "write one like SIGTERM, or a number"),
    ("pull_policy", POLICY, "pull policy", "one of always, missing, never, daily, every_12h"),
)
"""Keys of a service with the pattern of their value, what that is, and what to write."""


def refusals(stack: StackFile) -> Iterator[Refusal]:
    """Yield everything about a stack that cannot be carried out."""
    if len(stack.name) > LONGEST_STACK:
        yield ("name",), f"a stack's name has at most {LONGEST_STACK} characters", "use -p"
    yield from _names(stack)
    if not stack.services:
        yield ("services",), "there is no service to run", "is a profile missing?"
    for name, service in stack.services.items():
        path = ("services", name)
        yield from _words(service, path)
        yield from process_refusals(stack, service, path)
        for option, cause, hint in mistakes(service.logging) if service.logging else ():
            yield (*path, "logging", "options", option), cause, hint
        yield from _probes(service, path)
        yield from _amounts(service, path)
        yield from deploy_refusals(service, path)
        yield from limit_refusals(service, path)
        yield from mount_refusals(service, path)
        yield from _hooks(service, path)
        yield from _waits(stack, service, path)
    for number, one in enumerate(stack.x_pyorch.notify):
        if bool(one.webhook) == bool(one.command):
            where = ("x-pyorch", "notify", str(number))
            yield where, "it is either a `webhook` or a `command`", "write one entry for each"
    yield from networking_refusals(stack)
    yield from ceiling_refusals(stack)
    yield from volume_refusals(stack)
    yield from carried_refusals(stack)
    yield from brought_refusals(stack)


def _hooks(service: Service, path: Path) -> Iterator[Refusal]:
    for kind in ("pre_start", "post_start", "pre_stop"):
        for number, hook in enumerate(getattr(service, kind)):
            where = (*path, kind, str(number))
            if not hook.command and not getattr(hook, "image", ""):
                yield (*where, "command"), "there is nothing to run", "write a command"
    for number, first in enumerate(service.pre_start):
        if first.per_replica:
            where = (*path, "pre_start", str(number), "per_replica")
            yield where, REFUSED["services.*.pre_start.*.per_replica"], "leave it out"


def _waits(stack: StackFile, service: Service, path: Path) -> Iterator[Refusal]:
    for name, wanted in service.depends_on.items():
        other = stack.services.get(name)
        by_clock = other is not None and other.x_pyorch.schedule is not None
        if by_clock and wanted.condition != "service_started":
            cause = f"`{name}` runs by its schedule: that it is done is no state it stays in"
            hint = "leave it out, or write `service_started`, which waits for nothing"
            yield (*path, "depends_on", name, "condition"), cause, hint


def _probes(service: Service, path: Path) -> Iterator[Refusal]:
    if service.logging is None or service.logging.driver != "none":
        return
    for kind, probe in service.x_pyorch.probes.items():
        if probe.log:
            cause = "there is no log to look in: `logging.driver` is `none`"
            hint = "take another driver, or ask another way: tcp, http, grpc, exec"
            yield (*path, "x-pyorch", "probes", kind, "log"), cause, hint


def _names(stack: StackFile) -> Iterator[Refusal]:
    # They become parts of paths, of cgroups and of host names.
    for name in stack.services:
        if not RUNNABLE_NAME.fullmatch(name):
            yield ("services", name), f"`{name}` cannot be run under this name", NAME_HINT
    for kind in ("networks", "volumes"):
        for key, resource in getattr(stack, kind).items():
            if not RUNNABLE_NAME.fullmatch(resource.name or key):
                cause = (
                    f"`{(resource.name or key)[:LONGEST_NAME]}` is no name for one of the {kind}"
                )
                yield (kind, key, "name"), cause, NAME_HINT


def _words(service: Service, path: Path) -> Iterator[Refusal]:
    for key, pattern, what, hint in WORDS:
        value = getattr(service, key)
        if value and not pattern.fullmatch(value):
            yield (*path, key), f"`{value[:60]}` is no {what}", hint
    for key in ("dns_opt", "dns_search", "external_links", "extra_hosts", "links"):
        for entry in getattr(service, key):
            if any(mark.isspace() for mark in entry):
                yield (*path, key), f"`{entry[:60]}` holds white space", "write a list of words"
    if service.provider is not None:
        hint = "run what it provides beside this stack"
        yield (*path, "provider"), REFUSED["services.*.provider"], hint


def _amounts(service: Service, path: Path) -> Iterator[Refusal]:
    if service.replicas > MOST_REPLICAS:
        own = service.scale is not None
        place: Path = (*path, "scale") if own else (*path, "deploy", "replicas")
        yield place, f"more than {MOST_REPLICAS} replicas of one service", None
    if service.shm_size < 0:
        yield (*path, "shm_size"), "must not be negative", "leave it out for no limit"
    check = service.healthcheck
    for key in ("interval", "timeout", "start_period", "start_interval"):
        value = getattr(check, key) if check else None
        if value is not None and (value < 0 or 0 < value < 0.001):
            place = (*path, "healthcheck", key)
            yield place, "must be a millisecond at least", None
    if service.stop_grace_period is not None and service.stop_grace_period < 0:
        yield (*path, "stop_grace_period"), "must not be negative", None
