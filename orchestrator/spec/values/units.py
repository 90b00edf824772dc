"""Sizes, durations and the short forms of ports, volumes and devices. Pure."""

import re
from ipaddress import ip_address
from typing import Any

_SIZE = re.compile(r"(-?[0-9]*\.?[0-9]+)\s*([kmgtpe]?)(i?b)?$", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|μs|ms|s|m|h|d|w)")
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_SECOND = 1_000_000_000
PROTOCOLS = ("tcp", "udp", "sctp")
PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


def parse_size(value: Any) -> int:
    """Return bytes from ``64m`` and the like; all multiples are of 1024. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float):
        return int(value)
    text = str(value).strip()
    found = _SIZE.match(text)
    if not found or len(text) > 40:
        raise ValueError(f"`{text[:40]}` is no size; write one like `512m` or `2g`")
    factor = 1024 ** "bkmgtpe".index((found[2] or "b").lower())
    size = int(float(found[1]) * factor)
    if not -(2**63) <= size < 2**63:
        raise ValueError(f"`{text[:40]}` is more than any machine has")
    return size


def parse_duration(value: Any) -> float:
    """Return seconds from ``1h5m30s20ms``. Raises ValueError; a bare number is not one."""
    if isinstance(value, float):
        return value  # settled before
    text = str(value).strip()
    sign = -1 if text.startswith("-") else 1
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits == "0":
        return 0.0
    parts = _DURATION.findall(digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        raise ValueError(f"`{text[:40]}` is no duration; write one like `10s` or `1m30s`")
    return sign * sum(float(number) * _NANOSECONDS[unit] for number, unit in parts) / _SECOND


def duration_text(seconds: float) -> str:
    """Return seconds as ``1h5m30.02s``: the way the reference writes a duration."""
    total = round(abs(seconds) * _SECOND)
    sign = "-" if seconds < 0 else ""
    if total == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if total < size * 1_000:
            return f"{sign}{_decimal(total, size)}{unit}"
    minutes, rest = divmod(total, 60 * _SECOND)
    text = f"{_decimal(rest, _SECOND)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def _decimal(amount: int, size: int) -> str:
    whole, rest = divmod(amount, size)
    digits = len(str(size)) - 1
    part = f"{rest:0{digits}d}".rstrip("0") if digits else ""
    return f"{whole}.{part}" if part else str(whole)


def parse_port(value: Any) -> list[dict[str, Any]]:
    """Return the long forms of a port in short form, one a container port. Raises ValueError."""
    whole = str(value)
    text, _, protocol = whole.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise ValueError(f"`{whole}`: the protocol is none of {', '.join(PROTOCOLS)}")
    host_ip, host, target = _port_parts(text, whole)
    if host_ip:
        try:
            ip_address(host_ip.partition("%")[0])
        except ValueError:
            raise ValueError(f"`{whole}`: `{host_ip}` is no IP address") from None
    targets = _range(target, whole, "container")
    published = _range(host, whole, "host") if host else None
    if published and len(targets) > 1 and len(published) != len(targets):
        raise ValueError(f"`{whole}`: the ranges differ in length")
    found = []
    for number, one in enumerate(targets):
        port: dict[str, Any] = {"mode": "ingress", "target": one, "protocol": protocol}
        if published:
            same = len(published) == len(targets)
            many = len(published) > 1
            ends = f"{published[0]}-{published[-1]}" if many else str(published[0])
            port["published"] = str(published[number]) if same else ends
        if host_ip:
            port["host_ip"] = host_ip
        found.append(port)
    return sorted(found, key=lambda port: str(port["target"]))


def _port_parts(text: str, whole: str) -> tuple[str, str, str]:
    """Return host address, host ports and container ports as they are written."""
    parts = text.split(":")
    target = parts[-1]
    if not target:
        raise ValueError(f"`{whole}` names no container port; write one like `8080:80`")
    if len(parts) == 1:
        return "", "", target
    if len(parts) == 2:
        return "", parts[0], target
    host_ip = ":".join(parts[:-2])
    if host_ip.startswith("[") and host_ip.endswith("]"):
        host_ip = host_ip[1:-1]
    return host_ip, parts[-2], target


def _range(text: str, whole: Any, which: str) -> range:
    first, dash, last = text.partition("-")
    if not first.isascii() or not first.isdigit() or (dash and not last.isdigit()):
        raise ValueError(f"`{whole}`: `{text}` is no {which} port")
    low, high = int(first), int(last or first)
    if low > high or high > 65535:
        raise ValueError(f"`{whole}`: {which} ports go from 1 to 65535")
    return range(low, high + 1)


def split_volume(value: str) -> tuple[str, str, str]:
    """Return source, target and options of a volume in short form. Raises ValueError."""
    if not value:
        raise ValueError("a volume may not be empty; write one like `data:/var/lib/data:ro`")
    if len(value) <= 2:
        return "", value, ""
    parts = _volume_parts(value)
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"`{value}` is no volume; write one like `data:/var/lib/data:ro`")
    if len(parts) == 1:
        return "", parts[0], ""
    return parts[0], parts[1], parts[2] if len(parts) == 3 else ""


def _volume_parts(value: str) -> list[str]:
    """Split at colons, but not in a variable nor after the letter of a Windows drive."""
    parts: list[str] = []
    buffer, depth = "", 0
    for number, mark in enumerate(value):
        if mark == "{" and value[number - 1 : number] == "$":
            depth += 1
        elif mark == "}" and depth:
            depth -= 1
        if mark != ":" or depth or (len(buffer) == 1 and buffer.isalpha()):
            buffer += mark
        else:
            parts.append(buffer)
            buffer = ""
    return [*parts, buffer]


def parse_volume(value: str) -> dict[str, Any]:
    """Return the long form of a volume in short form. Raises ValueError."""
    source, target, options = split_volume(value)
    bound = is_path(source)
    kind = "bind" if bound else "volume"
    found: dict[str, Any] = {"type": kind, "source": source, "target": target}
    if not source:
        del found["source"]
    details: dict[str, dict[str, Any]] = {}
    for option in options.split(","):
        if option in ("ro", "rw"):
            found["read_only"] = option == "ro"
        elif option == "nocopy":
            details["volume"] = {"nocopy": True}
        elif option in PROPAGATIONS:
            details.setdefault("bind", {"create_host_path": True})["propagation"] = option
        elif option in ("z", "Z"):
            details.setdefault("bind", {"create_host_path": True})["selinux"] = option
    if not found.get("read_only", True):
        del found["read_only"]
    if bound:
        details.setdefault("bind", {})["create_host_path"] = True
    elif len(value) > 2:
        details.setdefault("volume", {})
    return found | details


def unknown_options(value: str) -> tuple[str, ...]:
    """Return the options of a volume in short form that mean nothing."""
    known = {"ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent", *PROPAGATIONS}
    options = split_volume(value)[2]
    return tuple(one for one in options.split(",") if one and one not in known)


def is_path(source: str) -> bool:
    """Whether the source of a volume in short form is a path rather than a name."""
    if source.startswith((".", "/", "~", "\\\\")):
        return True
    return len(source) > 1 and source[0].isalpha() and source[1] == ":"


def parse_device(value: str) -> dict[str, str]:
    """Return the long form of a device in short form. Raises ValueError."""
    parts = value.split(":")
    if len(parts) > 3:
        raise ValueError(f"`{value}` is no device; write one like `/dev/sda:/dev/xvda:rwm`")
    source = parts[0]
    target = parts[1] if len(parts) > 1 else ""
    permissions = parts[2] if len(parts) > 2 else "rwm"
    return {"source": source, "target": target or source, "permissions": permissions}
