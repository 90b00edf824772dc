"""What every model of a settled stack file shares, and the types of its single values."""

import base64
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

from orchestrator.spec.values.scalars import go_text
from orchestrator.spec.values.shellwords import split
from orchestrator.spec.values.units import duration_text, parse_duration, parse_size

ExtensionName = Annotated[str, StringConstraints(pattern=r"^x-")]
ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._-]+$")]
StackName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class SpecModel(BaseModel):
    """Closed and immutable: a key we do not know is an error, unless it begins with `x-`.

    A default is what leaving a key out means; keys that have it are not written.
    """

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)
    __pydantic_extra__: dict[ExtensionName, Any] = Field(init=False)


def pairs_of(value: Any) -> Any:
    """Read a list of ``K=V``, or a mapping with numbers in it, as a mapping of texts."""
    if isinstance(value, list | tuple):
        found: dict[str, str | None] = {}
        for entry in value:
            key, given, text = go_text(entry).partition("=")
            found[key] = text if given else None
        return found
    if isinstance(value, dict):
        return {
            key: entry if entry is None or isinstance(entry, str) else go_text(entry)
            for key, entry in value.items()
        }
    return value


def labels_of(value: Any) -> Any:
    found = pairs_of(value)
    if isinstance(found, dict):
        return {key: "" if text is None else text for key, text in found.items()}
    return found


def _words(value: Any) -> Any:
    """Split a command line as a shell would, without being one."""
    return split(value)[0] if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return (go_text(value),)
    if isinstance(value, list | tuple):
        return tuple(entry if isinstance(entry, str) else go_text(entry) for entry in value)
    return value


def _text(value: Any) -> Any:
    return go_text(value) if isinstance(value, int | float) else value


def _truth(value: Any) -> Any:
    if isinstance(value, str):
        low = value.lower()
        if low in ("true", "yes", "y", "on"):
            return True
        if low in ("false", "no", "n", "off"):
            return False
        raise ValueError(f"`{value[:40]}` is neither true nor false")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _mode(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            raise ValueError(f"`{value[:40]}` is no file mode; write one like `0440`") from None
    return value


def mode_text(mode: int) -> str:
    """Return a file mode as the octal number it is written as."""
    return f"0{mode:o}"


def _bytes(value: Any) -> Any:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _hosts(value: Any) -> Any:
    """Read every form of `extra_hosts` as ``host=address``, in order."""
    found: list[str] = []
    if isinstance(value, dict):
        for host, given in value.items():
            several = given if isinstance(given, list) else [given or ""]
            found += [_host(host, str(one)) for one in several]
    elif isinstance(value, list | tuple):
        for entry in value:
            host, mark, addresses = _split_host(str(entry))
            if not mark:
                raise ValueError(f"`{entry}` names no address; write it as HOST=ADDRESS")
            found += [_host(host, one) for one in addresses.split(",")]
    else:
        return value
    return tuple(sorted(found))


def _split_host(entry: str) -> tuple[str, str, str]:
    return entry.partition("=" if "=" in entry else ":")


def _host(host: str, address: str) -> str:
    if not host or ":" in host or "=" in host:
        raise ValueError(f"`{host}` is no host name")
    if len(address) > 2 and address[0] == "[" and address[-1] == "]":
        address = address[1:-1]
    return f"{host}={address}"


Size = Annotated[
    int, BeforeValidator(parse_size), PlainSerializer(str, return_type=str, when_used="json")
]
"""Bytes; written as text, as a number may be too large for JSON's readers."""
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str, when_used="json"),
]
"""Seconds; written as ``1m30s``."""
FileMode = Annotated[
    int,
    BeforeValidator(_mode),
    PlainSerializer(mode_text, return_type=str, when_used="json"),
]
Truth = Annotated[bool, BeforeValidator(_truth)]
Whole = Annotated[int, BeforeValidator(_whole)]
Text = Annotated[str, BeforeValidator(_text)]
Pairs = Annotated[dict[str, str | None], BeforeValidator(pairs_of)]
Labels = Annotated[dict[str, str], BeforeValidator(labels_of)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_hosts)]
Payload = Annotated[
    bytes,
    BeforeValidator(_bytes),
    PlainSerializer(
        lambda data: base64.b64encode(data).decode(), return_type=str, when_used="json"
    ),
]
"""The content of a file, carried along; base64 in JSON."""
