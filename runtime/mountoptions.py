"""``driver_opts`` of a volume → the arguments of mount(2), as Docker's local driver reads them.

Pure, but for looking up the address of a file server. What is no flag goes to the filesystem as
it is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from runtime.errors import InvalidError
from runtime.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC

KNOWN = ("type", "o", "device")
MS_SYNCHRONOUS, MS_MANDLOCK, MS_DIRSYNC = 0x10, 0x40, 0x80
MS_NOATIME, MS_NODIRATIME = 0x400, 0x800
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 0x20000, 0x40000, 0x80000, 0x100000
MS_RELATIME, MS_STRICTATIME = 0x200000, 0x1000000

SET = {
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "dirsync": MS_DIRSYNC,
    "mand": MS_MANDLOCK,
    "noatime": MS_NOATIME,
    "nodev": MS_NODEV,
    "nodiratime": MS_NODIRATIME,
    "noexec": MS_NOEXEC,
    "nosuid": MS_NOSUID,
    "relatime": MS_RELATIME,
    "ro": MS_RDONLY,
    "strictatime": MS_STRICTATIME,
    "sync": MS_SYNCHRONOUS,
}
CLEARED = {
    "async": MS_SYNCHRONOUS,
    "atime": MS_NOATIME,
    "dev": MS_NODEV,
    "diratime": MS_NODIRATIME,
    "exec": MS_NOEXEC,
    "nomand": MS_MANDLOCK,
    "norelatime": MS_RELATIME,
    "nostrictatime": MS_STRICTATIME,
    "rw": MS_RDONLY,
    "suid": MS_NOSUID,
    "defaults": 0,
}
PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}
REMOTE = ("nfs", "nfs4", "cifs", "smb3")


@dataclass(frozen=True, slots=True, kw_only=True)
class MountCall:
    """What mount(2) is called with. ``propagation`` is set by a second call."""

    source: str
    fstype: str
    flags: int = 0
    data: str = ""
    propagation: int = 0


def parse_mount_options(
    volume: str, options: Mapping[str, str], *, resolve: Callable[[str], str]
) -> MountCall:
    """Return the call for ``options``; ``resolve`` turns a host's name into its address.

    Raises InvalidError for an option that means nothing, and for one that is missing.
    """
    for name in options:
        if name not in KNOWN:
            hint = f"there are {', '.join(f'`{one}`' for one in KNOWN)}"
            raise InvalidError("mount volume", volume, f"`{name}` is no option", hint=hint)
    for name in ("type", "device"):
        if not options.get(name):
            hint = "a volume on this machine's own disk has no options at all"
            raise InvalidError("mount volume", volume, f"`{name}` is missing", hint=hint)
    flags, propagation, data = 0, 0, []
    for word in options.get("o", "").split(","):
        if word in SET:
            flags |= SET[word]
        elif word in CLEARED:
            flags &= ~CLEARED[word]
        elif word in PROPAGATION:
            propagation = PROPAGATION[word]
        elif word:
            data.append(word)
    if options["type"] in REMOTE:
        data = [_resolved(word, resolve) for word in data]
    return MountCall(
        source=options["device"],
        fstype=options["type"],
        flags=flags,
        data=",".join(data),
        propagation=propagation,
    )


def _resolved(word: str, resolve: Callable[[str], str]) -> str:
    # The kernel knows no names: it is mount.nfs that would look them up.
    name, mark, host = word.partition("=")
    if name != "addr" or not mark:
        return word
    try:
        ip_address(host)
    except ValueError:
        return f"addr={resolve(host)}"
    return word
