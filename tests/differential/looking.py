"""What the probe printed → facts that can be compared: one text by the name of each."""

import re
from collections.abc import Iterator

CAPABILITY_BITS = 41
PER_MACHINE = ("workdir=", "upperdir=", "lowerdir=", "size=", "nr_inodes=", "inode64", "index=")
PER_MACHINE += ("redirect_dir=", "xino=", "metacopy=", "uuid=", "nfs_export=", "volatile")
ADDRESS = re.compile(r"\b\d+\.\d+\.\d+\.\d+\b")


def facts(printed: str, *, hidden: dict[str, str]) -> dict[str, str]:
    """Return every fact by name; ``hidden`` are texts of one run, and what to call them."""
    for text, name in sorted(hidden.items(), key=lambda one: -len(one[0])):
        printed = printed.replace(text, name)
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in printed.replace("\r\n", "\n").splitlines():
        if line.startswith("=== "):
            lines = sections.setdefault(line.removeprefix("=== "), [])
        else:
            lines.append(line)
    return dict(_facts(sections))


def _facts(sections: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    for name in ("argv", "first", "cwd", "terminal", "interfaces", "adjust", "processes"):
        yield name, " | ".join(sections.get(name, ["nothing"])).strip()
    yield "hostname", " | ".join(sections.get("hostname", []))
    for line in sections.get("env", []):
        key, _, value = line.partition("=")
        if key not in ("PWD", "OLDPWD", "SHLVL", "_"):
            yield f"env.{key}", value
    for line in sections.get("status", []):
        key, _, value = line.partition(":")
        words = _names(value.strip()) if key.startswith("Cap") else value.split()
        yield f"status.{key}", " ".join(words)
    for line in sections.get("limits", [])[1:]:
        yield f"limits.{line[:26].strip()}", " ".join(line[26:].split()[:2])
    for line in sections.get("devices", []):
        name, _, rest = line.partition(" ")
        if not name.startswith("/dev/pts/"):
            yield f"devices.{name}", rest
    yield from _mounts(sections.get("mounts", []))
    for section in ("hosts", "resolv"):
        for number, line in enumerate(_plain(sections.get(section, []))):
            yield f"{section}.{line.split()[0]}.{number}", line
    for section in ("sysctls", "groups"):
        for line in sections.get(section, []):
            key, _, value = line.partition(" ")
            yield f"{section}.{key}", " ".join(value.split())
    yield "writable", " ".join(sections.get("writable", []))
    yield "files", " | ".join(filter(None, sections.get("files", [])))


def _mounts(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split()
        kind, _, more = right.partition(" ")
        options = set(fields[5].split(",")) | set(more.split(" ")[-1].split(","))
        if "ro" in fields[5].split(","):
            options -= {"rw"}
        sizes = [one for one in options if one.startswith("size=")]
        kept = sorted(one for one in options if one and not one.startswith(PER_MACHINE))
        if kind == "tmpfs":
            kept += sizes
        shared = " ".join(one.split(":")[0] for one in fields[6:])
        yield f"mounts.{fields[4]}", " ".join([kind, ",".join(kept), shared]).strip()


def _names(mask: str) -> list[str]:
    bits = int(mask, 16)
    return [str(bit) for bit in range(CAPABILITY_BITS) if bits >> bit & 1] or ["none"]


def _plain(lines: list[str]) -> list[str]:
    found = [" ".join(line.split()) for line in lines if line.strip() and line[0] != "#"]
    return [ADDRESS.sub(_rounded, line) for line in found]


def _rounded(match: "re.Match[str]") -> str:
    """Addresses of networks are chosen: what counts is that there is one."""
    text = match[0]
    private = text.startswith(("10.89.", "172.", "192.168.", "169.254."))
    return "ADDRESS" if private else text
