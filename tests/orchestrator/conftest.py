"""The orchestrator on a host in memory, where time passes without being waited for."""

import tempfile
from pathlib import Path

import pytest

from tests.orchestrator.virtual import VirtualLoop
from tests.orchestrator.world import World


def pytest_asyncio_loop_factories():
    """Run the tests of this folder in virtual time."""
    return {"virtual": VirtualLoop}


@pytest.fixture
def tmp_path():
    """A folder in memory where there is one: the store writes through to the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
async def world(tmp_path):
    """A host in memory with the image `app`, and a store."""
    world = World(tmp_path)
    yield world
    world.store.close()
