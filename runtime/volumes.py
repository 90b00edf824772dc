"""Named directories that outlive containers: ``volumes/<id>/_data`` and a label beside it.

The directory above is closed to everybody but root, so that a setuid file in a volume can
be reached only by those who have the volume mounted.
"""

import json
import shutil
import time
from pathlib import Path
from typing import cast

from typing_extensions import override

from runtime.drivers import VolumeDriver
from runtime.errors import ConflictError
from runtime.files import in_thread, read_json, write_atomic
from runtime.types import Instance, VolumeFacts, VolumeId


class Volumes(VolumeDriver):
    """The local volumes of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Keep volumes below the instance's data directory."""
        self._root = instance.data / "volumes"

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
        if (folder / "volume.json").exists():
            return
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        (folder / "_data").mkdir(exist_ok=True, mode=0o755)
        record = {"labels": labels, "created_wall": time.time()}
        write_atomic(folder / "volume.json", json.dumps(record).encode(), sync=True)

    def _remove(self, volume: VolumeId) -> None:
        folder = self._folder(volume)
        # The record goes first: what is half removed is no volume any more, and goes next time.
        (folder / "volume.json").unlink(missing_ok=True)
        if folder.is_symlink():
            raise ConflictError("remove volume", volume, "its directory has become a link")
        if folder.exists():
            shutil.rmtree(folder)

    def _folder(self, volume: VolumeId) -> Path:
        if "/" in volume or volume in {"", ".", ".."}:
            raise ConflictError("use volume", volume, "not a volume name")
        return self._root / volume
