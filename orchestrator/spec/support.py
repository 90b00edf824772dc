"""Keys of the Compose Specification the runtime does not carry out (yet), in one place.

A key is carried out unless it stands here. ACCEPTED keys load, and each is named in one warning
of a stack that uses it. REFUSED keys are printed by `config`, and refused by whatever would run
them. Values that are refused of keys that are carried out stand in ``runnable``.
"""

from collections.abc import Container, Iterator

from orchestrator.spec.models import StackFile
from orchestrator.spec.shellwords import split
from orchestrator.spec.tree import Map

ACCEPTED = {
    "services.*.annotations": "annotations do not reach the runtime yet",
    "services.*.attach": "an attached `up` shows every service's output",
    "services.*.blkio_config": "input and output are not limited yet",
    "services.*.build": "images are not built yet; they must be there",
    "services.*.cgroup": "the cgroup namespace is always private",
    "services.*.cgroup_parent": "containers' cgroups are pyorch's own",
    "services.*.cpu_count": "it is of Windows only",
    "services.*.cpu_percent": "it is of Windows only",
    "services.*.cpu_period": "write `cpus`",
    "services.*.cpu_quota": "write `cpus`",
    "services.*.cpu_rt_period": "real-time scheduling is not set yet",
    "services.*.cpu_rt_runtime": "real-time scheduling is not set yet",
    "services.*.credential_spec": "it is of Windows only",
    "services.*.deploy.endpoint_mode": "names always answer with replicas' own addresses",
    "services.*.deploy.mode": "services are always replicated",
    "services.*.deploy.placement": "there is one machine only",
    "services.*.deploy.rollback_config": "updates are not rolled back yet",
    "services.*.deploy.update_config": "replicas are replaced one way only",
    "services.*.develop": "files are not watched yet",
    "services.*.device_cgroup_rules": "devices must be named in `devices`",
    "services.*.dns": "the host's own servers are asked",
    "services.*.domainname": "it is not set yet",
    "services.*.external_links": "containers of others are not reachable by name",
    "services.*.gpus": "GPUs are not passed on yet",
    "services.*.ipc": "every container has an IPC namespace of its own",
    "services.*.isolation": "it is of Windows only",
    "services.*.links": "the alias is not a name yet",
    "services.*.logging": "output always goes to pyorch's own log",
    "services.*.mac_address": "addresses are chosen by the kernel",
    "services.*.mem_swappiness": "it is of cgroup v1 only",
    "services.*.models": "AI models are not run yet",
    "services.*.oom_kill_disable": "it is of cgroup v1 only",
    "services.*.pid": "every container has a PID namespace of its own",
    "services.*.platform": "images are taken for this machine's platform",
    "services.*.post_start": "hooks are not run yet",
    "services.*.pre_start": "hooks are not run yet",
    "services.*.pre_stop": "hooks are not run yet",
    "services.*.storage_opt": "a container's own files are not limited yet",
    "services.*.use_api_socket": "there is no engine's socket to see",
    "services.*.userns_mode": "there are no user namespaces yet",
    "services.*.uts": "every container has a host name of its own",
    "services.*.volumes_from": "mounts of others are not taken over yet",
    "networks.*.enable_ipv4": "networks always have IPv4 addresses",
    "networks.*.enable_ipv6": "networks have no IPv6 addresses yet",
    "models": "AI models are not run yet",
}
"""What becomes of a key that is accepted and not carried out."""

REFUSED = {
    "services.*.provider": "a service without a container cannot be run yet",
    "volumes.*.driver_opts": "options of volumes are not carried out yet",
    "configs.*.external": "nobody but this machine's files can hold it yet",
    "secrets.*.external": "nobody but this machine's files can hold it yet",
    "secrets.*.driver": "nobody but this machine's files can hold it yet",
}
"""Why a stack with this key cannot be run."""


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
    """Yield one sentence for every accepted key the stack uses."""
    used: dict[str, str] = {}
    for kind in ("services", "networks"):
        for name, resource in getattr(stack, kind).items():
            for key in resource.model_fields_set:
                if _says_something(resource, key):
                    used.setdefault(f"{kind}.*.{key}", f"{kind}.{name}.{key}")
            deploy = getattr(resource, "deploy", None)
            for key in deploy.model_fields_set if deploy else ():
                if _says_something(deploy, key):
                    used.setdefault(f"{kind}.*.deploy.{key}", f"{kind}.{name}.deploy.{key}")
    if stack.models:
        used["models"] = "models"
    for key, why in ACCEPTED.items():
        if key in used:
            yield f"{used[key]}: accepted, but {why}"


def _says_something(model: object, key: str) -> bool:
    fields = type(model).model_fields  # type: ignore[attr-defined]
    return key in fields and getattr(model, key) != fields[key].default
