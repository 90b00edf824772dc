"""A container's configuration and its image → ``config.json`` (runtime-spec, config.md)."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from runtime.errors import InvalidError
from runtime.oci.capabilities import ALL, granted, sets_of, wanted
from runtime.oci.cdi import Edits
from runtime.oci.devices import describe_nodes
from runtime.oci.mounts import root_propagation
from runtime.oci.namespaces import namespaces, own_name, shared_memory
from runtime.oci.rlimits import first, oom_score, rlimits
from runtime.oci.seccomp import load_seccomp
from runtime.oci.users import ResolvedUser
from runtime.oci.workdir import checked
from runtime.types import ContainerConfig, ExecConfig, ImageConfig

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
APPARMOR = Path("/sys/kernel/security/apparmor")
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
    init: Sequence[str] = (),
    scratch: Path = Path("/run"),
    edits: Edits | None = None,
) -> dict[str, Any]:
    """Return the whole ``config.json``.

    ``mounts`` are the container's own and ``resources`` its limits, in the spec's form;
    ``init`` is the reaper's command line the command is run under. ``edits`` are what devices
    add that are described by their makers. ``scratch`` is where containers keep what others may
    share with them. Raises InvalidError when neither the image nor the configuration names a
    command.
    """
    capabilities = granted(wanted(config))
    edits = edits or Edits()
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": [*init, *command_line(config, image)],
        "env": [f"{k}={v}" for k, v in environment(config, image, user).items()],
        "cwd": working_dir(config, image),
        "capabilities": sets_of(capabilities, user.uid),
        "noNewPrivileges": config.no_new_privileges,
        "rlimits": first(config.ulimits),
        "oomScoreAdj": oom_score(config.oom_score_adj),
    }
    if config.apparmor and APPARMOR.exists():
        process["apparmorProfile"] = config.apparmor
    devices = describe_nodes(config, edits.nodes)
    open_ = config.privileged or config.unmasked
    linux: dict[str, Any] = {
        "cgroupsPath": f"/{cgroup}",
        "namespaces": namespaces(config, scratch),
        "devices": devices.made,
        "resources": {"devices": devices.rules, **resources},
        "maskedPaths": [] if open_ else [*MASKED, *_throttles()],
        "readonlyPaths": [] if open_ else list(READ_ONLY),
        "sysctl": dict(config.sysctls),
    }
    if config.netns is not None:
        linux["sysctl"].setdefault("net.ipv4.ip_unprivileged_port_start", "0")
        linux["sysctl"].setdefault("net.ipv4.ping_group_range", "0 2147483647")
    if config.domainname:
        # Runtimes learned a field of their own for it late.
        linux["sysctl"]["kernel.domainname"] = config.domainname
    if propagation := root_propagation(config.mounts):
        linux["rootfsPropagation"] = propagation
    if not config.privileged and config.seccomp != "unconfined":
        linux["seccomp"] = load_seccomp(config.seccomp, capabilities)
    bundle: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": str(root), "readonly": config.read_only},
        "mounts": [*_system_mounts(config, scratch), *edits.mounts, *mounts, *devices.mounted],
        "linux": linux,
    }
    if edits.hooks:
        bundle["hooks"] = edits.hooks
    if config.annotations:
        bundle["annotations"] = dict(config.annotations)
    if not config.uts_host:
        bundle["hostname"] = own_name(config)
    return bundle


def build_process(
    config: ContainerConfig, image: ImageConfig, exec_: ExecConfig, user: ResolvedUser
) -> dict[str, Any]:
    """Return the ``process`` object of a command run beside the main one."""
    capabilities = granted(ALL if exec_.privileged else wanted(config))
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
        "capabilities": sets_of(capabilities, user.uid),
        "noNewPrivileges": config.no_new_privileges,
        "rlimits": rlimits(config.ulimits),
        "oomScoreAdj": oom_score(config.oom_score_adj),
    }


def command_line(config: ContainerConfig, image: ImageConfig) -> list[str]:
    """Return what is run: an entrypoint that says something discards the image's command, too.

    An empty one takes the image's entrypoint away and keeps its command, as Docker does; an
    empty command says nothing.
    """
    entrypoint = image.entrypoint if config.entrypoint is None else config.entrypoint
    given = config.command or (() if config.entrypoint else image.command)
    argv = [*entrypoint, *given]
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
    """Return where it is run. Raises InvalidError for a path that leads out or into ``/proc``."""
    return checked(config.working_dir or image.working_dir or "/", config.id)


def environment(config: ContainerConfig, image: ImageConfig, user: ResolvedUser) -> dict[str, str]:
    """Return the variables of the main process, in order of growing authority."""
    found = {"PATH": PATH, "HOSTNAME": own_name(config)}
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


@cache
def _throttles() -> tuple[str, ...]:
    """Return where each processor tells how hot it is: that gives away what others compute."""
    found = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle")
    return tuple(sorted(map(str, found)))


def _system_mounts(config: ContainerConfig, scratch: Path) -> list[dict[str, Any]]:
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
        *shared_memory(config, scratch),
        system("/sys", "sysfs", [*safe, *readonly]),
        system("/sys/fs/cgroup", "cgroup", [*safe, "relatime", *readonly]),
    ]
