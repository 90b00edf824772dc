"""The builder beside a collection of images."""

import io
import secrets
import tarfile

import pytest

from runtime.build.builder import Builder
from runtime.image import Images
from runtime.types import BuildConfig, Instance
from tests.images import write_layout

pytestmark = pytest.mark.root


@pytest.fixture
def instance(tmp_path):
    name = f"t{secrets.token_hex(3)}"
    return Instance(name=name, data=tmp_path / "data", run=tmp_path / "run")


@pytest.fixture
async def images(instance):
    images = Images(instance)
    images.open()
    yield images
    await images.close()


async def build(builder, dockerfile, **more):
    """Build with a context without files; return the image and what was said."""
    told = []

    async def context():
        stream = io.BytesIO()
        tarfile.open(fileobj=stream, mode="w").close()
        yield stream.getvalue()

    async def output(data):
        told.append(data)

    config = BuildConfig(names=("made",), dockerfile=dockerfile, offline=True, **more)
    return await builder.build(config, context(), output), b"".join(told).decode()


async def test_a_step_is_not_taken_from_one_that_began_with_another_configuration(
    instance, images, busybox
):
    builder = Builder(instance, images)
    builder.open()
    dockerfile = "FROM base\nRUN echo $MODE > /mode\nRUN cat /mode\n"
    made, said = {}, {}
    for mode in ("one", "two", "one"):
        await images.import_rootfs(busybox, name="base", config={"Env": [f"MODE={mode}"]})
        found, said[mode] = await build(builder, dockerfile)
        assert made.setdefault(mode, found.id) == found.id

    assert made["one"] != made["two"]
    assert said["two"].count("\ntwo\n") == 1
    assert "Using cache" not in said["two"]
    # The same base as before: both steps are there.
    assert said["one"].count("Using cache") == 2


async def test_what_is_built_tells_of_its_base_what_that_one_says(
    instance, images, tmp_path, busybox
):
    history = [
        {"created": "2026-01-02T03:04:05Z", "created_by": "ADD rootfs.tar /", "comment": "mine"},
        {"created": "2026-01-02T03:04:06Z", "created_by": "ENV A=1", "empty_layer": True},
    ]
    layout = write_layout(tmp_path / "layout", busybox.read_bytes(), history=history)
    await images.load(layout, name="base")
    builder = Builder(instance, images)
    builder.open()

    await build(builder, "FROM base\nRUN true\n")

    found = (await images.inspect("made"))["Config"]["history"]
    assert found[:2] == history
    assert len(found) == 3


async def test_f37_what_a_build_begins_with_stays_until_it_is_done(instance, images, busybox):
    base = await images.import_rootfs(busybox, name="base")
    builder = Builder(instance, images)
    builder.open()
    told = []

    async def context():
        # Nobody needs the base but this build.
        await images.prune(unused=True)
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("0/file"))
        yield stream.getvalue()

    async def output(data):
        told.append(data)
        await images.prune(unused=True)

    config = BuildConfig(names=("made",), dockerfile="FROM base\nCOPY . /\n", offline=True)
    made = await builder.build(config, context(), output)

    assert b"COPY" in b"".join(told)
    assert made.layers[: len(base.layers)] == base.layers
    assert await images.check(deep=True) == ()
    await images.prune(unused=True)
    assert await images.list() == ()
