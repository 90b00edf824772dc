"""The builder beside a collection of images."""

import io
import secrets
import tarfile

import pytest

from runtime.build.builder import Builder
from runtime.image import Images
from runtime.types import BuildConfig, Instance

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
