"""A container's configuration and its image → ``config.json`` (runtime-spec, config.md)."""

import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import InvalidError
from runtime.oci.mounts import root_propagation
from runtime.oci.seccomp import DEFAULT_PROFILE, load_seccomp
from runtime.oci.users import ResolvedUser
from runtime.types import ContainerConfig, ExecConfig, ImageConfig

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
ALL_CAPABILITIES = (
    *DEFAULT_CAPABILITIES,
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_DAC_READ_SEARCH",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
)
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def build_bundle(
    config: ContainerConfig,
    image: ImageConfig,
    *,
    root: Path,
    cgroup: str,
    user: ResolvedUser,
    mounts: Sequence[Mapping[str, Any]],
    resources: Mapping[str, Any],
    init: str | None = None,
) -> dict[str, Any]:
    """Return the whole ``config.json``.

    ``resources`` are its limits in the spec's form.

    ``mounts`` are the container's own, in the spec's form; ``init`` is the path inside the
    container of a reaper to run the command under. Raises InvalidError when neither the
    image nor the configuration names a command.
    """
    argv = command_line(config, image)
    if init:
        argv = [init, "--", *argv]
    capabilities = effective_capabilities(config)
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": argv,
        "env": [f"{k}={v}" for k, v in environment(config, image, user).items()],
        "cwd": working_dir(config, image),
        "capabilities": _capability_sets(capabilities),
        "noNewPrivileges": config.no_new_privileges,
        "rlimits": _rlimits(config.ulimits),
    }
    if config.oom_score_adj is not None:
        process["oomScoreAdj"] = config.oom_score_adj
    linux: dict[str, Any] = {
        "cgroupsPath": f"/{cgroup}",
        "namespaces": [
            {"type": "pid"},
            {"type": "ipc"},
            {"type": "uts"},
            {"type": "mount"},
            {"type": "cgroup"},
        ],
        "resources": {
            "devices": _device_rules(privileged=config.privileged),
            **resources,
        },
        "maskedPaths": [] if config.privileged else list(MASKED),
        "readonlyPaths": [] if config.privileged else list(READ_ONLY),
        "sysctl": dict(config.sysctls),
    }
    if config.netns is not None:
        linux["namespaces"].append({"type": "network", "path": str(config.netns)})
        linux["sysctl"].setdefault("net.ipv4.ip_unprivileged_port_start", "0")
        linux["sysctl"].setdefault("net.ipv4.ping_group_range", "0 2147483647")
    if propagation := root_propagation(config.mounts):
        linux["rootfsPropagation"] = propagation
    if not config.privileged and config.seccomp != "unconfined":
        profile = Path(config.seccomp) if config.seccomp else DEFAULT_PROFILE
        linux["seccomp"] = load_seccomp(profile, capabilities)
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": str(root), "readonly": config.read_only},
        "hostname": config.hostname,
        "mounts": [*_system_mounts(config), *mounts],
        "linux": linux,
    }


def build_process(
    config: ContainerConfig, image: ImageConfig, exec_: ExecConfig, user: ResolvedUser
) -> dict[str, Any]:
    """Return the ``process`` object of a command run beside the main one."""
    capabilities = ALL_CAPABILITIES if exec_.privileged else effective_capabilities(config)
    found = environment(config, image, user)
    found.update(exec_.environment)
    if exec_.tty:
        found.setdefault("TERM", "xterm")
    return {
        "terminal": exec_.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(exec_.argv),
        "env": [f"{k}={v}" for k, v in found.items()],
        "cwd": exec_.working_dir or working_dir(config, image),
        "capabilities": _capability_sets(capabilities),
        "noNewPrivileges": config.no_new_privileges,
        "rlimits": _rlimits(config.ulimits),
    }


def command_line(config: ContainerConfig, image: ImageConfig) -> list[str]:
    """Return what is run: an entrypoint that is set discards the image's command, too."""
    if config.entrypoint is not None:
        argv = [*config.entrypoint, *(config.command or ())]
    else:
        given = image.command if config.command is None else config.command
        argv = [*image.entrypoint, *given]
    if not argv:
        raise InvalidError(
            "create container",
            config.id,
            "neither the image nor the stack file names a command",
            hint="set `command:`",
        )
    return argv


def display_command(config: ContainerConfig, image: ImageConfig) -> str:
    """Return the command line in one line, for people; it cannot be split again."""
    return " ".join(command_line(config, image))


def working_dir(config: ContainerConfig, image: ImageConfig) -> str:
    """Return where it is run; a path into ``/proc`` is refused (CVE-2024-21626)."""
    path = config.working_dir or image.working_dir or "/"
    if not path.startswith("/"):
        path = f"/{path}"
    if path == "/proc" or path.startswith("/proc/"):
        raise InvalidError("create container", config.id, f"working directory `{path}` is refused")
    return path


def environment(config: ContainerConfig, image: ImageConfig, user: ResolvedUser) -> dict[str, str]:
    """Return the variables of the main process, in order of growing authority."""
    found = {"PATH": PATH, "HOSTNAME": config.hostname}
    if config.tty:
        found["TERM"] = "xterm"
    for line in image.environment:
        name, _, value = line.partition("=")
        if name:
            found[name] = value
    for name, given in config.environment.items():
        if given is None:
            found.pop(name, None)
        else:
            found[name] = given
    found.setdefault("HOME", user.home)
    return found


def effective_capabilities(config: ContainerConfig) -> tuple[str, ...]:
    """Return what the process may do: dropped first, added after, as Docker does."""
    if config.privileged:
        return ALL_CAPABILITIES
    dropped = {_capability(name) for name in config.cap_drop}
    added = {_capability(name) for name in config.cap_add}
    kept = set() if "CAP_ALL" in dropped else set(DEFAULT_CAPABILITIES) - dropped
    kept |= set(ALL_CAPABILITIES) - dropped if "CAP_ALL" in added else added
    unknown = kept - set(ALL_CAPABILITIES)
    if unknown:
        raise InvalidError(
            "create container", config.id, f"no such capability: {', '.join(sorted(unknown))}"
        )
    return tuple(sorted(kept))


def _capability(name: str) -> str:
    upper = name.upper()
    return upper if upper.startswith("CAP_") else f"CAP_{upper}"


def _capability_sets(capabilities: Sequence[str]) -> dict[str, list[str]]:
    names = list(capabilities)
    # Inheritable and ambient stay empty: a file capability must not be handed on.
    return {"bounding": names, "effective": names, "permitted": names}


def _rlimits(ulimits: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    limits = []
    for name, (soft, hard) in sorted(ulimits.items()):
        constant = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if constant is None:
            raise InvalidError("set limit", name, "no such resource limit")
        ours = resource.getrlimit(constant)[1]
        soft, hard = _clamp(soft, ours), _clamp(hard, ours)
        limits.append({"type": f"RLIMIT_{name.upper()}", "soft": min(soft, hard), "hard": hard})
    return limits


def _clamp(wanted: int, ours: int) -> int:
    """Keep a limit within the daemon's own: not every root may raise it (CAP_SYS_RESOURCE)."""
    unlimited = 2**64 - 1
    if ours == resource.RLIM_INFINITY:
        return unlimited if wanted < 0 else wanted
    return ours if wanted < 0 else min(wanted, ours)


def _device_rules(*, privileged: bool) -> list[dict[str, Any]]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    nodes = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2))
    return [
        {"allow": False, "access": "rwm"},
        *(
            {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
            for major, minor in nodes
        ),
        {"allow": True, "type": "c", "major": 136, "access": "rwm"},
    ]


def _system_mounts(config: ContainerConfig) -> list[dict[str, Any]]:
    safe = ["nosuid", "noexec", "nodev"]
    readonly = [] if config.privileged else ["ro"]

    def system(target: str, kind: str, options: list[str], source: str = "") -> dict[str, Any]:
        return {
            "destination": target,
            "type": kind,
            "source": source or kind,
            "options": options,
        }

    return [
        system("/proc", "proc", safe),
        system("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        system(
            "/dev/pts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        system("/dev/mqueue", "mqueue", safe),
        system(
            "/dev/shm",
            "tmpfs",
            [*safe, "mode=1777", f"size={config.shm_size}"],
            "shm",
        ),
        system("/sys", "sysfs", [*safe, *readonly]),
        system("/sys/fs/cgroup", "cgroup", [*safe, "relatime", *readonly]),
    ]
