"""Volumes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime.types.names import VolumeId


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeConfig:
    """A named volume. ``labels`` are kept in its record and reported back.

    ``options`` are those of Docker's local driver: ``type``, ``device`` and ``o`` say what is
    mounted as its content; without any it is a directory of this machine.
    """

    id: VolumeId
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFacts:
    """A named volume found on the host. ``path`` is its content."""

    id: VolumeId
    path: Path
    labels: Mapping[str, str]
    created_wall: float
    options: Mapping[str, str] = field(default_factory=dict)
