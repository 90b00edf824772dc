"""What a client asks the daemon to build, checked at both ends."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LONGEST_DOCKERFILE = 1024 * 1024
MOST_CONTEXTS = 64

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00\r\n]*$", max_length=65536)]
"""Text that stays one word of a command line, and one line of what is read back."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$")]
"""What may be the name of a file."""
ContextName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_./:@-]{0,255}$")]


class BuildRequest(BaseModel):
    """One image to be made. Contexts follow as one tarball, each below its number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: tuple[Line, ...] = Field(min_length=1, max_length=100)
    dockerfile: Annotated[str, StringConstraints(max_length=LONGEST_DOCKERFILE)]
    contexts: tuple[ContextName, ...] = Field(default=(), max_length=MOST_CONTEXTS)
    """Names of the contexts after the main one."""
    image_contexts: dict[ContextName, Line] = {}
    platforms: tuple[Line, ...] = ()
    """What it may be built for; anything where none is named."""
    target: Line = ""
    args: dict[Line, str] = {}
    labels: dict[Line, str] = {}
    secrets: dict[Name, bytes] = Field(default={}, repr=False)
    keys: dict[Name, bytes] = Field(default={}, repr=False)
    no_cache: bool = False
    pull: bool = False
    hosts: tuple[Line, ...] = ()
    """``name=address``; ``host-gateway`` is the host as the steps see it."""
    shm_size: int = Field(default=0, ge=0)
    memory: int = Field(default=0, ge=0)
    ulimits: tuple[Line, ...] = ()
    network: Line = ""
    """``host``, ``none``, the name of a network on this host, or nothing for one of its own."""

    # What secrets hold is bytes, which JSON has not: Base64, both ways.
    model_config |= ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
