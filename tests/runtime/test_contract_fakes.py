"""The fakes keep the promises of the drivers, so that what passes on them means something."""

import time
from ipaddress import IPv4Network

import pytest

from runtime.testing import FakeHost, Program
from runtime.testing.contract import (
    ContainerContract,
    ImageContract,
    NetworkContract,
    VolumeContract,
    specimens,
)
from runtime.types import ImageConfig

PROGRAMS = {
    specimens.STUBBORN: Program(signals={}),
    specimens.OBEDIENT: Program(makes="/ready", signals={15: 7}),
    specimens.PARTICULAR: Program(makes="/ready", signals={10: 8}),
    specimens.FAILING: Program(code=3),
    specimens.MISSING: Program(missing=True),
    specimens.IS_READY: Program(needs="/ready", code=0),
    specimens.TOUCH: Program(makes="/note", code=0),
    specimens.HAS_NOTE: Program(needs="/note", code=0),
    specimens.TALKING: Program(output=b"out\n", errors=b"err\n", code=4),
    specimens.LONG: Program(output=b"0123456789\n" * 1000, code=0),
    specimens.COPYING: Program(echoes=True),
}


@pytest.fixture
def host():
    """A machine in memory."""
    return FakeHost(clock=time.monotonic)


class TestFakeContainers(ContainerContract):
    @pytest.fixture
    def driver(self, host):
        host.containers.programs |= PROGRAMS
        return host.containers

    @pytest.fixture
    def image(self, host):
        return host.images.add("busybox").id

    @pytest.fixture
    def reopen(self, driver):
        async def close_and_open():
            await driver.close()
            return driver

        return close_and_open


class TestFakeImages(ImageContract):
    @pytest.fixture
    def driver(self, host, archive, remote):
        host.images.archives[archive] = ImageConfig()
        host.images.registry[remote] = ImageConfig(command=("sleep", "9"))
        return host.images

    @pytest.fixture
    def rootfs(self, tmp_path):
        return write(tmp_path / "rootfs.tar")

    @pytest.fixture
    def archive(self, tmp_path):
        return write(tmp_path / "archive.tar")

    @pytest.fixture
    def broken(self, tmp_path):
        return write(tmp_path / "broken.tar")

    @pytest.fixture
    def remote(self):
        return "registry.test/tiny:1"


class TestFakeNetworks(NetworkContract):
    @pytest.fixture
    def driver(self, host):
        return host.networks

    @pytest.fixture
    def subnets(self):
        return [IPv4Network("198.18.1.0/28"), IPv4Network("198.18.2.0/28")]

    @pytest.fixture
    def lose_bridge(self, driver):
        async def lose(network):
            driver.lose_bridge(network)

        return lose

    @pytest.fixture
    def lose_link(self, driver):
        async def lose(container):
            driver.lose_link(container)

        return lose

    @pytest.fixture
    def reopen(self, driver):
        async def close_and_open():
            await driver.close()
            return driver

        return close_and_open


class TestFakeVolumes(VolumeContract):
    @pytest.fixture
    def driver(self, host):
        return host.volumes


def write(path):
    path.write_bytes(b"")
    return path
