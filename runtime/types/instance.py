"""Where one pyorch lives on the host."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Where one pyorch lives on the host, so that several never touch each other.

    ``name`` is 1 to 8 characters of ``[a-z0-9]`` and is part of every name the host sees:
    cgroups below ``/<cgroup>``, links ``<link_prefix>…``, the nft table ``<table>``, and
    the alias ``pyorch:<name>:…`` on every link.
    """

    name: str = "main"
    data: Path = Path("/var/lib/pyorch")
    run: Path = Path("/run/pyorch")
    patience: float = 30.0
    """Seconds an OCI runtime may take for one thing."""

    cdi: tuple[Path, ...] = (Path("/etc/cdi"), Path("/var/run/cdi"))
    """Where makers of devices describe them; later ones override earlier ones."""

    @property
    def cgroup(self) -> str:
        """The one directory below which every cgroup of this instance lives, no slashes."""
        return "pyorch" if self.name == "main" else f"pyorch-{self.name}"

    @property
    def table(self) -> str:
        """The one nftables table (family ``inet``) of this instance."""
        return "pyorch" if self.name == "main" else f"pyorch_{self.name}"

    @property
    def alias(self) -> str:
        """What the interface alias of every link of this instance starts with."""
        return f"pyorch:{self.name}:"
