"""What a stack was before is kept, can be compared, and can be gone back to."""

import pytest

from orchestrator.errors import PyorchError
from orchestrator.generations import Generations
from orchestrator.spec.models import StackFile
from runtime.types import ContainerId, ImageConfig

WEB = ContainerId("shop.web.1")
STACK = """
name: shop
services:
  web:
    image: app
    stop_grace_period: 0s
    environment: {{RELEASE: "{release}"}}
    configs: [page]
    secrets: [key]
configs: {{page: {{content: "{page}"}}}}
secrets: {{key: {{environment: KEY}}}}
"""


@pytest.fixture
def files(world):
    """Return a maker of stack files with a secret in a file."""
    path = world.folder / "key"

    def make(release="1", page="hello", key="hush-1"):
        path.write_text(key)
        text = STACK.format(release=release, page=page)
        return text.replace("{environment: KEY}", f"{{file: {path}}}")

    return make


def generations(world):
    return Generations(store=world.store)


async def planned(world):
    plan = await world.orchestrator.plan(world.applied, "shop")
    return str(plan)


async def test_history_lists_generations_with_what_each_changed(world, files):
    async with world.daemon():
        await world.up(files())
        await world.up(files(release="2"))
        await world.up(files(release="2", page="bye", key="hush-2"))

    third, second, first = generations(world).history("shop")
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    assert [one.present for one in (first, second, third)] == [False, False, True]
    assert first.changed == ""
    assert second.changed == "services.web.environment.RELEASE: 1 → 2"
    assert "configs.page: its content has changed" in third.changed
    assert "secrets.key: its content has changed" in third.changed
    assert "hush" not in str(third)
    assert first.images == third.images != {}


async def test_a_rollback_is_a_generation_that_says_the_same_as_the_old_one(world, files):
    async with world.daemon():
        await world.up(files())
        await world.up(files(release="2", key="hush-2"))
        applied = await world.orchestrator.rollback("shop", None, owner_uid=5)
        await world.settled()

    assert (applied.generation, applied.changed) == (3, True)
    newest = generations(world).history("shop")[0]
    assert (newest.number, newest.origin, newest.accepted_uid) == (3, "rollback to 1", 5)
    assert generations(world).diff("shop", 1, 3) == ()
    document, _ = world.store.stacks.generation("shop", 3)
    assert StackFile.model_validate(document).secrets["key"].payload == b"hush-1"
    assert world.containers.config(WEB).environment["RELEASE"] == "1"


async def test_a_rollback_brings_back_the_image_that_had_the_name_then(world, files):
    async with world.daemon():
        await world.up(files())
        old = world.containers.config(WEB).image
        world.host.images.add("app", ImageConfig(user="7"))
        await world.up(files(release="2"))
        new = world.containers.config(WEB).image
        await world.orchestrator.rollback("shop", 1, owner_uid=0)
        await world.settled()

    assert new != old
    assert world.containers.config(WEB).image == old


async def test_a_rollback_twice_comes_back(world, files):
    async with world.daemon():
        await world.up(files())
        await world.up(files(release="2"))
        for _ in range(2):
            await world.orchestrator.rollback("shop", None, owner_uid=0)
            await world.settled()

    assert world.containers.config(WEB).environment["RELEASE"] == "2"


async def test_a_rollback_to_what_is_there_changes_nothing(world, files):
    async with world.daemon():
        await world.up(files())
        runs = world.runs()
        applied = await world.orchestrator.rollback("shop", 1, owner_uid=0)
        await world.settled()

    assert (applied.generation, applied.changed) == (1, False)
    assert world.runs() == runs


async def test_a_generation_that_is_not_kept_is_named_with_those_that_are(world, files):
    async with world.daemon():
        await world.up(files())
        with pytest.raises(PyorchError, match="no generation 7") as caught:
            await world.orchestrator.rollback("shop", 7, owner_uid=0)
        with pytest.raises(PyorchError, match="nothing to roll stack `shop` back to"):
            await world.orchestrator.rollback("shop", None, owner_uid=0)

    assert "kept are 1" in caught.value.hint


async def test_a_plan_names_what_changed_and_not_only_that_something_did(world, files):
    async with world.daemon():
        await world.up(files())
        world.applied = world.load(files(release="2"))
        assert "environment.RELEASE: 1 → 2" in await planned(world)
        world.applied = world.load(files(page="bye"))
        assert "config page has other content" in await planned(world)
        world.applied = world.load(files(key="hush-2"))
        told = await planned(world)
        assert "secret key has other content" in told
        assert "hush" not in told


async def test_what_is_recreated_in_any_case_says_so(world, files):
    async with world.daemon():
        await world.up(files())
        with world.orchestrator.events.subscribe("shop") as queue:
            await world.up(files(), force_recreate=True)

    told = [queue.get_nowait() for _ in range(queue.qsize())]
    reasons = {event.name: event.reason for event in told if event is not None}
    assert reasons["replica.created"] == "new containers are asked for in any case"
