"""Named directories that outlive containers: ``volumes/<id>/_data`` and a record beside it.

A volume is made and unmade beside its place and moved there, or away, in one step: whatever
stands in its place is whole, and nothing else is ever deleted. What its options say is mounted
over its directory for as long as a container uses it.

The directory above is closed to everybody but root, so that a setuid file in a volume can
be reached only by those who have the volume mounted.
"""

import errno
import json
import os
import shutil
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from typing_extensions import override

from runtime.drivers import VolumeDriver
from runtime.errors import (
    ConflictError,
    DriverError,
    InvalidError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from runtime.files import in_thread, read_json, write_atomic
from runtime.mountinfo import is_mount_point, mount_points, unmount_below
from runtime.mountoptions import MountCall, parse_mount_options
from runtime.syscalls import MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, mount
from runtime.types import ContainerId, Instance, VolumeConfig, VolumeFacts, VolumeId

LONGEST_NAME = 255
"""Bytes a filesystem takes (NAME_MAX)."""
CAUSES = {
    errno.ENODEV: "this kernel has no such filesystem",
    errno.ENOENT: "there is no such device or directory",
    errno.ENOTBLK: "that is no block device",
    errno.EINVAL: "the filesystem does not take these options, or the device is none of its kind",
    errno.EBUSY: "the device is in use",
}

KINDS: Mapping[int, type[DriverError]] = {
    errno.ENODEV: UnsupportedError,
    errno.ENOENT: NotFoundError,
    errno.ENOTBLK: InvalidError,
    errno.EINVAL: InvalidError,
}
"""What no patience will change; a file server may still come up."""


class Volumes(VolumeDriver):
    """The local volumes of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Keep volumes below the instance's data directory."""
        self._root = instance.data / "volumes"
        self._passing = instance.data / "volumes.passing"
        self._locks: defaultdict[VolumeId, threading.Lock] = defaultdict(threading.Lock)
        self._users: defaultdict[VolumeId, set[ContainerId]] = defaultdict(set)

    def open(self) -> None:
        """Finish what an earlier daemon was killed in: making and unmaking."""
        if self._passing.exists():
            unmount_below(self._passing)
        shutil.rmtree(self._passing, ignore_errors=True)

    @override
    async def list(self) -> tuple[VolumeFacts, ...]:
        return await in_thread(self._list)

    @override
    async def create(self, config: VolumeConfig) -> None:
        if config.options:
            parse_mount_options(config.id, config.options, resolve=str)
        await in_thread(self._create, config)

    @override
    async def remove(self, volume: VolumeId) -> None:
        await in_thread(self._remove, volume)

    def path(self, volume: VolumeId) -> Path:
        """Return where the content of a volume is, whether it exists or not."""
        return self._folder(volume) / "_data"

    # ── for containers (blocking) ────────────────────────────────────────────────────────

    def claim(self, volume: VolumeId, user: ContainerId) -> None:
        """Note that a container uses a volume, without touching it."""
        self._users[volume].add(user)

    def attach(self, volume: VolumeId, user: ContainerId) -> Path:
        """Return where the content of a volume is, with what its options say mounted there.

        Raises NotFoundError for a volume that does not exist.
        """
        content = self.path(volume)
        if content.is_symlink():
            raise ConflictError("mount volume", volume, "its directory has become a link")
        if not content.is_dir():
            raise NotFoundError("mount volume", volume, "it does not exist")
        with self._locks[volume]:
            self.claim(volume, user)
            options = self.options(volume)
            if options and not is_mount_point(content):
                call = parse_mount_options(volume, options, resolve=_address_of)
                _mount(volume, call, content)
        return content

    def release(self, user: ContainerId) -> None:
        """Forget a container, and let go of what was mounted for it alone."""
        for volume, users in list(self._users.items()):
            if user not in users:
                continue
            with self._locks[volume]:
                users.discard(user)
                if not users:
                    del self._users[volume]
                    if self.options(volume):
                        unmount_below(self._folder(volume))

    def release_unused(self) -> None:
        """Let go of what is mounted for nobody: an earlier daemon was killed in between."""
        for point in mount_points():
            place = Path(point)
            if self._root in place.parents:
                volume = VolumeId(place.relative_to(self._root).parts[0])
                if volume not in self._users:
                    unmount_below(self._folder(volume))

    def options(self, volume: VolumeId) -> Mapping[str, str]:
        """Return a volume's options; none for one that does not exist."""
        record = read_json(self._folder(volume) / "volume.json") or {}
        return cast("Mapping[str, str]", record.get("options", {}))

    @contextmanager
    def filling(self, volume: VolumeId) -> Iterator[Path]:
        """Be the only one to fill a volume; yield the file that says it is not done yet."""
        with self._locks[volume]:
            yield self._folder(volume) / "filling"

    # ── inside (blocking) ────────────────────────────────────────────────────────────────

    def _list(self) -> tuple[VolumeFacts, ...]:
        if not self._root.is_dir():
            return ()
        found = []
        for folder in sorted(self._root.iterdir()):
            record = read_json(folder / "volume.json")
            if record is None:
                continue
            found.append(
                VolumeFacts(
                    id=VolumeId(folder.name),
                    path=folder / "_data",
                    labels=cast("dict[str, str]", record.get("labels", {})),
                    created_wall=cast("float", record.get("created_wall", 0.0)),
                    options=cast("dict[str, str]", record.get("options", {})),
                )
            )
        return tuple(found)

    def _create(self, config: VolumeConfig) -> None:
        folder = self._folder(config.id)
        with self._locks[config.id]:
            if read_json(folder / "volume.json") is not None:
                return
            document: dict[str, object] = {"labels": {**config.labels}, "created_wall": time.time()}
            if config.options:
                document["options"] = {**config.options}
            record = json.dumps(document).encode()
            if (folder / "_data").is_dir():
                # Its record was lost or broken; what it holds is somebody's data all the same.
                write_atomic(folder / "volume.json", record, sync=True)
                return
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            making = self._aside(config.id)
            (making / "_data").mkdir(parents=True, mode=0o755)
            making.chmod(0o700)
            write_atomic(making / "volume.json", record, sync=True)
            making.rename(folder)

    def _remove(self, volume: VolumeId) -> None:
        folder = self._folder(volume)
        if folder.is_symlink():
            raise ConflictError("remove volume", volume, "its directory has become a link")
        if not folder.exists():
            return
        with self._locks[volume]:
            # What is mounted over it is somebody else's data, and must not go with it.
            unmount_below(folder)
            if is_mount_point(folder / "_data"):
                raise ConflictError("remove volume", volume, "something is still mounted there")
            going = self._aside(volume)
            folder.rename(going)
            shutil.rmtree(going)

    def _aside(self, volume: VolumeId) -> Path:
        """Return a free place beside the volumes, on the same filesystem."""
        self._passing.mkdir(exist_ok=True, mode=0o700)
        place = self._passing / volume
        if place.exists():
            shutil.rmtree(place)
        return place

    def _folder(self, volume: VolumeId) -> Path:
        sane = "/" not in volume and "\0" not in volume and volume not in {"", ".", ".."}
        if not sane or len(os.fsencode(volume)) > LONGEST_NAME:
            raise ConflictError("use volume", volume, "not a volume name")
        return self._root / volume


def _mount(volume: VolumeId, call: MountCall, place: Path) -> None:
    try:
        mount(call.source, place, call.fstype, call.flags, call.data)
        if call.flags & MS_BIND and call.flags & ~(MS_BIND | MS_REC):
            # A bind takes its flags in a second step (mount(2)).
            mount(call.source, place, None, (call.flags & ~MS_REC) | MS_REMOUNT)
        if call.propagation:
            mount("none", place, None, call.propagation)
    except OSError as error:
        cause = CAUSES.get(error.errno or 0, error.strerror or "mount(2) failed")
        raise KINDS.get(error.errno or 0, UnavailableError)(
            "mount volume",
            volume,
            f"`{call.source}` cannot be mounted as `{call.fstype}`: {cause}",
            hint=_hint(call, error.errno),
        ) from error


def _hint(call: MountCall, number: int | None) -> str:
    if number == errno.ENODEV:
        return f"`modprobe {call.fstype}` loads it where the kernel has it as a module"
    if number == errno.ENOENT and not call.flags & MS_BIND:
        return "see `lsblk` for what there is"
    access = "ro" if call.flags & MS_RDONLY else "rw"
    options = ",".join(one for one in (access, call.data) if one)
    return f"try `mount -t {call.fstype} -o {options} {call.source} /mnt` by hand"


def _address_of(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidError("mount volume", host, "its address cannot be found") from error
    return str(found[0][4][0])
