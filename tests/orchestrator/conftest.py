"""The orchestrator on a host in memory, where time passes without being waited for."""

import pytest

from tests.orchestrator.virtual import VirtualLoop
from tests.orchestrator.world import World


def pytest_asyncio_loop_factories():
    """Run the tests of this folder in virtual time."""
    return {"virtual": VirtualLoop}


@pytest.fixture
async def world(tmp_path):
    """A host in memory with the image `app`, and a store."""
    world = World(tmp_path)
    yield world
    world.store.close()
