"""Stack file → :class:`scheduler.desired.DesiredStack`: what it means, in the planner's words."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from orchestrator.settings import Settings
from orchestrator.spec.models import Config, Secret, Service, StackFile
from orchestrator.spec.models.extensions import JobExtension
from orchestrator.spec.values.placement import parse_constraint
from orchestrator.store import OneOff, StoredStack, Wish
from orchestrator.translate.health import checks_of
from orchestrator.translate.hooks import hook_images
from orchestrator.translate.limits import ceiling_of, limits_in_words, limits_of, units_of
from orchestrator.translate.mounts import (
    CONTAINER,
    carried_files,
    digest_of,
    donor_of,
    mounted_images,
)
from orchestrator.translate.network import (
    BRIDGE,
    binding_of,
    desired_networks,
    mode_of,
    nameless_network,
    network_revision,
)
from orchestrator.translate.references import reference_of
from orchestrator.translate.shares import implied, shares_of
from orchestrator.translate.updates import has_fixed_slots, update_of
from runtime.types import ImageFacts
from scheduler import revision_of
from scheduler.desired import (
    CatchUp,
    Condition,
    Constraint,
    Content,
    Dependency,
    DesiredService,
    DesiredStack,
    DesiredVolume,
    Link,
    Membership,
    OnChange,
    OnUnhealthy,
    Overlap,
    Port,
    RestartMode,
    RestartPolicy,
    Schedule,
)
from scheduler.ids import NetworkName, Revision, ServiceName, StackName, VolumeName

UNREVISED = {
    "attach",
    "blkio_config",
    "build",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "depends_on",
    "deploy",
    "develop",
    "env_file",
    "healthcheck",
    "label_file",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "oom_kill_disable",
    "pids_limit",
    "ports",
    "pre_stop",
    "profiles",
    "pull_policy",
    "restart",
    "scale",
    "stop_grace_period",
    "x_pyorch",
}
"""Keys whose change needs no new container: what they say is done around it."""

LOCALHOST = "127.0.0.1"


def build_desired(
    model: StackFile,
    stored: StoredStack,
    settings: Settings,
    *,
    images: Mapping[str, ImageFacts],
    pins: Mapping[str, str],
    one_offs: Iterable[OneOff] = (),
) -> DesiredStack:
    """Say what ``model`` asks for. ``images`` are those of its references that are there.

    ``one_offs`` are those among its services that are run once.
    """
    ceiling = ceiling_of(model)
    found = {name: facts.id for name, facts in images.items()} | dict(pins)
    services = {
        name: replace(
            _service(model, name, service, images.get(reference_of(model, name)), settings),
            update=update_of(
                model, name, images.get(reference_of(model, name)), back=bool(stored.origin)
            ),
            fixed_slots=has_fixed_slots(model, name),
        )
        for name, service in sorted(model.services.items())
    }
    for one in one_offs:
        if (once := services.get(one.name)) is not None:
            services[one.name] = replace(once, one_off=True, alone=one.alone, schedule=None)
    return DesiredStack(
        name=StackName(model.name),
        intent=stored.intent,
        services=tuple(
            _wished(
                replace(service, follows=_follows(services, name, found)),
                stored.wishes.get(ServiceName(name)),
            )
            for name, service in services.items()
        ),
        networks=desired_networks(model),
        volumes=tuple(
            DesiredVolume(
                name=VolumeName(volume.name), external=volume.external, options=volume.driver_opts
            )
            for volume in model.volumes.values()
        ),
        remove_volumes=stored.remove_volumes,
        stop_grace=stored.stop_grace,
        ceiling=limits_in_words(ceiling),
        ceiling_cpus=ceiling.cpus or 0.0,
        pools=settings.every_pool(),
        subnet_prefix=settings.subnet_prefix,
        images=dict(pins),
    )


def _follows(
    services: Mapping[str, DesiredService], name: str, images: Mapping[str, str]
) -> str | None:
    """Return a word that changes when something is replaced that a service is restarted after."""
    parts: dict[str, object] = {}
    for dependency in services[name].dependencies:
        wanted = services.get(dependency.service)
        if not dependency.restart or wanted is None:
            continue
        if wanted.image not in images:
            # Which image it will be is not known yet, and so not whether it is another one.
            return None
        further = _follows(services, wanted.name, images)
        parts[wanted.name] = [wanted.revision, images[wanted.image], further]
    return revision_of(parts) if parts else None


def revision(model: StackFile, service: Service) -> Revision:
    """Return the hash of everything about a service that needs a new container to change."""
    return revision_of(revised(model, service))


def revised(model: StackFile, service: Service) -> dict[str, Any]:
    """Return everything about a service that needs a new container to change.

    Contents of configs and secrets are in it as hashes, but for those that are changed in place.
    """
    # What is left out stays out, so that a key learned later changes no revision.
    parts = service.model_dump(mode="json", exclude=UNREVISED, exclude_defaults=True)
    parts["recreate"] = model.recreate
    parts["networks"] = {
        model.networks[name].name: place.model_dump(exclude_defaults=True)
        for name, place in service.networks.items()
    }
    options = {name: network_revision(model.networks[name]) for name in service.networks}
    if options := {name: found for name, found in options.items() if found}:
        parts["network_options"] = options
    carried: dict[str, dict[str, Config | Secret]] = {
        "configs": {one.source: model.configs[one.source] for one in service.configs},
        "secrets": {one.source: model.secrets[one.source] for one in service.secrets},
    }
    if service.volumes_from:
        parts["donors"] = {
            name: _donated(model, name) for name in map(_donor, service.volumes_from) if name
        }
    for kind, resources in carried.items():
        parts[f"{kind}_content"] = {
            name: sha256(resource.payload or b"").hexdigest()
            for name, resource in resources.items()
            if resource.x_pyorch.on_change == "recreate"
        }
    return parts


def _donor(entry: str) -> str:
    return "" if entry.startswith(CONTAINER) else donor_of(entry)[0]


def _donated(model: StackFile, name: str) -> list[object]:
    """Return what a service hands on by `volumes_from`, that of its own donors included."""
    service = model.services[name]
    found: list[object] = [
        one.model_dump(mode="json", exclude_defaults=True)
        for one in service.volumes
        if one.type in ("bind", "volume")
    ]
    return found + [_donated(model, one) for one in map(_donor, service.volumes_from) if one]


def _contents(model: StackFile, service: Service) -> dict[str, Content]:
    """Return what files hold that are changed while their container stays, by where they are."""
    found = {}
    for kind, target, given in carried_files(service):
        if digest := digest_of(model, kind, given.source):
            own = (model.configs if kind == "configs" else model.secrets)[given.source].x_pyorch
            told = {"signal": f"sends {own.signal}", "exec": f"runs `{shlex.join(own.exec)}`"}
            found[target] = Content(
                name=f"{kind.removesuffix('s')} {given.source}",
                digest=digest,
                on_change=OnChange(own.on_change),
                told=told.get(own.on_change, ""),
            )
    return found


def _memberships(model: StackFile, service: Service) -> tuple[Membership, ...]:
    if service.network_mode == BRIDGE:
        return (Membership(network=nameless_network(model), nameless=True),)
    if mode_of(model, service):
        return ()
    places = sorted(service.networks.items(), key=lambda one: (-one[1].priority, one[0]))
    return tuple(
        Membership(
            network=NetworkName(model.networks[key].name),
            aliases=tuple(dict.fromkeys((*place.aliases, *_container_name(service)))),
            addresses=tuple(
                ip_address(text) for text in (place.ipv4_address, place.ipv6_address) if text
            ),
            gateway_priority=place.gw_priority,
        )
        for key, place in places
    )


def _ports(model: StackFile, service: Service, settings: Settings) -> tuple[Port, ...]:
    bindings = [binding_of(model.networks[key]) for key in service.networks]
    usual = next(filter(None, bindings), LOCALHOST if settings.localhost_only else "")
    return tuple(
        Port(
            target=port.target,
            protocol=port.protocol,
            host_ip=port.host_ip or usual,
            host_ports=port.host_ports(),
        )
        for port in service.ports
    )


def _links(service: Service) -> tuple[Link, ...]:
    found = []
    for foreign, entries in ((False, service.links), (True, service.external_links)):
        for entry in sorted(set(entries)):
            name, _, alias = entry.partition(":")
            if alias and alias != name:
                found.append(Link(alias=alias, name=name, foreign=foreign))
    return tuple(found)


def _service(
    model: StackFile, name: str, service: Service, image: ImageFacts | None, settings: Settings
) -> DesiredService:
    deploy = service.deploy
    reserved = deploy.resources.reservations if deploy else None
    limits = limits_of(service)
    grace = service.stop_grace_period
    return DesiredService(
        name=ServiceName(name),
        revision=revision(model, service),
        image=reference_of(model, name),
        pull=_pull(service),
        built=service.build is not None,
        replicas=service.replicas,
        restart=_restart(service),
        on_unhealthy=OnUnhealthy(service.x_pyorch.on_unhealthy),
        checks={kind: timing for kind, (timing, _) in checks_of(service, image).items()},
        dependencies=tuple(
            Dependency(
                service=ServiceName(wanted),
                condition=Condition(entry.condition),
                required=entry.required,
                restart=entry.restart,
            )
            for wanted, entry in sorted(service.depends_on.items())
            if entry.required or wanted in model.services
        )
        + tuple(implied(model, service)),
        shares=shares_of(model, service),
        networks=_memberships(model, service),
        mounted_images=mounted_images(model, service),
        hook_images=hook_images(model, name),
        pre_start=bool(service.pre_start),
        post_start=bool(service.post_start),
        volumes=tuple(
            sorted(
                {
                    VolumeName(model.volumes[mount.source].name)
                    for mount in service.volumes
                    if mount.type == "volume" and mount.source
                }
            )
        ),
        contents=_contents(model, service),
        ports=_ports(model, service, settings),
        virtual=deploy is not None and deploy.endpoint_mode == "vip",
        stop_grace=10.0 if grace is None else grace,
        cpu_reservation=(reserved.cpus or 0.0) if reserved else 0.0,
        memory_reservation=(reserved.memory or 0) if reserved else 0,
        units=units_of(service),
        priority=service.x_pyorch.priority,
        schedule=_schedule(service),
        is_job=(deploy is not None and deploy.is_job) or service.x_pyorch.job != JobExtension(),
        timeout=service.x_pyorch.job.timeout,
        most_at_once=service.x_pyorch.job.max_concurrent,
        constraints=_constraints(service),
        most_here=deploy.placement.max_replicas_per_node if deploy else 0,
        cpus=limits.cpus or 0.0,
        limits=limits_in_words(limits),
        dns_all=service.x_pyorch.dns == "all",
        dns_servers=service.dns,
        links=_links(service),
    )


def _schedule(service: Service) -> Schedule | None:
    own = service.x_pyorch.schedule
    if own is None:
        return None
    return Schedule(
        cron=own.cron,
        zone=own.timezone,
        overlap=Overlap(own.overlap),
        catch_up=CatchUp(own.catch_up),
    )


def _pull(service: Service) -> str:
    if service.build is not None:
        # Whoever asks for it builds it; only where it has a name can a registry have it, too.
        return "missing" if service.image and service.pull_policy != "never" else "never"
    return service.pull_policy if service.pull_policy in ("always", "never") else "missing"


def _wished(service: DesiredService, wish: Wish | None) -> DesiredService:
    if wish is None:
        return service
    return replace(
        service,
        intent=wish.intent,
        alone=wish.alone,
        restart_before=wish.restart_before,
        stop_grace=service.stop_grace if wish.stop_grace is None else wish.stop_grace,
        at_once=wish.stop_grace == 0,
    )


def _constraints(service: Service) -> tuple[Constraint, ...]:
    wanted = service.deploy.placement.constraints if service.deploy else ()
    return tuple(
        Constraint(key=one.key, value=one.value, equal=one.equal)
        for one in map(parse_constraint, wanted)
    )


def _container_name(service: Service) -> tuple[str, ...]:
    return (service.container_name,) if service.container_name else ()


def _restart(service: Service) -> RestartPolicy:
    policy = service.deploy.restart_policy if service.deploy else None
    job = service.deploy is not None and service.deploy.is_job
    if policy is not None:
        modes = {"none": RestartMode.NO, "on-failure": RestartMode.ON_FAILURE}
        found = RestartPolicy(
            mode=modes.get(policy.condition, RestartMode.ON_FAILURE if job else RestartMode.ALWAYS),
            # As everywhere: so many of nothing is no limit.
            max_attempts=policy.max_attempts or None,
            window=policy.window or None,
            delay=policy.delay or 0.0,
        )
    else:
        mode, _, limit = (service.restart or ("on-failure" if job else "no")).partition(":")
        found = RestartPolicy(mode=RestartMode(mode), max_attempts=int(limit or 0) or None)
    own = service.x_pyorch
    return replace(
        found,
        first_delay=own.backoff.delay,
        longest_delay=own.backoff.max_delay,
        settled_after=own.backoff.reset_after,
        quarantine=own.quarantine,
        heal_limit=own.heal_limit or None,
    )
