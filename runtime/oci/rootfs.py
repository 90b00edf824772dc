"""What a container sees as its files: layers under an overlay, mounts on top, small files.

The one place that mounts on behalf of containers. Everything is blocking and is run beside
the event loop.
"""

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.oci.namespaces import own_name
from runtime.syscalls import (
    MNT_DETACH,
    MS_NODEV,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    mount,
    openat2,
    umount2,
)
from runtime.types import ContainerConfig, Mount, MountKind, VolumeId
from runtime.volumes import Volumes

RUNTIMES_OWN = ("dev", "proc", "sys")
SAFE_FLAGS = {"nosuid": "suid", "nodev": "dev", "noexec": "exec"}
"""What a directory in memory is mounted with, unless the opposite is asked for."""
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


def unmount_below(folder: Path) -> None:
    """Unmount everything that is mounted somewhere below ``folder``, the last one first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for line in reversed(lines):
        # White space in a path is written as three octal digits (proc_pid_mountinfo(5)).
        point = re.sub(r"\\([0-7]{3})", lambda one: chr(int(one[1], 8)), line.split()[4])
        if point.startswith(f"{folder}/"):
            umount2(point, MNT_DETACH)


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


def build_mounts(
    config: ContainerConfig, root: Path, volumes: Volumes, image_volumes: Sequence[str]
) -> list[dict[str, Any]]:
    """Check, fill and describe the container's own mounts, shallow targets first."""
    del image_volumes  # the image's own `VOLUME` paths stay in the writable layer
    mounts: list[dict[str, Any]] = []
    for given in sorted(config.mounts, key=lambda one: one.target.count("/")):
        access = "ro" if given.read_only else "rw"
        match given.kind:
            case MountKind.TMPFS:
                mounts.append(_tmpfs(given))
            case MountKind.BIND:
                source = _bind_source(config, given)
                mounts.append(
                    bind(source, given.target, [access, *(given.options or ("rprivate",))])
                )
            case MountKind.VOLUME:
                content = volumes.path(VolumeId(given.source))
                if not content.is_dir():
                    raise NotFoundError("mount volume", given.source, "it does not exist")
                if not given.nocopy:
                    fill_volume(root, given.target, content)
                options = [access, "nosuid", "nodev", "rprivate"]
                mounts.append(bind(content, given.target, options))
            case MountKind.FILE:
                pass
    return mounts


def bind(source: Path, target: str, options: Sequence[str]) -> dict[str, Any]:
    """Return a bind mount in the spec's form."""
    return {
        "destination": target,
        "type": "bind",
        "source": str(source),
        "options": ["rbind", *options],
    }


def fill_volume(root: Path, target: str, content: Path) -> None:
    """Copy what the image has at ``target`` into a volume that is still empty.

    The path is looked up inside the root and links in what is copied stay links, so that
    an image cannot name files of the host (CVE-2022-23648). A running container may have the
    volume, too, and put links there meanwhile: nothing is reached by its path twice.
    """
    if any(content.iterdir()):
        return
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        source = openat2(
            top, target.lstrip("/") or ".", flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
        )
    except (FileNotFoundError, NotADirectoryError):
        return
    finally:
        os.close(top)
    try:
        status = os.fstat(source)
        os.chown(content, status.st_uid, status.st_gid)
        content.chmod(stat.S_IMODE(status.st_mode))
        target_top = os.open(content, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _copy_tree(source, target_top)
        finally:
            os.close(target_top)
    finally:
        os.close(source)


def _copy_tree(source: int, target: int) -> None:
    """Copy what is in one open directory into another."""
    with os.scandir(source) as entries:
        for entry in entries:
            name, status = entry.name, entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
            elif entry.is_dir(follow_symlinks=False):
                os.mkdir(name, 0o700, dir_fd=target)
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                with _opened(name, flags, source) as below, _opened(name, flags, target) as copy:
                    _copy_tree(below, copy)
                    _copy_status(copy, status)
            elif entry.is_file(follow_symlinks=False):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                with (
                    _opened(name, os.O_RDONLY | os.O_NOFOLLOW, source) as original,
                    _opened(name, flags, target) as copy,
                    open(original, "rb", closefd=False) as reading,
                    open(copy, "wb", closefd=False) as writing,
                ):
                    shutil.copyfileobj(reading, writing, 1024 * 1024)
                    writing.flush()
                    _copy_status(copy, status)


@contextlib.contextmanager
def _opened(name: str, flags: int, folder: int | None = None) -> Iterator[int]:
    fd = os.open(name, flags | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


def _copy_status(copy: int, status: os.stat_result) -> None:
    # The owner first: changing it takes the setuid bit away.
    os.fchown(copy, status.st_uid, status.st_gid)
    os.fchmod(copy, stat.S_IMODE(status.st_mode))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def _bind_source(config: ContainerConfig, given: Mount) -> Path:
    source = Path(given.source)
    if source.exists():
        return source
    if source.suffix == ".sock" or not given.create_host_path:
        raise NotFoundError(
            "mount",
            given.source,
            "it does not exist on the host",
            hint=f"`{config.id}` asks for it at `{given.target}`",
        )
    with contextlib.suppress(FileExistsError):
        source.mkdir(parents=True, mode=0o755)
    if not source.is_dir():
        raise ConflictError("mount", given.source, "it cannot be made into a directory")
    return source


def _tmpfs(given: Mount) -> dict[str, Any]:
    options = [*given.options]
    for flag, opposite in SAFE_FLAGS.items():
        if opposite not in options and flag not in options:
            options.append(flag)
    for name, value in (("size", given.size), ("uid", given.uid), ("gid", given.gid)):
        if value is not None:
            options.append(f"{name}={value}")
    if given.mode is not None:
        options.append(f"mode={given.mode:o}")
    return {
        "destination": given.target,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": options,
    }


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
