"""What a container sees of files, devices and limits."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from orchestrator.spec.models.base import (
    FileMode,
    Labels,
    Size,
    SpecModel,
    Text,
    Texts,
    Truth,
    Whole,
)


class BindOptions(SpecModel):
    """``services.*.volumes[].bind``."""

    selinux: str = Field(default="", description="SELinux label: `z` shared, `Z` private.")
    propagation: str = Field(
        default="", description="Whether mounts below it are seen on either side."
    )
    create_host_path: Truth = Field(
        default=True, description="Make the directory where it is missing."
    )
    recursive: str = Field(default="", description="Whether mounts below it come along.")


class VolumeOptions(SpecModel):
    """``services.*.volumes[].volume``."""

    labels: Labels = Field(default={}, description="Labels of an anonymous volume.")
    nocopy: Truth = Field(default=False, description="Do not fill it from the image.")
    subpath: str = Field(default="", description="The directory of the volume that is mounted.")


def _plain_mode(value: Any) -> Any:
    # Unlike everywhere else the reference takes this one as the number that is written.
    return int(value) if isinstance(value, str) and value.isdigit() else value


class TmpfsOptions(SpecModel):
    """``services.*.volumes[].tmpfs``."""

    size: Size = Field(default=0, description="How much it may hold.")
    mode: Annotated[int, BeforeValidator(_plain_mode)] = Field(
        default=0, description="Mode of its root."
    )


class ImageOptions(SpecModel):
    """``services.*.volumes[].image``."""

    subpath: str = Field(default="", description="The directory of the image that is mounted.")


class Mount(SpecModel):
    """``services.*.volumes[]``, long form."""

    type: Literal["bind", "volume", "tmpfs", "image", "npipe", "cluster"] = Field(
        description="What is mounted."
    )
    source: str = Field(default="", description="A path of the host, a volume's name, or an image.")
    target: str = Field(default="", description="Where it is in the container.")
    read_only: Truth = Field(default=False, description="Nothing can be written to it.")
    consistency: str = Field(default="", description="How soon either side sees changes.")
    bind: BindOptions = Field(default=BindOptions(), description="Only of a path of the host.")
    volume: VolumeOptions = Field(default=VolumeOptions(), description="Only of a volume.")
    tmpfs: TmpfsOptions = Field(default=TmpfsOptions(), description="Only of memory.")
    image: ImageOptions = Field(default=ImageOptions(), description="Only of an image.")


class FileMount(SpecModel):
    """``services.*.configs[]`` and ``services.*.secrets[]``, long form."""

    source: str = Field(default="", description="Name under top-level `configs` or `secrets`.")
    target: str = Field(default="", description="Its path in the container.")
    uid: Text = Field(default="", description="Who owns it.")
    gid: Text = Field(default="", description="The group that owns it.")
    mode: FileMode | None = Field(default=None, description="Its mode.")


class Device(SpecModel):
    """``services.*.devices[]``, long form."""

    source: str = Field(default="", description="Device of the host, or a CDI name.")
    target: str = Field(default="", description="Its path in the container.")
    permissions: str = Field(default="", description="Any of `r`, `w` and `m`.")

    def __str__(self) -> str:
        if "=" in self.source:
            return self.source
        return ":".join((self.source, self.target or self.source, self.permissions or "rwm"))


class DeviceRequest(SpecModel):
    """``services.*.gpus[]`` and ``deploy.resources.reservations.devices[]``."""

    capabilities: Texts = Field(default=(), description="What the devices must be able to do.")
    driver: str = Field(default="", description="Who provides them.")
    count: Annotated[Whole, BeforeValidator(lambda v: -1 if v == "all" else v)] = Field(
        default=0, description="How many; -1 for all there are."
    )
    device_ids: Texts = Field(default=(), description="Which ones.")
    options: Labels = Field(default={}, description="Options of the driver.")


class Ulimit(SpecModel):
    """``services.*.ulimits.*`` with two limits."""

    soft: Whole = Field(default=0, description="What holds.")
    hard: Whole = Field(default=0, description="How far a process may raise it.")


def _limit(value: Any) -> Any:
    if isinstance(value, str):
        return int(value)
    if isinstance(value, dict) and set(value) == {"single"}:
        return value["single"]
    return value


Ulimits = Annotated[
    dict[str, Annotated[int | Ulimit, BeforeValidator(_limit)]],
    PlainSerializer(
        lambda limits: {
            name: limit if isinstance(limit, int) else {"soft": limit.soft, "hard": limit.hard}
            for name, limit in limits.items()
        },
        when_used="json",
    ),
]
"""By name, one limit or two."""
