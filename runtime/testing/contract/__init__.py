"""What every driver promises, as tests.

Subclass a contract in a test module and provide its fixtures. The fakes pass these on every
machine; the real drivers pass the same ones where the tests run as root. Only tests import
this package: it needs pytest.
"""

from runtime.testing.contract.containers import ContainerContract
from runtime.testing.contract.images import ImageContract
from runtime.testing.contract.networks import NetworkContract
from runtime.testing.contract.volumes import VolumeContract

__all__ = ["ContainerContract", "ImageContract", "NetworkContract", "VolumeContract"]
