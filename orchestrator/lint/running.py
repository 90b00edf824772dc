"""What makes stacks start in the wrong order, stop late, or not come back."""

import re
from collections.abc import Iterator, Sequence

from orchestrator.lint.findings import Rules, Subject
from orchestrator.spec.models import Service
from orchestrator.spec.tree import Path

RULES = Rules()
SHELLS = ("sh", "bash", "ash", "dash", "/bin/sh", "/bin/bash", "/bin/ash", "/bin/dash")
COMMANDS = re.compile(r"\|\||&&|[;|\n]")
"""What stands between the commands of a script."""
Found = Iterator[tuple[Path, str, str]]


@RULES.add("health-unknown", "a service is waited for to be healthy, and has no healthcheck")
def health_unknown(subject: Subject) -> Found:
    """Find dependencies that may never be met: the image alone decides."""
    services = subject.stack.services
    for name, service in services.items():
        for wanted, entry in service.depends_on.items():
            target = services.get(wanted)
            if entry.condition != "service_healthy" or target is None:
                continue
            if target.healthcheck or target.x_pyorch.probes:
                continue
            yield (
                ("services", name, "depends_on", wanted),
                f"`{wanted}` has no healthcheck in this file: without one in its image this waits"
                " for ever",
                f"give `{wanted}` a `healthcheck`",
            )


@RULES.add("started-is-not-ready", "a dependency has a healthcheck that nobody waits for")
def started_is_not_ready(subject: Subject) -> Found:
    """Find dependents that begin before what they need is ready."""
    services = subject.stack.services
    for name, service in services.items():
        for wanted, entry in service.depends_on.items():
            target = services.get(wanted)
            if entry.condition != "service_started" or target is None:
                continue
            check = target.healthcheck
            if not target.x_pyorch.probes and (check is None or check.disable):
                continue
            yield (
                ("services", name, "depends_on", wanted),
                f"begins once `{wanted}` is started, which is before it is healthy",
                "write `condition: service_healthy`",
            )


@RULES.add("deaf-to-signals", "a shell is process 1 and does not pass on the signal to stop")
def deaf_to_signals(subject: Subject) -> Found:
    """Find shells that stand between a program and the signal that stops it."""
    for name, service in subject.stack.services.items():
        key, script = _script(service)
        *others, last = COMMANDS.split(script.strip())
        # A shell becomes the only command it has.
        if others and not service.init and last.split()[:1] != ["exec"] and "trap" not in script:
            yield (
                ("services", name, key),
                "a shell is process 1 and ignores the signal to stop: it is killed when the grace"
                " period is over",
                "write `exec` before its last command, or `init: true`",
            )


@RULES.add("stays-down", "a service with published ports does not come back when it ends")
def stays_down(subject: Subject) -> Found:
    """Find servers without a restart policy."""
    for name, service in subject.stack.services.items():
        policy = service.deploy.restart_policy if service.deploy else None
        if service.ports and service.restart in ("", None, "no") and policy is None:
            yield (
                ("services", name),
                "publishes ports and has no `restart`: once it has ended, it stays down",
                "write `restart: unless-stopped`",
            )


@RULES.add("no-memory-limit", "a service may use all the memory of the machine")
def no_memory_limit(subject: Subject) -> Found:
    """Find services without a limit of memory."""
    for name, service in subject.stack.services.items():
        limits = service.deploy.resources.limits if service.deploy else None
        if not service.mem_limit and not (limits and limits.memory):
            yield (
                ("services", name),
                "has no limit of memory: when it leaks, others are killed, too",
                "write e.g. `mem_limit: 512m`",
            )


@RULES.add("one-name-one-container", "a fixed name of a container forbids replicas")
def one_name(subject: Subject) -> Found:
    """Find names of containers that stand in the way of more replicas."""
    for name, service in subject.stack.services.items():
        if service.container_name and service.ports:
            yield (
                ("services", name, "container_name"),
                "a service with a fixed name cannot be scaled, and no two stacks can have it",
                f"leave it out: others reach it as `{name}`",
            )


def _script(service: Service) -> tuple[str, str]:
    for key in ("entrypoint", "command"):
        words: Sequence[str] | None = getattr(service, key)
        if words and len(words) >= 3 and words[0] in SHELLS and words[1] in ("-c", "-ec", "-lc"):
            return key, words[2]
    return "", ""
