"""Volumes in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from runtime.drivers import VolumeDriver
from runtime.errors import ConflictError
from runtime.mountoptions import parse_mount_options
from runtime.testing.faults import Faults
from runtime.types import VolumeConfig, VolumeFacts, VolumeId


@dataclass(slots=True, kw_only=True)
class FakeVolumes(Faults, VolumeDriver):
    """Keeps the promises of :class:`VolumeDriver`; the paths it reports do not exist."""

    clock: Callable[[], float]
    _volumes: dict[VolumeId, VolumeFacts] = field(default_factory=dict)

    @override
    async def list(self) -> tuple[VolumeFacts, ...]:
        await self.look("list")
        return tuple(facts for _, facts in sorted(self._volumes.items()))

    @override
    async def create(self, config: VolumeConfig) -> None:
        volume = config.id
        await self.change("create", volume)
        _check(volume)
        if config.options:
            parse_mount_options(volume, config.options, resolve=str)
        if volume not in self._volumes:
            self._volumes[volume] = VolumeFacts(
                id=volume,
                path=Path("/nowhere") / volume,
                labels=dict(config.labels),
                options=dict(config.options),
                created_wall=self.clock(),
            )

    @override
    async def remove(self, volume: VolumeId) -> None:
        await self.change("remove", volume)
        _check(volume)
        self._volumes.pop(volume, None)

    def exists(self, volume: VolumeId) -> bool:
        """Whether there is such a volume."""
        return volume in self._volumes


def _check(volume: VolumeId) -> None:
    if "/" in volume or volume in {"", ".", ".."}:
        raise ConflictError("use volume", volume, "not a volume name")
