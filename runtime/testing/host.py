"""The five fakes, tied together as a host ties the real ones."""

from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.testing.builds import FakeBuilds
from runtime.testing.containers import FakeContainers
from runtime.testing.images import FakeImages
from runtime.testing.networks import FakeNetworks
from runtime.testing.volumes import FakeVolumes


@dataclass(slots=True)
class FakeHost:
    """A machine in memory; ``clock`` tells its boot time in seconds."""

    clock: Callable[[], float]
    images: FakeImages = field(init=False)
    volumes: FakeVolumes = field(init=False)
    networks: FakeNetworks = field(init=False)
    containers: FakeContainers = field(init=False)
    builds: FakeBuilds = field(init=False)

    def __post_init__(self) -> None:
        """Make the drivers; containers see the images and volumes."""
        self.images = FakeImages(clock=self.clock)
        self.volumes = FakeVolumes(clock=self.clock)
        self.networks = FakeNetworks()
        self.containers = FakeContainers(images=self.images, volumes=self.volumes, clock=self.clock)
        self.builds = FakeBuilds(images=self.images)
