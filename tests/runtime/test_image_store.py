"""The store on disks that are full, beside collections, and on what must not go."""

import asyncio
import gzip
import json
import os
import shutil
import subprocess
from contextlib import AsyncExitStack

import pytest

from runtime.errors import ConflictError, UnavailableError
from runtime.image import Images
from runtime.types import Instance
from tests.faulty_registry import FaultyRegistry, digest_of, ranged, tarball
from tests.images import write_layout

pytestmark = pytest.mark.root


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def registry(stack):
    return await stack.enter_async_context(FaultyRegistry().serve())


@pytest.fixture
def make(stack, tmp_path):
    def make(data):
        images = Images(
            Instance(name="t", data=data, run=data), settings=tmp_path / "registries.toml"
        )
        images.open()
        stack.push_async_callback(images.close)
        return images

    return make


@pytest.fixture
def images(make, tmp_path):
    return make(tmp_path / "data")


@pytest.fixture
def disk(tmp_path):
    """Makes small filesystems of their own, gone afterwards."""
    mounted = []

    def disk(*flags, size="8M"):
        image, place = tmp_path / "disk.img", tmp_path / "disk"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(int(size.removesuffix("M")) * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-F", *flags, image], check=True)
        subprocess.run(["mount", "-o", "loop", image, place], check=True)
        mounted.append(place)
        return place

    yield disk
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


def staged(place):
    staging = place / "images/staging"
    return list(staging.iterdir()) if staging.exists() else []


# ── full disks ───────────────────────────────────────────────────────────────────────────


async def test_f15_a_pull_that_cannot_fit_is_refused_before_it_begins(registry, make, disk):
    place = disk()
    images = make(place)
    big = tarball(f=os.urandom(9_000_000))
    registry.put_image("big", big)

    with pytest.raises(UnavailableError, match=r"more than 90\d{5} bytes, and \d+ are free"):
        await images.pull(f"{registry.address}/big:1")

    assert registry.asked(digest_of(big)) == []


@pytest.mark.parametrize("way", ["pull", "load", "import"])
async def test_f15_a_disk_that_fills_up_leaves_what_was_there(registry, make, disk, tmp_path, way):
    place = disk()
    images = make(place)
    small = tmp_path / "small.tar"
    small.write_bytes(tarball(f=b"small"))
    kept = await images.import_rootfs(small, name="kept")
    big = tarball(f=bytes(9_000_000))

    match way:
        case "pull":
            registry.put_image("big", gzip.compress(big), diffs=[digest_of(big)])
            taking_in = images.pull(f"{registry.address}/big:1")
        case "load":
            taking_in = images.load(write_layout(tmp_path / "layout", big), name="big")
        case _:
            (tmp_path / "big.tar").write_bytes(big)
            taking_in = images.import_rootfs(tmp_path / "big.tar", name="big")
    with pytest.raises(UnavailableError, match="no space") as caught:
        await taking_in

    assert caught.value.code == "no_space"
    assert "prune" in caught.value.hint
    assert staged(place) == []
    assert await images.list() == (kept,)
    assert await images.check(deep=True) == ()


async def test_f18_a_disk_without_inodes_is_told_as_a_full_one(make, disk, tmp_path):
    place = disk("-N", "64")
    images = make(place)
    many = tmp_path / "many.tar"
    many.write_bytes(tarball(**{f"f{number}": b"" for number in range(200)}))

    with pytest.raises(UnavailableError, match="inode"):
        await images.import_rootfs(many, name="many")

    assert staged(place) == []
    assert await images.list() == ()


async def test_f15_what_is_removed_makes_room(make, disk, tmp_path):
    images = make(disk())
    for number in range(6):
        source = tmp_path / f"{number}.tar"
        source.write_bytes(tarball(f=os.urandom(2_000_000)))
        await images.import_rootfs(source, name=f"tiny:{number}")
        await images.remove(f"tiny:{number}")
        await images.prune()

    assert await images.list() == ()


# ── what must not go ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def rootfs(tmp_path):
    def rootfs(text):
        path = tmp_path / f"{text}.tar"
        path.write_bytes(tarball(f=text.encode()))
        return path

    return rootfs


async def test_f37_a_needed_image_outlives_its_name(images, rootfs):
    old = await images.import_rootfs(rootfs("old"), name="app")

    async def needed():
        return {old.id: "container `x/a.1`"}

    images.keep_for(needed)
    await images.import_rootfs(rootfs("new"), name="app")
    await images.prune(unused=True)

    assert await images.find(old.id) is not None
    assert (old.layers[0] / "f").read_text() == "old"
    with pytest.raises(ConflictError, match=r"container `x/a\.1` needs it"):
        await images.remove(old.id)


async def test_f37_pruning_beside_pulls_takes_nothing_of_them(registry, images):
    shared = tarball(f=os.urandom(100_000))
    for number in range(8):
        registry.put_image(f"app{number}", shared, tarball(own=str(number).encode()))
    done = asyncio.Event()

    async def prune():
        count = 0
        while not done.is_set():
            await images.prune()
            count += 1
        return count

    pruning = asyncio.create_task(prune())
    names = [f"{registry.address}/app{number}:1" for number in range(8)]
    pulled = await asyncio.gather(*(images.pull(name) for name in names))
    done.set()

    assert await pruning > 0
    assert all(layer.is_dir() for facts in pulled for layer in facts.layers)
    assert await images.check(deep=True) == ()


async def test_f37_what_comes_in_is_not_pruned_before_it_is_there(registry, images, rootfs):
    """Nobody needs any of it; but whoever brings it must not fail because of that."""
    for number in range(8):
        registry.put_image(f"app{number}", tarball(own=str(number).encode()))
    files = [rootfs(f"own{number}") for number in range(4)]
    done = asyncio.Event()

    async def prune():
        while not done.is_set():
            await images.prune(unused=True)

    pruning = [asyncio.create_task(prune()) for _ in range(2)]
    pulls = [images.pull(f"{registry.address}/app{number}:1") for number in range(8)]
    imports = [images.import_rootfs(path, name=path.stem) for path in files]
    found = await asyncio.gather(*pulls, *imports)
    done.set()
    await asyncio.gather(*pruning)

    assert len({facts.id for facts in found}) == 12
    assert await images.check(deep=True) == ()


async def test_f37_what_a_pull_has_already_is_not_collected_under_it(registry, images):
    shared = tarball(f=os.urandom(100_000))
    other = tarball(own=b"x")
    registry.put_image("old", shared)
    registry.put_image("new", shared, other)
    await images.pull(f"{registry.address}/old:1")
    arrived, go = asyncio.Event(), asyncio.Event()

    async def waits(request, data):
        arrived.set()
        await go.wait()
        return ranged(request, data)

    registry.fail(digest_of(other), waits)
    pull = asyncio.create_task(images.pull(f"{registry.address}/new:1"))
    await arrived.wait()
    await images.remove(f"{registry.address}/old:1")
    await images.prune(unused=True)
    go.set()

    facts = await pull
    assert all(layer.is_dir() for layer in facts.layers)
    assert len(registry.asked(digest_of(shared))) == 1


async def test_f20_an_unreadable_image_is_no_reason_to_delete(images, rootfs):
    kept = await images.import_rootfs(rootfs("kept"), name="kept")
    broken = await images.import_rootfs(rootfs("broken"), name="broken")
    (images.store._blobs / broken.id[7:]).write_text("damaged")
    await images.import_rootfs(rootfs("third"), name="kept")

    freed = await images.prune()

    assert freed.size == 0
    assert (kept.layers[0] / "f").exists()
    assert (broken.layers[0] / "f").exists()
    assert [one.subject for one in await images.check()] == [f"document {broken.id}"]


# ── damage ───────────────────────────────────────────────────────────────────────────────


def flip(path, place=5):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a byte of a file": lambda layer, blob: flip(layer / "f"),
    "a file gone": lambda layer, blob: (layer / "f").unlink(),
    "a file more": lambda layer, blob: (layer / "more").touch(),
    "a file cut off": lambda layer, blob: os.truncate(layer / "f", 3),
    "a mode": lambda layer, blob: (layer / "f").chmod(0o4755),
    "an owner": lambda layer, blob: os.chown(layer / "f", 7, 7),
    "an attribute": lambda layer, blob: os.setxattr(layer / "f", "user.more", b"x"),
    "a layer gone": lambda layer, blob: shutil.rmtree(layer),
    "a byte of a blob": lambda layer, blob: flip(blob("layers")),
    "a blob gone": lambda layer, blob: blob("layers").unlink(),
    "a blob cut off": lambda layer, blob: os.truncate(blob("layers"), 3),
    "a byte of the manifest": lambda layer, blob: flip(blob("manifest")),
    "the manifest gone": lambda layer, blob: blob("manifest").unlink(),
    "a byte of the configuration": lambda layer, blob: flip(blob("config")),
    "the configuration gone": lambda layer, blob: blob("config").unlink(),
    "layer and blob": lambda layer, blob: (flip(layer / "f"), flip(blob("layers"))),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_f20_damage_is_found_named_and_mended_from_the_registry(registry, images, damage):
    manifest = registry.put_image("tiny", tarball(f=b"whole" * 100))
    name = f"{registry.address}/tiny:1"
    facts = await images.pull(name)
    document = json.loads(manifest)
    digests = {
        "manifest": facts.id,
        "config": document["config"]["digest"],
        "layers": document["layers"][0]["digest"],
    }
    DAMAGES[damage](facts.layers[0], lambda what: images.store._blobs / digests[what][7:])

    found = await images.check(deep=True)
    mended = await images.check(deep=True, repair=True)

    assert found
    assert all(one.references == (name,) for one in found)
    assert all(one.repaired for one in mended)
    assert await images.check(deep=True) == ()
    assert (facts.layers[0] / "f").read_bytes() == b"whole" * 100


async def test_f20_what_nobody_knows_the_origin_of_is_named_and_stays(images, rootfs):
    facts = await images.import_rootfs(rootfs("mine"), name="mine")
    flip(facts.layers[0] / "f", 0)
    (blob,) = [path for path in images.store._blobs.iterdir() if path.suffix]
    blob.unlink()

    told = await images.check(deep=True, repair=True)

    assert {one.repaired for one in told} == {False}
    assert all("import the image again" in one.remedy for one in told)
    assert (facts.layers[0] / "f").exists()


async def test_f20_a_layer_of_no_image_goes_when_it_is_asked_for(images, rootfs):
    facts = await images.import_rootfs(rootfs("kept"), name="kept")
    stray = images.store._layers / ("0" * 64)
    (stray / "d").mkdir(parents=True)

    await images.prune()

    assert not stray.exists()
    assert facts.layers[0].is_dir()
