"""What becomes of every key of a stack file, in one place.

CARRIED_OUT keys do what they say. ACCEPTED keys load, and each is named in one warning of a
stack that uses it. REFUSED keys are printed by `config`, and refused by whatever would run them.
What is below a key shares its fate where it has none of its own. Values that are refused of keys
that are carried out stand in ``runnable``.
"""

from collections.abc import Container, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from orchestrator.spec.judging.deploying import deploy_warnings
from orchestrator.spec.judging.logging import shortfalls
from orchestrator.spec.judging.networking import networking_warnings
from orchestrator.spec.models import StackFile
from orchestrator.spec.tree import Map, Path
from orchestrator.spec.values.confinement import option
from orchestrator.spec.values.shellwords import split

ACCEPTED = {
    "services.*.build.cache_from": "steps are cached on this machine alone",
    "services.*.build.cache_to": "steps are cached on this machine alone",
    "services.*.build.provenance": "images carry no attestations",
    "services.*.build.sbom": "images carry no attestations",
    "services.*.cgroup_parent": "containers' cgroups are pyorch's own",
    "services.*.cpu_count": "it is of Windows only",
    "services.*.cpu_percent": "it is of Windows only",
    "services.*.cpu_rt_period": "real-time scheduling is left to the whole machine",
    "services.*.cpu_rt_runtime": "real-time scheduling is left to the whole machine",
    "services.*.credential_spec": "it is of Windows only",
    "services.*.develop": "`watch` follows the stack's own files alone",
    "services.*.isolation": "it is of Windows only",
    "services.*.models": "AI models are not run yet",
    "services.*.storage_opt": "a container's own files are not limited yet",
    "services.*.use_api_socket": "pyorch's socket does not speak the engine's language",
}
"""What becomes of a key that is accepted and not carried out."""

REFUSED = {
    "services.*.pre_start.*.per_replica": "a hook before the start runs once for all replicas",
    "services.*.build.entitlements": "builds are granted no more than a container",
    "services.*.build.isolation": "it is of Windows only",
    "services.*.build.privileged": "builds are granted no more than a container",
    "services.*.provider": "a service without a container cannot be run yet",
    "services.*.pull_refresh_after": "images are pulled when they are missing, always, or never",
}
"""Why a stack with this key cannot be run."""

TOLD_ELSEWHERE = {
    "version": "it is obsolete and says nothing",
    "models": ACCEPTED["services.*.models"],
}
"""What becomes of keys that are accepted, and named in a warning about something else."""

CARRIED_OUT = {
    "": "configs include name networks secrets services volumes x-pyorch",
    "include.*": "env_file path project_directory",
    "services.*": """
        annotations attach blkio_config build cap_add cap_drop cgroup command configs container_name
        cpu_period cpu_quota cpu_shares cpus cpuset depends_on deploy device_cgroup_rules devices
        dns dns_opt dns_search domainname entrypoint env_file environment expose extends
        external_links extra_hosts gpus group_add healthcheck hostname image init ipc label_file
        labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit
        network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports
        post_start pre_start pre_stop privileged profiles pull_policy read_only restart runtime
        scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal sysctls tmpfs
        tty ulimits user userns_mode uts volumes volumes_from working_dir x-pyorch
    """,
    "services.*.blkio_config": """
        device_read_bps device_read_iops device_write_bps device_write_iops weight weight_device
    """,
    "services.*.blkio_config.device_read_bps.*": "path rate",
    "services.*.blkio_config.device_read_iops.*": "path rate",
    "services.*.blkio_config.device_write_bps.*": "path rate",
    "services.*.blkio_config.device_write_iops.*": "path rate",
    "services.*.blkio_config.weight_device.*": "path weight",
    "services.*.build": """
        additional_contexts args context dockerfile dockerfile_inline extra_hosts labels network
        no_cache no_cache_filter platforms pull secrets shm_size ssh tags target ulimits
    """,
    "services.*.build.secrets.*": "gid mode source target uid",
    "services.*.build.ulimits.*": "hard soft",
    "services.*.configs.*": "gid mode source target uid",
    "services.*.depends_on.*": "condition required restart",
    "services.*.deploy": """
        endpoint_mode labels mode placement replicas resources restart_policy rollback_config
        update_config
    """,
    "services.*.deploy.rollback_config": """
        delay failure_action max_failure_ratio monitor order parallelism
    """,
    "services.*.deploy.update_config": """
        delay failure_action max_failure_ratio monitor order parallelism
    """,
    "services.*.deploy.placement": "constraints max_replicas_per_node preferences",
    "services.*.deploy.placement.preferences.*": "spread",
    "services.*.deploy.resources": "limits reservations",
    "services.*.deploy.resources.limits": "cpus memory pids",
    "services.*.deploy.resources.reservations": "cpus devices generic_resources memory",
    "services.*.deploy.resources.reservations.generic_resources.*": "discrete_resource_spec",
    "services.*.deploy.resources.reservations.generic_resources.*.discrete_resource_spec": """
        kind value
    """,
    "services.*.deploy.resources.reservations.devices.*": """
        capabilities count device_ids driver options
    """,
    "services.*.deploy.restart_policy": "condition delay max_attempts window",
    "services.*.devices.*": "permissions source target",
    "services.*.env_file.*": "format path required",
    "services.*.extends": "file service",
    "services.*.gpus.*": "capabilities count device_ids driver options",
    "services.*.healthcheck": """
        disable interval retries start_interval start_period test timeout
    """,
    "services.*.networks.*": """
        aliases driver_opts gw_priority interface_name ipv4_address ipv6_address link_local_ips
        mac_address priority
    """,
    "services.*.ports.*": "app_protocol host_ip mode name protocol published target",
    "services.*.post_start.*": "command environment privileged user working_dir",
    "services.*.pre_start.*": "command environment image privileged user working_dir",
    "services.*.pre_stop.*": "command environment privileged user working_dir",
    "services.*.secrets.*": "gid mode source target uid",
    "services.*.ulimits.*": "hard soft",
    "services.*.volumes.*": "bind consistency image read_only source target tmpfs type volume",
    "services.*.volumes.*.bind": "create_host_path propagation recursive selinux",
    "services.*.volumes.*.tmpfs": "mode size",
    "services.*.volumes.*.image": "subpath",
    "services.*.volumes.*.volume": "labels nocopy subpath",
    "services.*.logging": "driver options",
    "services.*.x-pyorch": """
        backoff dns heal_limit job on_unhealthy priority probes quarantine rates schedule update
    """,
    "services.*.x-pyorch.update": "deadline drain mode",
    "services.*.x-pyorch.rates": "receive send",
    "services.*.x-pyorch.job": "max_concurrent timeout",
    "services.*.x-pyorch.schedule": "catch_up cron overlap timezone",
    "services.*.x-pyorch.backoff": "delay max_delay reset_after",
    "services.*.x-pyorch.probes.*": """
        exec grpc http interval log retries start_interval start_period tcp timeout
    """,
    "services.*.x-pyorch.probes.*.grpc": "port service",
    "services.*.x-pyorch.probes.*.http": "path port tls",
    "x-pyorch": "logs notify resources",
    "x-pyorch.notify.*": "command on timeout webhook",
    "x-pyorch.resources": "cpus memory pids",
    "networks.*": """
        attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name
    """,
    "networks.*.external": "name",
    "networks.*.ipam": "config driver options",
    "networks.*.ipam.config.*": "aux_addresses gateway ip_range subnet",
    "volumes.*": "driver driver_opts external labels name",
    "volumes.*.external": "name",
    "configs.*": "content environment external file labels name template_driver x-pyorch",
    "configs.*.x-pyorch": "exec on_change signal timeout",
    "configs.*.external": "name",
    "secrets.*": """
        driver driver_opts environment external file labels name template_driver x-pyorch
    """,
    "secrets.*.x-pyorch": "exec on_change signal timeout",
    "secrets.*.external": "name",
}
"""Keys that do what they say, by the mapping they are in."""

REMARKS = {
    "services.*.logging.driver": "`json-file`, `local`, `none`; others: files, and a warning",
    "services.*.logging.options": "those of the driver; others are warned about",
    "services.*.build.no_cache_filter": "no step of the build comes from the cache then",
    "services.*.build.platforms": "this machine's must be among them, and is what is built",
    "services.*.build.secrets": "`target` is the id; the rest is said where a step mounts it",
    "services.*.build.ssh": "files of keys without a passphrase; agents are refused",
    "services.*.blkio_config.weight": "where the kernel has weights (BFQ, or io.cost on cgroup v2)",
    "services.*.blkio_config.weight_device": "for devices that are scheduled by BFQ",
    "services.*.mem_swappiness": "on cgroup v1; on v2 `up` says that it is left out",
    "services.*.oom_kill_disable": "on cgroup v1; on v2 `up` says that it is left out",
    "services.*.expose": "services on a network reach each other's ports anyway",
    "services.*.ports.*.app_protocol": "it is for people and programs that read `config`",
    "services.*.ports.*.mode": "on one machine `ingress` and `host` are the same",
    "services.*.ports.*.name": "it is for people and programs that read `config`",
    "services.*.command": "an empty one is that of the image",
    "services.*.entrypoint": "an empty one takes the image's away, and keeps its command",
    "services.*.annotations": "those that would steer the runtime are refused",
    "services.*.cgroup": "`private` where none is given",
    "services.*.devices": "devices, directories and patterns of them, names of CDI",
    "services.*.device_cgroup_rules": "what is said of numbers; the node itself is of `devices`",
    "services.*.gpus": "by the descriptions of CDI their makers leave in /etc/cdi",
    "services.*.gpus.*.options": "there is none that means anything to CDI",
    "services.*.deploy.endpoint_mode": "`dnsrr` where it is left out",
    "services.*.deploy.rollback_config": "of `pyorch rollback`, and where an update undoes itself",
    "services.*.deploy.update_config.order": "see updates.md for who cannot have `start-first`",
    "services.*.deploy.rollback_config.order": "as in `update_config`",
    "services.*.deploy.update_config.failure_action": "`pause`, `continue` or `rollback`",
    "services.*.deploy.rollback_config.failure_action": "`pause` or `continue`",
    "services.*.deploy.resources.reservations.generic_resources": "of what settings.md says",
    "services.*.deploy.labels": "of the service: its containers do not have them",
    "services.*.deploy.mode": "`global` is one replica here; a job is run to its end once",
    "services.*.deploy.placement": "a machine's labels are among its settings",
    "services.*.deploy.placement.constraints": "a machine has every role; see settings.md",
    "services.*.deploy.placement.preferences": "one machine is all there is to prefer",
    "services.*.deploy.placement.preferences.*.spread": "as `preferences`",
    "services.*.deploy.resources.reservations.devices": "as `gpus`",
    "services.*.deploy.resources.reservations.devices.*.options": "as in `gpus`",
    "services.*.ipc": "shared memory outlives restarts of the service that shares it",
    "services.*.pid": "who shares processes ends with the service whose they are",
    "services.*.runtime": "`crun`, `runc`, another one that is installed, or a path",
    "services.*.sysctls": "those of a container's own; others are refused",
    "services.*.userns_mode": "`host` is what always holds",
    "services.*.network_mode": "`service:` and `container:` outlive restarts of whose it is",
    "services.*.platform": "what this machine runs, by itself or by a registered emulator",
    "services.*.pull_policy": "how old an image may be is looked at by `up`",
    "services.*.security_opt": "`label` is warned about; `apparmor` where the kernel has none",
    "services.*.volumes.*.bind.selinux": "pyorch labels no files: there is nothing to do",
    "services.*.volumes.*.consistency": "mounts are always consistent: there is nothing to do",
    "services.*.volumes.*.type": "`npipe` is of Windows and `cluster` of a swarm: they are refused",
    "volumes.*.driver_opts": "`type`, `device` and `o`, as mount(8) knows them",
    "services.*.ports.*.protocol": "`sctp` only where the kernel has it",
    "services.*.networks.*.driver_opts": "`ifname` and `sysctls`; others are warned about",
    "services.*.x-pyorch.rates": "bytes a second, on each network by itself",
    "networks.*.attachable": "any stack can join a network with `external: true` anyway",
    "networks.*.driver": "`bridge`, `macvlan`, `ipvlan`, `host`, `none`; others are refused",
    "networks.*.driver_opts": "those in networks.md; others are warned about",
    "networks.*.ipam.config": "one subnet of each family; others are refused",
    "networks.*.ipam.driver": "`default`; others are refused",
    "networks.*.ipam.options": "the driver `default` has none: each is warned about",
    "volumes.*.driver": "`local`; others are refused",
    "configs.*.external": "a file below ~/.config/pyorch/configs or /etc/pyorch/configs",
    "configs.*.labels": "they are for people and programs that read `config`",
    "configs.*.template_driver": "`golang`: the placeholders of a swarm, without its language",
    "configs.*.name": "it is for people: services use the key",
    "secrets.*.driver": "`file`, `env` and `cmd`, asked by who types the command",
    "secrets.*.driver_opts": "`path` of file, `variable` of env, `command` of cmd",
    "secrets.*.external": "where no driver is given a file below ~/.config/pyorch/secrets",
    "secrets.*.labels": "they are for people and programs that read `config`",
    "secrets.*.template_driver": "`golang`: the placeholders of a swarm, without its language",
    "secrets.*.name": "it is for people: services use the key",
}
"""What there is to say of keys that are carried out: values, or why there is nothing to do."""


class Kind(StrEnum):
    """What becomes of a key, in a word."""

    IMPLEMENTED = "implemented"
    WARNED = "accepted with a warning"
    REFUSED = "refused"


class Fate(NamedTuple):
    """What becomes of a key, and why."""

    kind: Kind
    why: str = ""


FATES = {
    **{
        f"{above}.{key}" if above else key: Fate(Kind.IMPLEMENTED)
        for above, keys in CARRIED_OUT.items()
        for key in keys.split()
    },
    **{key: Fate(Kind.IMPLEMENTED, why) for key, why in REMARKS.items()},
    **{key: Fate(Kind.WARNED, why) for key, why in (ACCEPTED | TOLD_ELSEWHERE).items()},
    **{key: Fate(Kind.REFUSED, why) for key, why in REFUSED.items()},
}
"""What becomes of every key that has a fate of its own."""


def fate(key: str) -> Fate:
    """Return what becomes of a key. Raises KeyError for one that is not in the table.

    What is below a key that is not carried out is not carried out either.
    """
    if key in FATES:
        return FATES[key]
    above = key.rpartition(".")[0]
    while above:
        if above in FATES and FATES[above].kind is not Kind.IMPLEMENTED:
            return FATES[above]
        above = above.rpartition(".")[0]
    raise KeyError(key)


def lost_words(tree: Map, names: Container[str]) -> Iterator[str]:
    """Yield one sentence for every command line with an operator of the shell in it."""
    for name, service in tree["services"].items():
        for key in ("entrypoint", "command") if name in names else ():
            line = service.get(key)
            if isinstance(line, str) and (lost := split(line)[1]):
                yield (
                    f"services.{name}.{key}: there is no shell, so `{lost[:60]}` is not part of it;"
                    " write [sh, -c, '...'] for one"
                )


def unsupported(stack: StackFile) -> Iterator[str]:
    """Yield one sentence for every accepted key the stack uses, with the first place of it."""
    for key, why in ACCEPTED.items():
        path = _first(stack, key.split("."), ())
        if path is not None:
            yield f"{'.'.join(path)}: accepted, but {why}"
    for name, service in stack.services.items():
        for text in service.security_opt:
            if option(text)[0] == "label" and option(text)[1] != "disable":
                yield f"services.{name}.security_opt: accepted, but `{text}` labels nothing yet"
                break
    for name, service in stack.services.items():
        if service.ports and service.network_mode in ("host", "none"):
            why = f"`network_mode: {service.network_mode}` leaves nothing to publish"
            yield f"services.{name}.ports: accepted, but {why}"
    for name, service in stack.services.items():
        for key, why in shortfalls(service.logging) if service.logging else ():
            yield f"services.{name}.logging.{key}: accepted, but {why}"
    yield from deploy_warnings(stack)
    yield from networking_warnings(stack)


def _first(value: Any, parts: Sequence[str], path: Path) -> Path | None:
    """Return the first place below ``value`` where the key says something."""
    if not parts:
        return path
    part, rest = parts[0], parts[1:]
    if part == "*":
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        found = (_first(one, rest, (*path, str(key))) for key, one in pairs)
        return next((one for one in found if one is not None), None)
    if part not in value.model_fields_set:
        return None
    below = getattr(value, part)
    if below == type(value).model_fields[part].default:
        return None
    return _first(below, rest, (*path, part))
