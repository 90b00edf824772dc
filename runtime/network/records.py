"""What is written down of networks and sandboxes, in the run directory.

A record is there before the thing is, and goes after it. All of them go with a reboot, like
everything they describe. What is recorded in a way nobody can read is there all the same: its
name is kept, so that nobody takes it for a leftover.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from runtime.files import drop_staging, read_json, write_atomic
from runtime.plain import read_plain, write_plain
from runtime.types import ContainerId, NetworkConfig, NetworkId, SandboxConfig

T = TypeVar("T", NetworkConfig, SandboxConfig)


class Records:
    """The records of one instance."""

    def __init__(self, folder: Path) -> None:
        """Keep them below ``folder``; nothing is touched yet."""
        self._folder = folder
        self._networks = folder / "networks"
        self._sandboxes = folder / "sandboxes"
        self.networks: dict[NetworkId, NetworkConfig] = {}
        self.sandboxes: dict[ContainerId, SandboxConfig] = {}
        self.unread: set[str] = set()
        """Names of networks and sandboxes whose record cannot be read."""

    def open(self, boot: str) -> None:
        """Read them; those of an earlier ``boot`` are void."""
        for folder in (self._networks, self._sandboxes):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            drop_staging(folder)
        mark = self._folder / "boot"
        if mark.exists() and mark.read_text() != boot:
            for folder in (self._networks, self._sandboxes):
                for path in folder.iterdir():
                    path.unlink()
            (self._folder / "forwarding.json").unlink(missing_ok=True)
        write_atomic(mark, boot.encode())
        self.networks.update((one.id, one) for one in self._read(self._networks, NetworkConfig))
        self.sandboxes.update((one.id, one) for one in self._read(self._sandboxes, SandboxConfig))

    def put_network(self, config: NetworkConfig) -> None:
        """Write a network down."""
        write_atomic(self._networks / f"{config.id}.json", write_plain(config))
        self.networks[config.id] = config
        self.unread.discard(config.id)

    def drop_network(self, network: NetworkId) -> None:
        """Forget a network that is gone."""
        self.networks.pop(network, None)
        (self._networks / f"{network}.json").unlink(missing_ok=True)
        self.unread.discard(network)

    def put_sandbox(self, config: SandboxConfig) -> None:
        """Write a sandbox down."""
        write_atomic(self._sandboxes / f"{config.id}.json", write_plain(config))
        self.sandboxes[config.id] = config
        self.unread.discard(config.id)

    def drop_sandbox(self, container: ContainerId) -> None:
        """Forget a sandbox that is gone."""
        self.sandboxes.pop(container, None)
        (self._sandboxes / f"{container}.json").unlink(missing_ok=True)
        self.unread.discard(container)

    def _read(self, folder: Path, kind: type[T]) -> Iterator[T]:
        for path in folder.glob("*.json"):
            try:
                yield read_plain(kind, read_json(path))
            except ValueError:
                self.unread.add(path.stem)
