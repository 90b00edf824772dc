"""Where this pyorch lives and what it may use: one value, read once from the environment.

Standard library only: the thin client needs the socket's path and nothing else of this.
"""

import hashlib
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import PyorchError

if TYPE_CHECKING:
    from runtime.types import Instance

DEFAULT_POOLS = (IPv4Network("10.89.0.0/16"), IPv4Network("172.30.0.0/16"))
"""Where subnets of networks are chosen from; routes of the host are avoided."""
MACHINE = Path("/etc/machine-id")

Pools = tuple[IPv4Network | IPv6Network, ...]


CDI = (Path("/etc/cdi"), Path("/var/run/cdi"))
REGISTRIES = Path("/etc/pyorch/registries.toml")
JOURNAL = Path("/run/systemd/journal/socket")
SYSLOG = (Path("/dev/log"), Path("/var/run/syslog"), Path("/var/run/log"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One daemon's place on the host. See ``docs/settings.md`` for the variables."""

    name: str = "main"
    data: Path = Path("/var/lib/pyorch")
    run: Path = Path("/run/pyorch")
    pools: Pools = DEFAULT_POOLS
    """Of both families; a pool of unique local addresses is there besides."""
    subnet_prefix: int = 26
    registries: Path = REGISTRIES
    """Mirrors, exceptions and certificates of registries."""
    patience: float = 30.0
    """Seconds an OCI runtime may take for one thing."""
    give_up: float = 30.0
    """Seconds a command without a timeout of its own watches the same errors and nothing else."""
    cdi: tuple[Path, ...] = CDI
    """Where makers of devices describe them."""
    journal: Path = JOURNAL
    """Where the host's journal listens for what containers print."""
    syslog: tuple[Path, ...] = SYSLOG
    """Where the host's syslog may listen for it."""
    disk_limit: int = 90
    """Per cent of its disk in use from which on that is told; 0: never."""
    localhost_only: bool = False
    """Publish ports that name no address on 127.0.0.1 instead of everywhere."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What `deploy.placement` may ask of this machine."""
    resources: Mapping[str, int] = field(default_factory=dict)
    """What `generic_resources` may reserve of it, by its kind."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables whose names begin with ``PYORCH_``.

        Raises PyorchError naming the variable whose value cannot be used.
        """
        name = environ.get("PYORCH_INSTANCE") or "main"
        if not re.fullmatch(r"[a-z0-9]{1,8}", name):
            raise PyorchError(
                f"PYORCH_INSTANCE: `{name}` is no instance name",
                hint="use 1 to 8 lower-case letters and digits",
            )
        suffix = "" if name == "main" else f"-{name}"
        pools: Pools = DEFAULT_POOLS
        if written := environ.get("PYORCH_POOLS"):
            try:
                pools = tuple(ip_network(part.strip()) for part in written.split(","))
            except ValueError as error:
                raise PyorchError(
                    f"PYORCH_POOLS: {error}", hint="write networks like 10.89.0.0/16, by commas"
                ) from None
        return cls(
            name=name,
            data=Path(environ.get("PYORCH_DATA") or f"/var/lib/pyorch{suffix}"),
            run=Path(environ.get("PYORCH_RUN") or f"/run/pyorch{suffix}"),
            pools=pools,
            registries=Path(environ.get("PYORCH_REGISTRIES") or REGISTRIES),
            cdi=tuple(Path(part) for part in (environ.get("PYORCH_CDI") or "").split(":") if part)
            or CDI,
            journal=Path(environ.get("PYORCH_JOURNAL") or JOURNAL),
            syslog=tuple(
                Path(part) for part in (environ.get("PYORCH_SYSLOG") or "").split(":") if part
            )
            or SYSLOG,
            localhost_only=environ.get("PYORCH_PUBLISH") == "localhost",
            labels=_labels(environ, "PYORCH_LABELS"),
            resources=_resources(environ, "PYORCH_RESOURCES"),
            disk_limit=_percent(environ, "PYORCH_DISK_LIMIT", 90),
            patience=_seconds(environ, "PYORCH_RUNTIME_PATIENCE", 30.0),
            give_up=_seconds(environ, "PYORCH_GIVE_UP", 30.0),
        )

    def environ(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environ` makes these settings from."""
        # What is usual depends on the instance: another one has other directories.
        usual = Settings.from_environ({"PYORCH_INSTANCE": self.name})._variables()
        if self.name != "main":
            del usual["PYORCH_INSTANCE"]
        found = self._variables()
        return {name: value for name, value in found.items() if usual.get(name) != value}

    def _variables(self) -> dict[str, str]:
        return {
            "PYORCH_INSTANCE": self.name,
            "PYORCH_DATA": str(self.data),
            "PYORCH_RUN": str(self.run),
            "PYORCH_POOLS": ",".join(map(str, self.pools)),
            "PYORCH_REGISTRIES": str(self.registries),
            "PYORCH_CDI": ":".join(map(str, self.cdi)),
            "PYORCH_JOURNAL": str(self.journal),
            "PYORCH_SYSLOG": ":".join(map(str, self.syslog)),
            "PYORCH_PUBLISH": "localhost" if self.localhost_only else "",
            "PYORCH_LABELS": ",".join(f"{name}={value}" for name, value in self.labels.items()),
            "PYORCH_RESOURCES": ",".join(f"{kind}={n}" for kind, n in self.resources.items()),
            "PYORCH_DISK_LIMIT": str(self.disk_limit),
            "PYORCH_RUNTIME_PATIENCE": f"{self.patience:g}",
            "PYORCH_GIVE_UP": f"{self.give_up:g}",
        }

    def every_pool(self) -> Pools:
        """Return where subnets are chosen from; IPv6 has a pool of this machine's own at last."""
        if any(pool.version == 6 for pool in self.pools):
            return self.pools
        machine = MACHINE.read_text().strip() if MACHINE.exists() else platform.node()
        tail = hashlib.sha256(f"{machine} {self.name}".encode()).digest()[:5]
        return (*self.pools, IPv6Network((b"\xfd" + tail + bytes(10), 48)))

    @property
    def socket(self) -> Path:
        """The API's socket."""
        return self.run / "pyorchd.sock"

    @property
    def logs(self) -> Path:
        """Where the logs of all stacks are."""
        return self.data / "logs"

    def logs_of(self, stack: str) -> Path:
        """Where the logs of a stack's replicas are: a folder by service, then one by slot."""
        return self.logs / stack

    @property
    def daemon_log(self) -> Path:
        """Where a daemon without a service manager writes its log."""
        return self.data / "daemon.log"

    def instance(self) -> "Instance":
        """Return the same place in the runtime's words."""
        from runtime.types import Instance

        return Instance(
            name=self.name, data=self.data, run=self.run, patience=self.patience, cdi=self.cdi
        )


def _labels(environ: Mapping[str, str], name: str) -> dict[str, str]:
    found = {}
    for entry in filter(None, (environ.get(name) or "").split(",")):
        label, mark, value = entry.strip().partition("=")
        if not mark or not label:
            raise PyorchError(
                f"{name}: `{entry}` is no label", hint="write NAME=VALUE, several by commas"
            )
        found[label] = value
    return found


def _resources(environ: Mapping[str, str], name: str) -> dict[str, int]:
    found = {}
    for kind, number in _labels(environ, name).items():
        if not number.isdecimal():
            raise PyorchError(
                f"{name}: `{number}` is no number of `{kind}`",
                hint="write KIND=2, several by commas",
            )
        found[kind] = int(number)
    return found


def _percent(environ: Mapping[str, str], name: str, usual: int) -> int:
    written = environ.get(name)
    if not written:
        return usual
    if not written.isdecimal() or int(written) > 100:
        raise PyorchError(f"{name}: `{written}` is no percentage", hint="write 0 to 100, as 90")
    return int(written)


def _seconds(environ: Mapping[str, str], name: str, usual: float) -> float:
    written = environ.get(name)
    if not written:
        return usual
    try:
        found = float(written)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise PyorchError(f"{name}: `{written}` is no time", hint="write seconds, as 30")
    return found
