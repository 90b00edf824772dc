"""Where everything of containers is: folders, monitors, cgroups. Nothing is touched here."""

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from runtime.logs.folder import current
from runtime.logs.turning import last_resort
from runtime.oci.choice import choose_runtime
from runtime.oci.conmon import Monitor
from runtime.oci.records import usual_cgroup
from runtime.types import ContainerConfig, ContainerId, Instance, LogDriver


class Layout:
    """The places of one instance's containers, by their ids."""

    def __init__(self, instance: Instance) -> None:
        """Keep what lasts below the instance's data, what a boot takes below its run folder."""
        self.instance = instance
        self.data = instance.data / "containers"
        self.scratch = instance.run / "containers"
        self.exits = instance.run / "exits"
        self.states = instance.run / "oci"

    def folders(self) -> tuple[Path, ...]:
        """Return the folders that hold something of every container."""
        return self.data, self.scratch, self.exits, self.states

    @cached_property
    def usual_program(self) -> str:
        """The path of the OCI runtime used here: crun, or runc where crun cannot run."""
        chosen, _ = choose_runtime()
        return shutil.which(chosen) or chosen

    def program(self, config: ContainerConfig) -> str:
        """Return the path of the runtime of a container; it was found when that was made."""
        return config.runtime or self.usual_program

    def command(self, config: ContainerConfig) -> Sequence[str]:
        """Return how a container's runtime is called, before the verb."""
        return (self.program(config), f"--root={self.states}")

    def group(self, name: str) -> str:
        """Return the cgroup of several containers together, below every hierarchy."""
        return f"{self.instance.cgroup}/{name}"

    def cgroup(self, config: ContainerConfig) -> str:
        """Return a container's cgroup, below every hierarchy."""
        return f"{self.instance.cgroup}/{config.cgroup}"

    def usual_cgroup(self, container: ContainerId) -> str:
        """Return the cgroup of a container nothing is known of but its id."""
        return f"{self.instance.cgroup}/{usual_cgroup(container)}"

    def monitor(self, config: ContainerConfig, number: int) -> Monitor:
        """Return the monitor of a container's run."""
        unlogged = config.logging.driver is LogDriver.NONE
        return Monitor(
            container=config.id,
            bundle=self.data / config.id,
            run=self.scratch / config.id,
            exits=self.exits,
            log=None if unlogged else current(config.log, number),
            log_size=-1 if unlogged else last_resort(config.logging),
            runtime=self.program(config),
            runtime_args=self.command(config)[1:],
            tty=config.tty,
            stdin=config.stdin_open,
            stdin_once=config.stdin_once,
            patience=self.instance.patience,
        )
