"""What a service may say of its mode and of where it runs, and what of that cannot be. Pure."""

from collections.abc import Iterator

from orchestrator.spec.models import Deploy, Service, StackFile
from orchestrator.spec.models.deploy import MODES
from orchestrator.spec.models.extensions import JobExtension
from orchestrator.spec.problems import suggest
from orchestrator.spec.tree import Path, Refusal
from orchestrator.spec.values.placement import KEYS, LABELS, parse_constraint

CONDITIONS = ("", "none", "on-failure", "any")
ACTIONS = ("pause", "continue", "rollback")


def deploy_refusals(service: Service, path: Path) -> Iterator[Refusal]:
    """Yield everything under `deploy` that cannot be carried out."""
    deploy, place = service.deploy or Deploy(), (*path, "deploy")
    if deploy.mode not in ("", *MODES):
        cause = f"`{deploy.mode[:40]}` is no mode of a service"
        hint = suggest(deploy.mode, MODES) or f"one of {', '.join(MODES)}"
        yield (*place, "mode"), cause, hint
    if deploy.everywhere and (service.scale or 0) > 1:
        cause = f"`mode: {deploy.mode}` is one replica on every machine"
        yield (*path, "scale"), cause, "leave one of them out"
    policy = deploy.restart_policy
    condition = policy.condition if policy else ""
    if condition not in CONDITIONS:
        where = (*place, "restart_policy", "condition")
        yield where, f"`{condition}` is no condition", "one of none, on-failure, any"
    if deploy.is_job:
        hint = "a job ends: write `on-failure`, or leave it out"
        if condition == "any":
            where = (*place, "restart_policy", "condition")
            yield where, f"`mode: {deploy.mode}` is not started again once it has succeeded", hint
        elif policy is None and service.restart in ("always", "unless-stopped"):
            cause = f"`mode: {deploy.mode}` is not started again once it has succeeded"
            yield (*path, "restart"), cause, hint
    elif not _ends(service):
        cause = "a service that is started again whenever it ends is no job"
        hint = "write `restart: on-failure`, or a job's mode"
        if service.x_pyorch.job != JobExtension():
            yield (*path, "x-pyorch", "job"), cause, hint
        if service.x_pyorch.schedule is not None:
            yield (*path, "x-pyorch", "schedule"), cause, hint
    for key, config in (
        ("update_config", deploy.update_config),
        ("rollback_config", deploy.rollback_config),
    ):
        able = ACTIONS if key == "update_config" else ACTIONS[:-1]
        if config and config.failure_action not in ("", *able):
            cause = f"`{config.failure_action[:40]}` is nothing that can be done then"
            yield (*place, key, "failure_action"), cause, f"one of {', '.join(able)}"
        if config and (config.parallelism or 0) < 0:
            yield (*place, key, "parallelism"), "must not be negative", "0 is all at a time"
        if config and not 0 <= config.max_failure_ratio <= 1:
            cause = "is a share of all replicas"
            yield (*place, key, "max_failure_ratio"), cause, "write a number from 0 to 1"
    if deploy.endpoint_mode not in ("", "vip", "dnsrr"):
        cause = f"`{deploy.endpoint_mode[:40]}` is no way to reach a service"
        yield (*place, "endpoint_mode"), cause, "one of dnsrr, vip"
    reserved = deploy.resources.reservations
    for number, one in enumerate(reserved.generic_resources if reserved else ()):
        wanted = one.discrete_resource_spec
        where = (*place, "resources", "reservations", "generic_resources", str(number))
        if wanted is not None and (not wanted.kind or wanted.value < 0):
            yield where, "a kind and how many of it are needed", "write {kind: gpu, value: 1}"
    for number, text in enumerate(deploy.placement.constraints):
        try:
            parse_constraint(text)
        except ValueError as error:
            where = (*place, "placement", "constraints", str(number))
            known = ", ".join((*KEYS, *(f"{prefix}NAME" for prefix in LABELS)))
            yield where, f"`{text[:60]}`: {error}", f"known are {known}"
    if deploy.placement.max_replicas_per_node < 0:
        where = (*place, "placement", "max_replicas_per_node")
        yield where, "must not be negative", "leave it out for no limit"


def _ends(service: Service) -> bool:
    """Whether a replica that succeeds stays down."""
    policy = service.deploy.restart_policy if service.deploy else None
    if policy is not None:
        return policy.condition in ("none", "on-failure")
    return (service.restart or "no").partition(":")[0] in ("no", "on-failure")


def deploy_warnings(stack: StackFile) -> Iterator[str]:
    """Yield one sentence for everything that is accepted and of which nothing comes."""
    for name, service in stack.services.items():
        deploy = service.deploy
        if deploy and deploy.everywhere and deploy.replicas not in (None, 1):
            why = f"`mode: {deploy.mode}` is one replica on every machine"
            yield f"services.{name}.deploy.replicas: accepted, but {why}"
