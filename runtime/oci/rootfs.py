"""What a container sees as its files: layers under an overlay, and small files on top.

Everything is blocking and is run beside the event loop.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import InvalidError
from runtime.oci.mounts import bind
from runtime.oci.namespaces import own_name
from runtime.syscalls import MNT_DETACH, MS_NODEV, mount, umount2
from runtime.types import ContainerConfig, MountKind

RUNTIMES_OWN = ("dev", "proc", "sys")
OPTIONS = 4000
"""Bytes of options a mount may have, a little less than a page."""

O_FOLDER = os.O_PATH | os.O_DIRECTORY


def mount_root(folder: Path, layers: Sequence[Path]) -> Path:
    """Mount the overlay of ``layers`` (lowest first) in ``folder`` and return where.

    Raises InvalidError for a root that leads what is mounted or made in it elsewhere.
    """
    upper, work, merged = folder / "upper", folder / "work", folder / "merged"
    for directory in (upper, work, merged):
        directory.mkdir(exist_ok=True, mode=0o755)
    if merged.is_mount():
        _check_root(merged, folder.name)
        return merged
    below = [str(layer).replace(":", "\\:") for layer in reversed(layers)]
    above = f"upperdir={upper},workdir={work}"
    with contextlib.ExitStack() as stack:
        if len(":".join(below)) + len(above) > OPTIONS:
            # All options share one page, and the names of many layers do not fit into it.
            below = [
                f"/proc/self/fd/{stack.enter_context(_opened(str(layer), O_FOLDER))}"
                for layer in layers
            ]
            below.reverse()
        options = f"lowerdir={':'.join(below)},{above}"
        mount("overlay", merged, "overlay", MS_NODEV, options)
    _check_root(merged, folder.name)
    return merged


def _check_root(root: Path, container: str) -> None:
    """Refuse links where runtimes make and mount things.

    An image can bring them, and so can a container that ran: a runtime that follows one
    writes on the host: runc 1.1 makes the links of /dev where it leads.
    """
    for name in RUNTIMES_OWN:
        try:
            mode = os.lstat(root / name).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            raise InvalidError(
                "start container",
                container,
                f"`/{name}` in it is no directory, but a way to elsewhere",
                hint="the image is broken or hostile; a container that did this to itself is"
                " made anew by `up --force-recreate`",
                code="rootfs_symlink",
            )


def unmount_root(folder: Path) -> None:
    """Undo :func:`mount_root`; what is not mounted is unmounted."""
    merged = folder / "merged"
    while merged.is_mount():
        umount2(merged, MNT_DETACH)


def write_files(folder: Path, config: ContainerConfig) -> list[dict[str, Any]]:
    """Write hosts, hostname, resolv.conf and carried contents; return their mounts."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o711)
    name = own_name(config)
    texts = {
        "/etc/hosts": _hosts(config, name),
        "/etc/hostname": (f"{name}.{config.domainname}" if config.domainname else name) + "\n",
        "/etc/resolv.conf": _resolv_conf(config),
    }
    own = {given.target for given in config.mounts}
    mounts = []
    for number, (target, text) in enumerate(texts.items()):
        path = folder / str(number)
        path.write_text(text)
        path.chmod(0o644)
        if target not in own:
            mounts.append(bind(path, target, ["rw", "nosuid", "nodev", "noexec"]))
    carried = [given for given in config.mounts if given.kind is MountKind.FILE]
    for number, given in enumerate(carried):
        path = folder / f"file-{number}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(given.content)
            os.fchown(handle, given.uid or 0, given.gid or 0)
            os.fchmod(handle, 0o444 if given.mode is None else given.mode & 0o555)
        mounts.append(bind(path, given.target, ["ro", "nosuid", "nodev", "noexec"]))
    return mounts


@contextlib.contextmanager
def _opened(name: str, flags: int) -> Iterator[int]:
    fd = os.open(name, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _hosts(config: ContainerConfig, name: str) -> str:
    if config.netns is None:
        # Who has the host's network knows the names the host knows.
        lines = Path("/etc/hosts").read_text().splitlines()
    else:
        names = f"{name}.{config.domainname} {name}" if config.domainname else name
        lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
        lines += [f"{address}\t{names}" for address in config.addresses[:1]]
    lines += [f"{address}\t{name}" for name, address in config.extra_hosts]
    return "\n".join(lines) + "\n"


def _resolv_conf(config: ContainerConfig) -> str:
    if not config.nameservers and config.netns is None:
        return Path("/etc/resolv.conf").read_text()
    lines = [f"nameserver {address}" for address in config.nameservers]
    if config.dns_search:
        lines.append(f"search {' '.join(config.dns_search)}")
    if config.nameservers or config.dns_options:
        lines.append(f"options {' '.join(config.dns_options or ('ndots:0',))}")
    if any("\n" in line for line in lines):
        raise InvalidError("write", "/etc/resolv.conf", "a DNS setting holds a line break")
    return "\n".join(lines) + "\n"
