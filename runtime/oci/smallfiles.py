"""Small files every container has: what it is called, and whom it knows.

Everything is blocking and is run beside the event loop.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import InvalidError
from runtime.oci.mounts import bind
from runtime.oci.namespaces import own_name
from runtime.types import ContainerConfig

ALWAYS_KNOWN = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)
"""Lines of every container's hosts(5), the ones Docker has there."""
UPSTREAM = Path("/etc/resolv.conf")
NOWHERE = (".",)
"""Domains to search that are none."""


def write_files(folder: Path, config: ContainerConfig) -> list[dict[str, Any]]:
    """Write hosts, hostname and resolv.conf; return their mounts.

    ``folder`` is below that of the container, beside those of others: one that has another's
    network has the names that one knows.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o711)
    name = own_name(config)
    texts = {
        "/etc/hosts": _hosts(config, name),
        "/etc/hostname": f"{name}\n",
        "/etc/resolv.conf": resolver_settings(config, _lines(UPSTREAM)),
    }
    own = {given.target for given in config.mounts}
    mounts = []
    for number, (target, text) in enumerate(texts.items()):
        path = folder / str(number)
        path.write_text(text, errors="surrogateescape")
        path.chmod(0o644)
        if config.network and target != "/etc/hostname":
            path = folder.parent.parent / config.network / folder.name / str(number)
        if target not in own:
            access = "ro" if config.read_only else "rw"
            mounts.append(bind(path, target, [access, "nosuid", "nodev", "noexec"]))
    return mounts


def _hosts(config: ContainerConfig, name: str) -> str:
    # Who has the host's network knows the names the host knows.
    hosts = config.netns is None
    lines = [*(_lines(Path("/etc/hosts")) if hosts else ALWAYS_KNOWN)]
    lines += [f"{address}\t{name}" for name, address in config.extra_hosts]
    if not hosts:
        # Behind those of the file, of which one may call the container itself something else.
        names = f"{name}.{config.domainname} {name}" if config.domainname else name
        lines += [f"{address}\t{names}" for address in config.addresses]
    return "\n".join(lines) + "\n"


def resolver_settings(config: ContainerConfig, host: Sequence[str]) -> str:
    """Return a container's resolv.conf(5) on a host whose own has the lines ``host``. Pure.

    What the container does not say it has from the host, as under Docker.
    """
    if config.netns is None and not (config.nameservers or config.dns_search or config.dns_options):
        return "\n".join(host) + "\n"
    servers = config.nameservers or _words(host, "nameserver")
    search = config.dns_search or _words(host, "search")
    options = [*(config.dns_options or _words(host, "options"))]
    resolved = config.netns is not None and config.nameservers
    if resolved and not any(one.startswith("ndots:") for one in options):
        # Names of services have no dots, and are asked for as they are before anything else.
        options.append("ndots:0")
    lines = [f"nameserver {address}" for address in servers]
    if search and tuple(search) != NOWHERE:
        lines.append(f"search {' '.join(search)}")
    if options:
        lines.append(f"options {' '.join(options)}")
    if any("\n" in line for line in lines):
        raise InvalidError("write", "/etc/resolv.conf", "a DNS setting holds a line break")
    return "\n".join(lines) + "\n"


def _lines(path: Path) -> Sequence[str]:
    # A person wrote it, in whatever encoding.
    return path.read_text(errors="surrogateescape").splitlines() if path.exists() else ()


def _words(lines: Iterable[str], key: str) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    for line in lines:
        first, *words = line.split() or [""]
        if first == key:
            # Of domains to search the last line counts; of the others all do.
            found = tuple(words) if key == "search" else (*found, *words)
    return found
