"""A host in memory: drivers that keep the promises of the real ones, for tests.

The promises themselves are in :mod:`runtime.testing.contract`, which needs pytest and is
imported by tests alone.
"""

from runtime.testing.builds import FakeBuilds
from runtime.testing.containers import FakeContainers, Program
from runtime.testing.faults import Gate
from runtime.testing.host import FakeHost
from runtime.testing.images import FakeImages
from runtime.testing.networks import FakeNetworks
from runtime.testing.volumes import FakeVolumes

__all__ = [
    "FakeBuilds",
    "FakeContainers",
    "FakeHost",
    "FakeImages",
    "FakeNetworks",
    "FakeVolumes",
    "Gate",
    "Program",
]
