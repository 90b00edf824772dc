"""What a service may ask of its processes, and what of that cannot be carried out. Pure."""

import re
from collections.abc import Iterator

from orchestrator.spec.models import Service, StackFile
from orchestrator.spec.problems import suggest
from orchestrator.spec.tree import Path, Refusal
from orchestrator.spec.values.confinement import CDI, GPU_KINDS, OF_CDI, option, share

STEERING = ("run.oci.", "org.systemd.", "io.podman.", "module.wasm.")
"""Beginnings of annotations by which a container would command its own runtime."""

CAPABILITIES = (
    "ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF",
    "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
    "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE",
    "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE",
    "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "WAKE_ALARM",
)  # fmt: skip
ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
    "rss", "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip
OF_IPC = re.compile(r"kernel\.(msg(max|mnb|mni)|sem|shm(all|max|mni|_rmid_forced))|fs\.mqueue\..+")
OF_NETWORK = re.compile(r"net\..+")
RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
PERMISSIONS = re.compile(r"[rwm]{0,3}")
DOMAIN = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?")
RUNTIME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*|/[^\x00\s]+")
IN_MEMORY = re.compile(
    r"(no)?(exec|suid|dev|atime|diratime)|r[ow]|(strict|rel)atime|(nr_(inodes|blocks)|size)=[0-9]+[kKmMgG%]?"
    r"|mode=[0-7]{1,4}|[ug]id=[0-9]+|mpol=[a-z0-9:=,-]+"
)


def process_refusals(stack: StackFile, service: Service, path: Path) -> Iterator[Refusal]:
    """Yield everything about a service's processes that cannot be carried out."""
    yield from _names(service, path)
    yield from _shares(stack, service, path)
    yield from _sysctls(service, path)
    yield from _security(service, path)
    yield from _devices(service, path)
    for name in service.annotations:
        if name.startswith(STEERING):
            hint = "leave it out: what a container may do stands in the file's own keys"
            yield (*path, "annotations", name), f"`{name}` would steer the runtime", hint
    for number, text in enumerate(service.tmpfs):
        for word in text.partition(":")[2].split(","):
            if word and not IN_MEMORY.fullmatch(word):
                hint = "there are size, mode, uid, gid, exec, suid, dev, ro and their opposites"
                cause = f"`{word[:40]}` is no option of a directory in memory"
                yield (*path, "tmpfs", str(number)), cause, hint


def _names(service: Service, path: Path) -> Iterator[Refusal]:
    for key in ("cap_add", "cap_drop"):
        for number, name in enumerate(getattr(service, key)):
            short = name.upper().removeprefix("CAP_")
            if short not in CAPABILITIES:
                hint = suggest(short, CAPABILITIES)
                yield (*path, key, str(number)), f"`{name[:40]}` is no capability", hint
    for name in service.ulimits:
        if name not in ULIMITS:
            yield (
                (*path, "ulimits", name),
                f"there is no limit `{name[:40]}`",
                suggest(name, ULIMITS),
            )
    if service.domainname and not DOMAIN.fullmatch(service.domainname):
        cause = f"`{service.domainname[:60]}` is no domain"
        yield (*path, "domainname"), cause, "use at most 64 letters, digits, `.` and `-`"
    if service.runtime and not RUNTIME.fullmatch(service.runtime):
        cause = f"`{service.runtime[:60]}` is no runtime"
        yield (*path, "runtime"), cause, "name one, like `crun`, or write its absolute path"
    if service.working_dir and not service.working_dir.startswith("/"):
        cause = f"`{service.working_dir[:60]}` is no absolute path"
        yield (*path, "working_dir"), cause, "write one like `/app`"


def _shares(stack: StackFile, service: Service, path: Path) -> Iterator[Refusal]:
    alone = {
        "network_mode": ("", "bridge", "host", "none"),
        "ipc": ("", "private", "shareable", "host", "none"),
        "pid": ("", "private", "host"),
        "uts": ("", "private", "host"),
        "userns_mode": ("", "host"),
    }
    for key, words in alone.items():
        value = str(getattr(service, key))
        given = share(value)
        joins = key in ("network_mode", "ipc", "pid") and given.kind in ("service", "container")
        if joins and given.name:
            continue
        if value not in words:
            several = [*words[1:], *(("service:NAME", "container:NAME") if len(words) > 2 else ())]
            hint = "there are no user namespaces" if key == "userns_mode" else None
            cause = f"`{value[:60]}` is not one of {', '.join(several)}"
            yield (*path, key), cause, hint
    wanted = share(service.ipc)
    donor = stack.services.get(wanted.name) if wanted.kind == "service" else None
    if donor is not None and donor.ipc != "shareable":
        cause = f"service `{wanted.name}` does not share its memory"
        yield (*path, "ipc"), cause, f"write `ipc: shareable` in `{wanted.name}`"
    if service.uts == "host" and service.hostname:
        hint = "leave one of them out: a service with the host's names cannot change them"
        yield (*path, "hostname"), "`hostname` and `uts: host` exclude each other", hint
    joined = share(service.network_mode)
    for key in ("ports", "extra_hosts", "dns", "dns_opt", "dns_search", "mac_address"):
        if joined.name and getattr(service, key):
            cause = f"a service in the network of another one has no `{key}` of its own"
            hint = f"write it in {joined.kind} `{joined.name}`, whose network it is"
            yield (*path, key), cause, hint


def _sysctls(service: Service, path: Path) -> Iterator[Refusal]:
    for name in service.sysctls:
        where = (*path, "sysctls", name)
        if OF_NETWORK.fullmatch(name):
            if service.network_mode == "host":
                hint = "set it on the host, or leave out `network_mode: host`"
                yield where, f"`{name}` would be the host's own", hint
        elif OF_IPC.fullmatch(name):
            if service.ipc == "host":
                yield where, f"`{name}` would be the host's own", "leave out `ipc: host`"
        elif name in ("kernel.hostname", "kernel.domainname"):
            key = name.removeprefix("kernel.")
            yield where, f"`{name}` has a key of its own", f"write `{key}`"
        else:
            hint = "set it on the host: it is the same for all containers"
            yield where, f"`{name[:60]}` is no container's own", hint


def _security(service: Service, path: Path) -> Iterator[Refusal]:
    known = ("no-new-privileges", "seccomp", "apparmor", "label", "systempaths")
    for number, text in enumerate(service.security_opt):
        where = (*path, "security_opt", str(number))
        name, value = option(text)
        if name not in known:
            yield where, f"there is no security option `{name[:40]}`", suggest(name, known)
        elif name == "no-new-privileges" and value not in ("true", "false"):
            yield where, f"`{value[:40]}` is neither true nor false", None
        elif name == "systempaths" and value != "unconfined":
            yield where, f"`{value[:40]}` is not `unconfined`", None
        elif not value or (value == "true" and name in ("seccomp", "apparmor", "label")):
            yield where, f"`{name}` says nothing", f"write `{name}=...`"


def _devices(service: Service, path: Path) -> Iterator[Refusal]:
    for number, device in enumerate(service.devices):
        where = (*path, "devices", str(number))
        if CDI.fullmatch(device.source):
            continue
        if not device.source.startswith("/"):
            hint = "write a path like /dev/fuse, or a name like vendor.com/class=name"
            yield where, f"`{device.source[:60]}` is no device", hint
        if device.target and not device.target.startswith("/"):
            yield where, f"`{device.target[:60]}` is no absolute path", None
        if not PERMISSIONS.fullmatch(device.permissions):
            cause = f"`{device.permissions[:20]}` is not made of r, w and m"
            yield where, cause, "leave it out for all three"
    for number, rule in enumerate(service.device_cgroup_rules):
        if not RULE.fullmatch(rule):
            cause = f"`{rule[:40]}` is no rule about devices"
            yield (*path, "device_cgroup_rules", str(number)), cause, "write one like `c 1:3 mr`"
    for place, request in service.device_requests():
        where = (*path, *place)
        if request.driver == OF_CDI:
            if not request.device_ids:
                yield where, "the driver `cdi` needs `device_ids`", "name the devices there"
            for name in request.device_ids:
                if not CDI.fullmatch(name):
                    cause = f"`{name[:60]}` is no name of a device"
                    yield where, cause, "write one like vendor.com/class=name"
        elif request.driver not in GPU_KINDS:
            hint = "there are nvidia, amd and cdi"
            yield where, f"there is no driver `{request.driver[:40]}`", hint
        elif not request.driver and place[0] == "deploy" and "gpu" not in request.capabilities:
            yield where, "nobody provides devices with these capabilities", "ask for `gpu`"
