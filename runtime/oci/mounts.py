"""A container's own mounts: checked, filled, and said in the runtime's words.

What the runtime could be led astray to by a link that is put in its way meanwhile is mounted
here first, from an open descriptor, below the container's own folder: the runtime gets a path
that nobody else can change.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.mountinfo import unmount_below
from runtime.oci.filling import fill_volume, hand_over
from runtime.oci.rootfs import mount_layers
from runtime.oci.users import ResolvedUser
from runtime.syscalls import (
    MS_BIND,
    MS_REC,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    mount,
    openat2,
)
from runtime.types import ContainerConfig, ImageFacts, Mount, MountKind, VolumeId
from runtime.volumes import Volumes

IMAGE = "image-"
"""Beginning of the names of folders where images are mounted for a container."""
RECURSIVE = {"disabled": ("bind", "ro"), "writable": ("rbind", "ro")}
"""How a bind is mounted, and read-only where it is, by what is asked of the mounts below it."""
FORBIDDING = (
    (os.ST_RDONLY, "ro"),
    (os.ST_NOSUID, "nosuid"),
    (os.ST_NODEV, "nodev"),
    (os.ST_NOEXEC, "noexec"),
)
"""Flags of a mount, with the options that set them."""
INHERITED = ("noexec", "noatime", "nodiratime", "relatime", "strictatime")
"""Options of a volume that are also said where it is mounted in a container."""
ROOT_PROPAGATION = (("shared", "shared"), ("slave", "rslave"))
"""What a container's root must be for mounts of the host to come through, or to go out."""


class OwnMounts:
    """The mounts of one container, kept below ``held`` where they cannot be left to a path."""

    def __init__(
        self,
        config: ContainerConfig,
        volumes: Volumes,
        images: Mapping[str, ImageFacts],
        *,
        folder: Path,
        held: Path,
    ) -> None:
        """Nothing is touched yet; ``folder`` is the container's own."""
        self._config = config
        self._volumes = volumes
        self._images = images
        self._folder = folder
        self._held = held

    def build(self, root: Path, user: ResolvedUser) -> list[dict[str, Any]]:
        """Check and fill what is mounted, and describe it, shallow targets first."""
        found = []
        order = sorted(enumerate(self._config.mounts), key=lambda one: one[1].target.count("/"))
        for number, given in order:
            match given.kind:
                case MountKind.TMPFS:
                    found.append(_tmpfs(given))
                case MountKind.BIND:
                    source = self._source(given)
                    found.append(bind(source, given.target, *_bind_options(given, source)))
                case MountKind.VOLUME:
                    found.append(self._volume(number, given, root, user))
                case MountKind.IMAGE:
                    found.append(self._image(number, given))
                case MountKind.FILE:
                    pass
        return found

    def hold(self) -> None:
        """Mount what is not left to a path, anew: what an earlier run left is let go."""
        if self._held.exists():
            unmount_below(self._held)
            shutil.rmtree(self._held)
        for number, given in enumerate(self._config.mounts):
            if given.kind is MountKind.VOLUME:
                content = self._volumes.attach(VolumeId(given.source), self._config.id)
            elif given.kind is MountKind.IMAGE:
                content = self._mount_image(number, given)
            else:
                continue
            if given.subpath:
                self._held.mkdir(exist_ok=True, mode=0o700)
                hold_below(content, given.subpath, self._held / str(number))

    def _volume(self, number: int, given: Mount, root: Path, user: ResolvedUser) -> dict[str, Any]:
        volume = VolumeId(given.source)
        content = self._volumes.attach(volume, self._config.id)
        options = self._volumes.options(volume)
        asked = options.get("o", "").split(",")
        # Unless somebody asked for more: a setuid file or a device in it is no way up.
        safe = [f"no{one}" for one in ("suid", "dev") if one not in asked]
        # A bind does not inherit the flags of what it binds.
        kept = [one for one in asked if one in INHERITED]
        only = given.read_only or "ro" in asked
        access = ["ro" if only else "rw", *safe, *kept, "rprivate"]
        if given.subpath:
            os.close(open_below(content, given.subpath, given.source))
            return bind(self._held / str(number), given.target, access)
        with self._volumes.filling(volume) as unfinished:
            if not given.nocopy and "ro" not in asked:
                fill_volume(root, given.target, content, unfinished=unfinished)
            if not options:
                hand_over(root, given.target, content, user, filled=not given.nocopy)
        return bind(content, given.target, access)

    def _image(self, number: int, given: Mount) -> dict[str, Any]:
        content = self._mount_image(number, given)
        access = ["ro" if given.read_only else "rw", "nodev", "rprivate"]
        if given.subpath:
            os.close(open_below(content, given.subpath, given.source))
            return bind(self._held / str(number), given.target, access)
        return bind(content, given.target, access)

    def _mount_image(self, number: int, given: Mount) -> Path:
        folder = self._folder / f"{IMAGE}{number}"
        folder.mkdir(exist_ok=True, mode=0o700)
        return mount_layers(folder, self._images[given.source].layers)

    def _source(self, given: Mount) -> Path:
        source = Path(given.source)
        if source.exists():
            return source
        if source.suffix == ".sock":
            raise NotFoundError(
                "mount",
                given.source,
                "there is no such socket on the host",
                hint=f"`{self._config.id}` wants another engine's socket at `{given.target}`:"
                " start that engine, or leave the service out",
            )
        if not given.create_host_path:
            raise NotFoundError(
                "mount",
                given.source,
                "it does not exist on the host",
                hint=f"`{self._config.id}` asks for it at `{given.target}`:"
                " make it, or leave `create_host_path: false` out",
            )
        with contextlib.suppress(FileExistsError):
            source.mkdir(parents=True, mode=0o755)
        if not source.is_dir():
            raise ConflictError("mount", given.source, "it cannot be made into a directory")
        return source


def bind(source: Path, target: str, options: Sequence[str], how: str = "rbind") -> dict[str, Any]:
    """Return a bind mount in the spec's form."""
    return {
        "destination": target,
        "type": "bind",
        "source": str(source),
        "options": [how, *options],
    }


def root_propagation(mounts: Sequence[Mount]) -> str | None:
    """Return the propagation a container's root needs for its mounts; None for the usual one."""
    for word, needed in ROOT_PROPAGATION:
        if any(one.endswith(word) for given in mounts for one in given.options):
            return needed
    return None


def open_below(top: Path, subpath: str, whole: str) -> int:
    """Open a directory or file of a volume or an image, wherever its links lead inside.

    No link leads out of it.
    """
    with contextlib.ExitStack() as stack:
        folder = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        stack.callback(os.close, folder)
        try:
            resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
            return openat2(folder, subpath.lstrip("/") or ".", os.O_PATH, resolve)
        except FileNotFoundError:
            raise NotFoundError(
                "mount part of",
                whole,
                f"there is no `{subpath}` in it",
                hint="a container that mounts all of a volume can make it",
            ) from None
        except OSError as error:
            cause = f"`{subpath}` in it cannot be opened: {error.strerror}"
            raise InvalidError("mount part of", whole, cause) from error


def hold_below(top: Path, subpath: str, place: Path) -> None:
    """Bind a directory or file of a volume at ``place``, by its descriptor."""
    fd = open_below(top, subpath, top.parent.name)
    try:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            place.mkdir(mode=0o700)
        else:
            place.touch(mode=0o600)
        mount(f"/proc/self/fd/{fd}", place, None, MS_BIND | MS_REC)
    finally:
        os.close(fd)


def inherited_options(source: Path) -> list[str]:
    """Return what a mount of the host's does not allow, which no bind of it may allow either.

    A runtime may bind with exactly the flags it is told, and drop those of what it binds.
    """
    flags = os.statvfs(source).f_flag
    return [option for flag, option in FORBIDDING if flags & flag]


def _bind_options(given: Mount, source: Path) -> tuple[list[str], str]:
    how, readonly = RECURSIVE.get(given.recursive, ("rbind", "rro"))
    kept = inherited_options(source)
    access = [readonly] if given.read_only else [] if "ro" in kept else ["rw"]
    propagation = given.options or ("rprivate",)
    if how == "bind":
        # It is one mount; a runtime may take a recursive word for leave to bind those below, too.
        propagation = tuple(one.removeprefix("r") for one in propagation)
    return [*kept, *access, *propagation], how


def _tmpfs(given: Mount) -> dict[str, Any]:
    options = [one for one in ("nosuid", "nodev", "noexec") if one[2:] not in given.options]
    options += [one for one in given.options if one not in options]
    if given.read_only:
        options.append("ro")
    fields: Mapping[str, int | None] = {"size": given.size, "uid": given.uid, "gid": given.gid}
    options += [f"{name}={value}" for name, value in fields.items() if value is not None]
    if given.mode is not None:
        options.append(f"mode={given.mode:o}")
    return {
        "destination": given.target,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": options,
    }
