"""Named directories that outlive containers: ``volumes/<id>/_data`` and a label beside it.

A volume is made and unmade beside its place and moved there, or away, in one step: whatever
stands in its place is whole, and nothing else is ever deleted.

The directory above is closed to everybody but root, so that a setuid file in a volume can
be reached only by those who have the volume mounted.
"""

import json
import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from typing_extensions import override

from runtime.drivers import VolumeDriver
from runtime.errors import ConflictError
from runtime.files import in_thread, read_json, write_atomic
from runtime.types import Instance, VolumeFacts, VolumeId

LONGEST_NAME = 255
"""Bytes a filesystem takes (NAME_MAX)."""


class Volumes(VolumeDriver):
    """The local volumes of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Keep volumes below the instance's data directory."""
        self._root = instance.data / "volumes"
        self._passing = instance.data / "volumes.passing"
        self._filled: defaultdict[VolumeId, threading.Lock] = defaultdict(threading.Lock)

    def open(self) -> None:
        """Finish what an earlier daemon was killed in: making and unmaking."""
        shutil.rmtree(self._passing, ignore_errors=True)

    @override
    async def list(self) -> tuple[VolumeFacts, ...]:
        return await in_thread(self._list)

    @override
    async def create(self, volume: VolumeId, labels: dict[str, str]) -> None:
        await in_thread(self._create, volume, labels)

    @override
    async def remove(self, volume: VolumeId) -> None:
        await in_thread(self._remove, volume)

    def path(self, volume: VolumeId) -> Path:
        """Return where the content of a volume is, whether it exists or not."""
        return self._folder(volume) / "_data"

    @contextmanager
    def filling(self, volume: VolumeId) -> Iterator[Path]:
        """Be the only one to fill a volume; yield the file that says it is not done yet."""
        with self._filled[volume]:
            yield self._folder(volume) / "filling"

    def _list(self) -> tuple[VolumeFacts, ...]:
        if not self._root.is_dir():
            return ()
        found = []
        for folder in sorted(self._root.iterdir()):
            record = read_json(folder / "volume.json")
            if record is None:
                continue
            labels = cast("dict[str, str]", record.get("labels", {}))
            created = cast("float", record.get("created_wall", 0.0))
            found.append(
                VolumeFacts(
                    id=VolumeId(folder.name),
                    path=folder / "_data",
                    labels=labels,
                    created_wall=created,
                )
            )
        return tuple(found)

    def _create(self, volume: VolumeId, labels: dict[str, str]) -> None:
        folder = self._folder(volume)
        if read_json(folder / "volume.json") is not None:
            return
        record = json.dumps({"labels": labels, "created_wall": time.time()}).encode()
        if (folder / "_data").is_dir():
            # Its record was lost or broken; what it holds is somebody's data all the same.
            write_atomic(folder / "volume.json", record, sync=True)
            return
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        making = self._aside(volume)
        (making / "_data").mkdir(parents=True, mode=0o755)
        making.chmod(0o700)
        write_atomic(making / "volume.json", record, sync=True)
        making.rename(folder)

    def _remove(self, volume: VolumeId) -> None:
        folder = self._folder(volume)
        if folder.is_symlink():
            raise ConflictError("remove volume", volume, "its directory has become a link")
        if folder.exists():
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
