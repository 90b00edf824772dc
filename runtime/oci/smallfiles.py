"""Small files every container has: what it is called, and whom it knows.

Everything is blocking and is run beside the event loop.
"""

import shutil
from pathlib import Path
from typing import Any

from runtime.errors import InvalidError
from runtime.oci.mounts import bind
from runtime.oci.namespaces import own_name
from runtime.types import ContainerConfig


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
        "/etc/resolv.conf": _resolv_conf(config),
    }
    own = {given.target for given in config.mounts}
    mounts = []
    for number, (target, text) in enumerate(texts.items()):
        path = folder / str(number)
        path.write_text(text)
        path.chmod(0o644)
        if config.network and target != "/etc/hostname":
            path = folder.parent.parent / config.network / folder.name / str(number)
        if target not in own:
            mounts.append(bind(path, target, ["rw", "nosuid", "nodev", "noexec"]))
    return mounts


def _hosts(config: ContainerConfig, name: str) -> str:
    if config.netns is None:
        # Who has the host's network knows the names the host knows.
        lines = Path("/etc/hosts").read_text().splitlines()
    else:
        names = f"{name}.{config.domainname} {name}" if config.domainname else name
        lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
        lines += [f"{address}\t{names}" for address in config.addresses]
    lines += [f"{address}\t{name}" for name, address in config.extra_hosts]
    return "\n".join(lines) + "\n"


def _resolv_conf(config: ContainerConfig) -> str:
    if not config.nameservers and config.netns is None:
        return Path("/etc/resolv.conf").read_text()
    lines = [f"nameserver {address}" for address in config.nameservers]
    if config.dns_search:
        lines.append(f"search {' '.join(config.dns_search)}")
    options = list(config.dns_options)
    if config.nameservers and not any(one.startswith("ndots:") for one in options):
        # Names of one label are those of the stack's own: they are asked for as they are first.
        options.append("ndots:0")
    if options:
        lines.append(f"options {' '.join(options)}")
    if any("\n" in line for line in lines):
        raise InvalidError("write", "/etc/resolv.conf", "a DNS setting holds a line break")
    return "\n".join(lines) + "\n"
