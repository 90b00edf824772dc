"""Sizes, durations and the short forms of ports and volumes (Compose specification). Pure."""

import re
from ipaddress import ip_address
from typing import Any

_SIZE = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(i?b)?$", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d|w)")
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}


def parse_size(value: Any) -> int:
    """Return bytes from ``64m`` and the like; all multiples are of 1024. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.match(str(value).strip())
    if not found:
        raise ValueError(f"`{value}` is no size; write one like `512m` or `2g`")
    factor = 1024 ** "bkmgtp".index((found[2] or "b").lower())
    size = int(float(found[1]) * factor)
    if size >= 2**63:
        raise ValueError(f"`{value}` is more than any machine has")
    return size


def parse_duration(value: Any) -> float:
    """Return seconds from ``1h5m30s20ms``. Raises ValueError; a bare number is not one."""
    if isinstance(value, float):
        return value  # settled before
    text = str(value).strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"`{value}` is no duration; write one like `10s` or `1m30s`")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def parse_port(value: Any) -> list[dict[str, Any]]:
    """Return the long forms of a port in short form, one a container port. Raises ValueError."""
    text, _, protocol = str(value).partition("/")
    host_ip = ""
    if text.startswith("["):
        host_ip, closed, text = text[1:].partition("]")
        if not closed or not text.startswith(":"):
            raise ValueError(f"`{value}`: `]:` is missing")
        text = text[1:]
        parts = text.split(":")
    else:
        parts = text.split(":")
        if len(parts) == 3:
            host_ip, *parts = parts
    if len(parts) not in (1, 2):
        raise ValueError(f"`{value}` is no port; write one like `8080:80`")
    if host_ip:
        ip_address(host_ip)
    targets = _range(parts[-1], value)
    published = _range(parts[0], value) if len(parts) == 2 and parts[0] else None
    if published and len(targets) > 1 and len(published) != len(targets):
        raise ValueError(f"`{value}`: the ranges differ in length")
    found = []
    for number, target in enumerate(targets):
        port: dict[str, Any] = {"target": target, "protocol": (protocol or "tcp").lower()}
        if published:
            same = len(published) == len(targets)
            port["published"] = (
                str(published[number]) if same else f"{published[0]}-{published[-1]}"
            )
        if host_ip:
            port["host_ip"] = host_ip
        found.append(port)
    return found


def parse_volume(value: str) -> dict[str, Any]:
    """Return the long form of a volume in short form. Raises ValueError."""
    parts = value.split(":")
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"`{value}` is no volume; write one like `data:/var/lib/data:ro`")
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0]}
    source, target = parts[0], parts[1]
    bound = source.startswith((".", "/", "~"))
    found: dict[str, Any] = {
        "type": "bind" if bound else "volume",
        "source": source,
        "target": target,
    }
    if bound:
        found["bind"] = {"create_host_path": True}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option == "ro":
            found["read_only"] = True
        elif option == "nocopy":
            found["volume"] = {"nocopy": True}
    return found


def _range(text: str, whole: Any) -> range:
    first, _, last = text.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise ValueError(f"`{whole}`: `{text}` is no port number")
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"`{whole}`: ports go from 1 to 65535")
    return range(low, high + 1)
