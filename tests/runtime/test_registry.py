"""A registry fails in every way there is; what ends up in the store is whole, or nothing is."""

import asyncio
import base64
import gzip
import json
import os
import tarfile
from contextlib import AsyncExitStack

import pytest
import zstandard

from runtime.errors import DriverError, InvalidError, NotFoundError, UnavailableError
from runtime.image import Images
from runtime.image.credentials import Credentials
from runtime.image.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from runtime.image.patience import Limits
from runtime.types import Instance
from tests.faulty_registry import (
    FaultyRegistry,
    described,
    dies_after,
    digest_of,
    hangs,
    instead,
    ranged,
    redirect,
    status,
    tarball,
    trickles,
)

pytestmark = pytest.mark.root

PATIENT = Limits(attempts=4, first_pause=0.01, longest_pause=0.05, document=30, total=120)
HASTY = Limits(attempts=3, first_pause=0.01, longest_pause=0.05, stall=0.3, document=0.3, total=120)
PASSWORD = "s3cret-w0rd"


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def registry(stack):
    """A registry that fails as it is told."""
    return await stack.enter_async_context(FaultyRegistry().serve())


@pytest.fixture
async def evil(stack):
    """Another one, whose owner must not learn anything."""
    return await stack.enter_async_context(FaultyRegistry().serve())


@pytest.fixture
def make(tmp_path, stack):
    """Makes stores; nothing of a failed pull may be left in any of them."""

    def make(limits=PATIENT, *, settings="", environ=None):
        number = len(list(tmp_path.glob("data*")))
        data = tmp_path / f"data{number}"
        data.mkdir()
        (data / "registries.toml").write_text(settings)
        images = Images(
            Instance(name="t", data=data, run=data),
            settings=data / "registries.toml",
            limits=limits,
            credentials=Credentials(
                data / "auth.json", {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "x")}
            )
            if environ is None
            else Credentials(data / "auth.json", environ),
        )
        images.open()
        stack.push_async_callback(images.close)
        return images

    return make


@pytest.fixture
def images(make):
    return make()


def left_in(images):
    """Return every file of a store, the lists of names aside."""
    root = images.store._root
    return [path for path in root.rglob("*") if path.is_file() and path.name != "index.json"]


async def refused(images, reference, kind=DriverError, match=None):
    with pytest.raises(kind, match=match) as caught:
        await images.pull(reference)
    assert left_in(images) == []
    assert await images.list() == ()
    return caught.value


BIG = tarball(f=os.urandom(300_000))


# ── the straight path, and every way to pack a layer ─────────────────────────────────────


@pytest.mark.parametrize(
    ("pack", "kind"),
    [
        (bytes, ""),
        (gzip.compress, "+gzip"),
        (zstandard.ZstdCompressor().compress, "+zstd"),
        (lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:]), "+gzip"),
        (
            lambda data: (
                zstandard.compress(data[:99])
                + b"\x50\x2a\x4d\x18\x04\0\0\0skip"
                + zstandard.compress(data[99:])
            ),
            "+zstd",
        ),
    ],
)
async def test_a_layer_arrives_however_it_is_packed(registry, images, pack, kind):
    registry.put_image("tiny", pack(BIG), diffs=[digest_of(BIG)], kind=OCI_LAYER + kind)

    facts = await images.pull(f"{registry.address}/tiny:1")

    assert (facts.layers[0] / "f").stat().st_size == 300_000


async def test_progress_is_told_in_bytes_up_to_the_last(registry, images):
    registry.put_image("tiny", BIG)
    told = []

    await images.pull(f"{registry.address}/tiny:1", progress=told.append)

    assert told[-1].done == told[-1].total == len(BIG)
    assert {step.subject for step in told} == {digest_of(BIG)[7:19]}


async def test_f21_ten_pulls_of_one_image_download_it_once(registry, images):
    registry.put_image("tiny", BIG)
    told = [[] for _ in range(10)]

    found = await asyncio.gather(
        *(images.pull(f"{registry.address}/tiny:1", progress=one.append) for one in told)
    )

    assert len({facts.id for facts in found}) == 1
    assert len(registry.asked(digest_of(BIG))) == 1
    assert all(one[-1].done == len(BIG) for one in told)


async def test_f21_images_that_share_a_layer_download_it_once(registry, images):
    names = [f"app{number}" for number in range(10)]
    for name in names:
        registry.put_image(name, BIG, tarball(own=name.encode()))

    await asyncio.gather(*(images.pull(f"{registry.address}/{name}:1") for name in names))

    assert len(registry.asked(digest_of(BIG))) == 1


async def test_f21_who_leaves_a_shared_pull_does_not_end_it_for_the_others(registry, images):
    registry.put_image("tiny", BIG)
    arrived, go = asyncio.Event(), asyncio.Event()

    async def waits(request, data):
        arrived.set()
        await go.wait()
        return ranged(request, data)

    registry.fail(digest_of(BIG), waits)
    first = asyncio.create_task(images.pull(f"{registry.address}/tiny:1"))
    await arrived.wait()
    second = asyncio.create_task(images.pull(f"{registry.address}/tiny:1"))
    await asyncio.sleep(0)
    first.cancel()
    go.set()

    assert (await second).references == (f"{registry.address}/tiny:1",)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_f21_a_pull_everybody_left_ends_and_leaves_nothing(registry, images):
    registry.put_image("tiny", BIG)
    arrived = asyncio.Event()

    async def waits(request, data):
        arrived.set()
        await asyncio.Event().wait()

    registry.fail(digest_of(BIG), waits)
    pull = asyncio.create_task(images.pull(f"{registry.address}/tiny:1"))
    await arrived.wait()
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    await images.close()

    assert left_in(images) == []


# ── trouble that passes ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reset", [False, True])
async def test_f21_a_broken_transfer_goes_on_where_it_stopped(registry, images, reset):
    registry.put_image("tiny", BIG)
    registry.fail(digest_of(BIG), dies_after(100_000, reset=reset), dies_after(90_000))

    await images.pull(f"{registry.address}/tiny:1")

    first, *others = registry.asked(digest_of(BIG))
    assert "Range" not in first.headers
    assert others
    starts = [int(one.headers["Range"].removeprefix("bytes=").rstrip("-")) for one in others]
    assert starts == sorted(starts)
    assert starts[-1] > 0


async def test_f21_a_changed_blob_is_begun_with_anew(registry, images):
    registry.put_image("tiny", BIG)

    async def other_tag(request, data):
        assert "Range" in request.headers
        return ranged(request, data, tag='"another"')

    registry.fail(digest_of(BIG), dies_after(100_000), other_tag)

    facts = await images.pull(f"{registry.address}/tiny:1")

    assert (facts.layers[0] / "f").stat().st_size == 300_000


async def test_f21_a_registry_that_knows_no_ranges_is_begun_with_anew(registry, images):
    registry.put_image("tiny", BIG)
    registry.fail(digest_of(BIG), dies_after(100_000), instead(BIG))

    await images.pull(f"{registry.address}/tiny:1")

    assert "Range" in registry.asked(digest_of(BIG))[1].headers


async def test_f21_a_part_that_is_not_the_one_asked_for_is_not_glued_on(registry, images):
    registry.put_image("tiny", BIG)

    async def wrong_part(request, data):
        from aiohttp import web

        headers = {"Content-Range": f"bytes 5-{len(data) - 1}/{len(data)}"}
        return web.Response(status=206, body=data[5:], headers=headers)

    registry.fail(digest_of(BIG), dies_after(100_000), wrong_part)

    facts = await images.pull(f"{registry.address}/tiny:1")

    assert (facts.layers[0] / "f").stat().st_size == 300_000


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("path", ["/manifests/1", "/blobs/"])
async def test_f21_a_status_that_passes_is_waited_for(registry, images, code, path):
    registry.put_image("tiny", BIG)
    registry.fail(path, status(code, Retry_After="0"), status(code))

    await images.pull(f"{registry.address}/tiny:1")


@pytest.mark.parametrize("when", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_f21_what_a_registry_asks_for_goes_before_our_own_patience(registry, make, when):
    images = make(Limits(attempts=3, first_pause=3600, longest_pause=3600))
    registry.put_image("tiny", BIG)
    for path in ("/manifests/1", digest_of(BIG)):
        registry.fail(path, status(429, Retry_After=when), status(503, Retry_After=when))

    await images.pull(f"{registry.address}/tiny:1")

    assert len(registry.asked(digest_of(BIG))) == 3


@pytest.mark.parametrize("reset", [False, True])
async def test_f21_a_document_that_breaks_off_is_asked_for_again(registry, images, reset):
    registry.put_image("tiny", BIG)
    for path in ("/manifests/1", "/blobs/"):
        registry.fail(path, dies_after(20, reset=reset), dies_after(0, reset=reset))

    await images.pull(f"{registry.address}/tiny:1")

    assert len(registry.asked("/manifests/1")) == 3


async def test_f21_how_long_to_wait_is_what_the_registry_asks_for_within_reason():
    limits = Limits(longest_pause=30)

    assert limits.pause("x", 1, asked=7) == 7
    assert limits.pause("x", 1, asked=10_000) == 30
    assert limits.pause("x", 1, asked=-5) == 0


async def test_pauses_grow_differ_between_pulls_and_are_the_same_each_time():
    limits = Limits()

    pauses = [limits.pause("one", attempt) for attempt in range(1, 6)]

    assert pauses == sorted(pauses)
    assert pauses == [limits.pause("one", attempt) for attempt in range(1, 6)]
    assert pauses[0] != limits.pause("other", 1)
    assert limits.pause("one", 50) <= limits.longest_pause * 1.25


async def test_f21_trouble_that_does_not_pass_is_given_up(registry, images):
    registry.put_image("tiny", BIG)
    registry.fail(digest_of(BIG), *[status(500)] * 50)

    error = await refused(images, f"{registry.address}/tiny:1", UnavailableError, "500")

    assert error.retryable
    assert len(registry.asked(digest_of(BIG))) == PATIENT.attempts


async def test_f21_a_registry_that_dies_each_time_without_getting_on_is_given_up(registry, images):
    registry.put_image("tiny", BIG)
    registry.fail(digest_of(BIG), *[dies_after(10)] * 200)

    await refused(images, f"{registry.address}/tiny:1", UnavailableError)

    assert len(registry.asked(digest_of(BIG))) <= 2 * PATIENT.attempts


async def test_f21_a_transfer_that_trickles_is_broken_off(registry, make):
    images = make(HASTY)
    registry.put_image("tiny", BIG)
    registry.fail(digest_of(BIG), *[trickles()] * 50)

    await refused(images, f"{registry.address}/tiny:1", UnavailableError, "only .* bytes in")


async def test_f21_a_trickling_document_is_broken_off(registry, make):
    images = make(HASTY)
    registry.put_image("tiny", BIG)
    registry.fail("/manifests/1", *[trickles()] * 50)

    await refused(images, f"{registry.address}/tiny:1", UnavailableError)


async def test_f21_a_registry_that_never_answers_is_given_up(registry, make):
    images = make(HASTY)
    registry.put_image("tiny", BIG)
    registry.fail("/blobs/", *[hangs()] * 50)

    await refused(images, f"{registry.address}/tiny:1", UnavailableError)


async def test_nobody_there_is_said_at_once(images, free_port):
    await refused(images, f"127.0.0.1:{free_port}/tiny:1", UnavailableError, "Connect")


# ── content that is not what it says ─────────────────────────────────────────────────────


async def test_f21_m12_r5_a_blob_with_another_digest_is_refused(registry, images):
    registry.put_image("tiny", BIG)
    other = bytearray(BIG)
    other[100_000] ^= 1
    registry.blobs[digest_of(BIG)] = bytes(other)

    await refused(images, f"{registry.address}/tiny:1", InvalidError, "digest")

    assert len(registry.asked(digest_of(BIG))) == 1, "another try would bring the same"


@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1]])
async def test_f21_m12_r5_a_blob_a_byte_longer_or_shorter_is_refused(registry, images, change):
    registry.put_image("tiny", BIG)
    registry.blobs[digest_of(BIG)] = change(BIG)

    await refused(images, f"{registry.address}/tiny:1")


@pytest.mark.parametrize("by", [1, -1])
async def test_f21_m12_r5_a_size_that_is_wrong_by_one_is_refused(registry, images, by):
    manifest = json.loads(registry.put_image("tiny", BIG))
    manifest["layers"][0]["size"] += by
    registry.put_manifest("tiny", json.dumps(manifest).encode())

    await refused(images, f"{registry.address}/tiny:1")


@pytest.mark.parametrize("what", ["manifest", "config"])
async def test_m12_a_document_with_another_digest_is_refused(registry, images, what):
    manifest = registry.put_image("tiny", BIG)
    registry.put_index("multi", (manifest, {"os": "linux", "architecture": "amd64"}))
    if what == "manifest":
        registry.manifests["multi", digest_of(manifest)] = manifest + b" ", OCI_MANIFEST
    else:
        registry.manifests["multi", digest_of(manifest)] = manifest, OCI_MANIFEST
        digest = json.loads(manifest)["config"]["digest"]
        registry.blobs[digest] = registry.blobs[digest].replace(b"true", b"evil")

    await refused(images, f"{registry.address}/multi:1", InvalidError, "digest")


@pytest.mark.parametrize("what", ["manifest", "index"])
async def test_m12_a_document_asked_for_by_digest_must_have_it(registry, images, what):
    data, kind = registry.put_image("tiny", BIG), OCI_MANIFEST
    if what == "index":
        data = registry.put_index("tiny", (data, {"os": "linux", "architecture": "amd64"}))
        kind = OCI_INDEX
    registry.manifests["tiny", digest_of(data)] = data + b" ", kind

    await refused(images, f"{registry.address}/tiny@{digest_of(data)}", InvalidError, "digest")


async def test_m12_a_layer_with_another_diff_id_is_refused(registry, images):
    registry.put_image("tiny", gzip.compress(BIG), diffs=["sha256:" + "0" * 64])

    await refused(images, f"{registry.address}/tiny:1", InvalidError, "not sha256:000")


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../x", "sha256:" + "A" * 64, "sha256:abc", "md5:" + "a" * 32, "sha256:" + "a" * 65],
)
@pytest.mark.parametrize("where", ["config", "layers", "diff"])
async def test_m13_r4_a_digest_that_is_none_never_becomes_a_path(registry, images, digest, where):
    manifest = json.loads(
        registry.put_image("tiny", BIG, diffs=[digest] if where == "diff" else None)
    )
    if where == "config":
        manifest["config"]["digest"] = digest
    elif where == "layers":
        manifest["layers"][0]["digest"] = digest
    registry.put_manifest("tiny", json.dumps(manifest).encode())

    await refused(images, f"{registry.address}/tiny:1", InvalidError, "64 hex digits")


async def test_f21_r8_a_bomb_is_refused_by_what_its_header_says(registry, images):
    info = tarfile.TarInfo("f")
    info.size = 3 * 2**30
    bomb = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**20))
    registry.put_image("tiny", bomb, diffs=["sha256:" + "0" * 64])

    error = await refused(images, f"{registry.address}/tiny:1", InvalidError, "larger than")

    assert error.code == "layer_size"


# ── documents ────────────────────────────────────────────────────────────────────────────


def manifest_with(**changes):
    config = described(b"{}", OCI_CONFIG)
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    return json.dumps({**document, **changes}).encode()


@pytest.mark.parametrize(
    ("data", "kind", "match"),
    [
        (manifest_with(manifests=[]), OCI_MANIFEST, "at once"),
        (manifest_with(), OCI_INDEX, "is called"),
        (manifest_with(mediaType=OCI_INDEX), OCI_MANIFEST, "which it is not"),
        (manifest_with(), "text/html", "kind"),
        (b'{"schemaVersion": 1, "fsLayers": []}', OCI_MANIFEST, "schema 1"),
        (b"[" * 100_000, OCI_MANIFEST, "not JSON"),
        (b"[]", OCI_MANIFEST, "no object"),
        (b'{"layers": 5}', OCI_MANIFEST, "config"),
        (manifest_with(pad="x" * 5_000_000), OCI_MANIFEST, "over"),
        (
            manifest_with(layers=[described(bytes([n % 256]), OCI_LAYER) for n in range(500)]),
            OCI_MANIFEST,
            "500 layers",
        ),
        (
            json.dumps({"manifests": [described(b"x", OCI_MANIFEST)] * 1001}).encode(),
            OCI_INDEX,
            "1000",
        ),
        (
            manifest_with(config={**described(b"{}", OCI_CONFIG), "size": 9_000_000}),
            OCI_MANIFEST,
            "over 8388608 bytes",
        ),
    ],
    ids=[
        "R6 both at once",
        "R6 called an index",
        "R6 calls itself an index",
        "R6 of another kind",
        "schema 1",
        "deep",
        "no object",
        "config",
        "R7 manifest too large",
        "R7 too many layers",
        "R7 too many images",
        "R7 configuration too large",
    ],
)
async def test_m14_a_document_that_is_no_honest_one_is_refused(registry, images, data, kind, match):
    registry.put_manifest("tiny", data, kind=kind)

    await refused(images, f"{registry.address}/tiny:1", InvalidError, match)


async def test_m14_an_image_without_layers_is_refused(registry, images):
    registry.put_image("tiny")

    await refused(images, f"{registry.address}/tiny:1", InvalidError, "no layers")


async def test_m14_r7_an_index_within_an_index_is_not_followed(registry, images):
    inner = registry.put_index("multi", (b"x", {"os": "linux", "architecture": "amd64"}), tag="in")
    entry = described(inner, OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64"})
    outer = json.dumps({"mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    registry.put_manifest("multi", outer, kind=OCI_INDEX)

    await refused(images, f"{registry.address}/multi:1", InvalidError, "index")


async def test_m25_an_image_for_other_machines_names_those_it_is_for(registry, images):
    manifest = registry.put_image("tiny", BIG)
    registry.put_index(
        "multi",
        (manifest, {"os": "linux", "architecture": "s390x"}),
        (manifest, {"os": "windows", "architecture": "amd64"}),
    )

    error = await refused(images, f"{registry.address}/multi:1", InvalidError)

    assert error.code == "platform"
    assert "linux/s390x" in str(error)
    assert "windows/amd64" in str(error)


async def test_m25_one_image_for_another_machine_than_was_asked_for_is_refused(registry, images):
    registry.put_image("tiny", BIG)

    with pytest.raises(InvalidError, match="none for linux/s390x, only linux/amd64") as told:
        await images.pull(f"{registry.address}/tiny:1", platform="linux/s390x")

    assert told.value.code == "platform"
    assert left_in(images) == []


async def test_r11_the_platform_that_is_asked_for_is_chosen_and_noted(registry, images):
    both = []
    for variant in ("v6", "v7"):
        platform = {"os": "linux", "architecture": "arm", "variant": variant}
        own = tarball(own=variant.encode())
        both.append((registry.put_image("multi", own, platform=platform), platform))
    registry.put_index("multi", *both)

    facts = await images.pull(f"{registry.address}/multi:1", platform="linux/arm/v7")

    assert facts.id == digest_of(both[1][0])
    origin = images.store.catalog().images[facts.id]
    assert origin.platform == "linux/arm/v7"
    assert origin.source == f"{registry.address}/multi"


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
    ],
)
async def test_f21_m15_r3_a_layer_that_is_elsewhere_is_never_fetched_there(
    registry, images, evil, kind
):
    registry.put_image("tiny", BIG, kind=kind, urls=[f"http://{evil.address}/layer"])

    await refused(images, f"{registry.address}/tiny:1", InvalidError, "other addresses")

    assert evil.log == []


async def test_f21_m15_r3_addresses_beside_an_honest_layer_are_not_looked_at(
    registry, images, evil
):
    registry.put_image("tiny", BIG, urls=[f"http://{evil.address}/layer"])

    await images.pull(f"{registry.address}/tiny:1")

    assert evil.log == []


# ── who we are, and who may know ─────────────────────────────────────────────────────────


def let_in(images, registry, name=None):
    registry.users = {"me": PASSWORD}
    from runtime.image.credentials import Login

    images.remotes.credentials.keep(name or registry.address, Login("me", PASSWORD))


def basic():
    return "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()


async def test_basic_logins_are_used(registry, images):
    registry.put_image("tiny", BIG)
    let_in(images, registry)

    await images.pull(f"{registry.address}/tiny:1")

    assert registry.asked("/blobs/")[0].headers["Authorization"] == basic()


async def test_tokens_are_got_with_the_login_and_used_instead_of_it(registry, images):
    registry.put_image("tiny", BIG)
    let_in(images, registry)
    registry.challenge = (
        f'Bearer realm="http://{registry.address}/token",service="a, \\"b\\"",scope="x:y:z"'
    )

    await images.pull(f"{registry.address}/tiny:1")

    (asked,) = registry.asked("/token")
    assert asked.headers["Authorization"] == basic()
    assert asked.query == {"service": 'a, "b"', "scope": "repository:tiny:pull"}
    assert registry.asked("/blobs/")[0].headers["Authorization"] == "Bearer the-token"


async def test_a_token_that_ran_out_is_renewed(registry, images):
    registry.put_image("tiny", BIG)
    let_in(images, registry)
    registry.challenge = f'Bearer realm="http://{registry.address}/token"'

    async def expires(request, data):
        registry.token = "a-new-token"
        return await status(401, WWW_Authenticate=registry.challenge)(request, data)

    registry.fail(digest_of(BIG), expires)

    await images.pull(f"{registry.address}/tiny:1")

    assert len(registry.asked("/token")) == 2


async def test_an_identity_token_is_sent_in_a_form(registry, images):
    from runtime.image.credentials import Login

    registry.put_image("tiny", BIG)
    registry.users = {"x": "y"}
    registry.challenge = f'Bearer realm="http://{registry.address}/token"'
    registry.fail("/token", instead(b'{"access_token": "the-token"}', "application/json"))
    images.remotes.credentials.keep(registry.address, Login("", identity_token="identity"))

    await images.pull(f"{registry.address}/tiny:1")

    (asked,) = registry.asked("/token", "POST")
    assert b"refresh_token=identity" in asked.body
    assert b"grant_type=refresh_token" in asked.body


async def test_f21_a_registry_that_is_never_satisfied_is_given_up(registry, images):
    registry.put_image("tiny", BIG)
    let_in(images, registry)
    registry.challenge = f'Bearer realm="http://{registry.address}/token"'
    registry.fail("/manifests/1", *[status(401, WWW_Authenticate=registry.challenge)] * 50)

    error = await refused(images, f"{registry.address}/tiny:1", NotFoundError, "login is refused")

    assert PASSWORD not in str(error)
    assert len(registry.asked("/manifests/1")) <= 3


async def test_a_wrong_password_is_said_so(registry, images):
    registry.put_image("tiny", BIG)
    let_in(images, registry)
    registry.users = {"me": "another"}

    error = await refused(images, f"{registry.address}/tiny:1", NotFoundError, "login is refused")

    assert "pyorch login" in error.hint
    assert PASSWORD not in str(error) + error.hint


async def test_m15_r1_the_login_is_not_sent_where_a_redirect_leads(registry, images, evil):
    registry.put_image("tiny", BIG)
    let_in(images, registry)
    evil.blobs = {digest_of(BIG): BIG}
    place = f"http://{evil.address}/v2/tiny/blobs/{digest_of(BIG)}"
    registry.fail(digest_of(BIG), redirect(place))

    await images.pull(f"{registry.address}/tiny:1")

    (asked,) = evil.log
    assert "Authorization" not in asked.headers


async def test_m15_r1_a_challenge_behind_a_redirect_is_not_answered(registry, images, evil):
    registry.put_image("tiny", BIG)
    let_in(images, registry)
    evil.users = {"x": "y"}
    place = f"http://{evil.address}/v2/tiny/blobs/{digest_of(BIG)}"
    registry.fail(digest_of(BIG), redirect(place))

    await refused(images, f"{registry.address}/tiny:1", NotFoundError)

    assert all("Authorization" not in asked.headers for asked in evil.log)


@pytest.mark.parametrize("named", [False, True])
async def test_f21_m15_r2_another_hosts_token_server_gets_the_login_only_when_it_is_named(
    registry, make, evil, named
):
    settings = f'[registry."{registry.address}"]\ntoken_hosts = ["localhost"]\n'
    images = make(settings=settings if named else "")
    registry.put_image("tiny", BIG)
    let_in(images, registry)
    registry.challenge = f'Bearer realm="http://localhost:{evil.port}/token"'
    evil.users = {"me": PASSWORD}

    if named:
        await images.pull(f"{registry.address}/tiny:1")
    else:
        error = await refused(images, f"{registry.address}/tiny:1", NotFoundError)
        assert "token_hosts" in error.hint

    assert ["Authorization" in one.headers for one in evil.asked("/token")] == [named]


@pytest.mark.parametrize(
    "realm",
    [
        "http://token.invalid/token",
        "http://169.254.169.254/token",
        "https://169.254.169.254/token",
        "https://me:word@token.invalid/",
        "file:///etc/passwd",
        "//token.invalid/",
        "",
        "http://[",
    ],
)
async def test_r2_a_token_server_that_cannot_be_one_is_refused(registry, images, realm):
    registry.put_image("tiny", BIG)
    let_in(images, registry)
    registry.challenge = f'Bearer realm="{realm}"'

    await refused(images, f"{registry.address}/tiny:1", InvalidError, "token server")


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "file:///etc/passwd",
        "unix:///run/x.sock",
        "http://me:word@localhost/",
        "http://[",
    ],
)
async def test_r10_a_redirect_to_where_nothing_may_lead_is_refused(registry, images, place):
    registry.put_image("tiny", BIG)
    registry.fail(digest_of(BIG), redirect(place))

    await refused(images, f"{registry.address}/tiny:1", InvalidError, "redirect")


async def test_f21_r10_redirects_in_a_circle_end(registry, images):
    registry.put_image("tiny", BIG)
    registry.fail(digest_of(BIG), *[redirect(f"/v2/tiny/blobs/{digest_of(BIG)}")] * 50)

    await refused(images, f"{registry.address}/tiny:1", InvalidError, "redirects in a row")

    assert len(registry.asked(digest_of(BIG))) == 6


async def test_r9_http_is_spoken_with_nobody_who_is_not_named(images):
    """Port 80 of a documentation address: nothing may be sent there without TLS."""
    from runtime.image.reference import parse_reference
    from runtime.image.registries import Registries
    from runtime.image.transport import Transport

    endpoint = Registries().endpoint(parse_reference("registry.lan:80/tiny"))

    async with Transport.open(endpoint, images.remotes.credentials, PATIENT) as transport:
        assert transport.root.scheme == "https"


# ── mirrors ──────────────────────────────────────────────────────────────────────────────


async def test_a_mirror_is_asked_first(registry, make, evil):
    registry.put_image("tiny", BIG)
    images = make(settings=f'[registry."127.0.0.1:1"]\nmirrors = ["{registry.address}"]\n')

    facts = await images.pull("127.0.0.1:1/tiny:1")

    assert facts.references == ("127.0.0.1:1/tiny:1",)


@pytest.mark.parametrize("how", ["empty", "dead", "lying", "500"])
async def test_a_mirror_that_is_of_no_use_is_passed_over(registry, make, evil, how, free_port):
    registry.put_image("tiny", BIG)
    evil.put_image("tiny", BIG)
    mirror = evil.address
    match how:
        case "empty":
            evil.manifests.clear()
        case "dead":
            mirror = f"127.0.0.1:{free_port}"
        case "lying":
            evil.blobs[digest_of(BIG)] = bytes(len(BIG))
        case _:
            evil.fail("/v2/tiny", *[status(500)] * 50)
    images = make(settings=f'[registry."{registry.address}"]\nmirrors = ["{mirror}"]\n')

    await images.pull(f"{registry.address}/tiny:1")

    assert registry.asked("/manifests/1")


async def test_r1_a_mirror_does_not_get_the_login_of_the_registry(registry, make, evil):
    registry.put_image("tiny", BIG)
    images = make(settings=f'[registry."{registry.address}"]\nmirrors = ["{evil.address}"]\n')
    let_in(images, registry)
    evil.users = {"me": PASSWORD}

    await images.pull(f"{registry.address}/tiny:1")

    assert all("Authorization" not in one.headers for one in evil.log)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[registry.x]\nmirors = []", "mirors"),
        ("[registry.x]\nmirrors = ['http://x']", "mirrors"),
        ("[registry.x]\nplain_http = 'perhaps'", "plain_http"),
        ("[registry", "registries.toml"),
    ],
)
async def test_settings_that_cannot_be_used_are_named(make, text, match):
    images = make(settings=text)

    await refused(images, "127.0.0.1:1/tiny:1", InvalidError, match)


# ── signatures ───────────────────────────────────────────────────────────────────────────


async def test_what_must_be_signed_is_not_pulled_where_nobody_can_check(
    registry, make, monkeypatch, tmp_path
):
    registry.put_image("app", tarball(a=b"x"))
    monkeypatch.setenv("PATH", str(tmp_path))
    images = make(settings=f'[registry."{registry.address}"]\nsigned_by = ["/k.pub"]\n')
    with pytest.raises(DriverError, match="cosign") as refused:
        await images.pull(f"{registry.address}/app:1")
    assert refused.value.code == "unsupported"
    assert registry.log == []


@pytest.mark.parametrize("signed", [True, False])
async def test_what_must_be_signed_is_pulled_where_a_key_has_signed_its_digest(
    registry, make, monkeypatch, tmp_path, signed
):
    """The program in cosign's place says what it was asked; the last key is the right one."""
    registry.put_image("app", tarball(a=b"x"))
    program = tmp_path / "cosign"
    asked = tmp_path / "asked"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\n[ $3 = {"/two" if signed else "/x"} ] || exit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    images = make(settings=f'[registry."{registry.address}"]\nsigned_by = ["/one", "/two"]\n')
    name = f"{registry.address}/app"
    if signed:
        facts = await images.pull(f"{name}:1")
        assert asked.read_text() == "".join(
            f"verify --key {key} {name}@{facts.id}\n" for key in ("/one", "/two")
        )
        return
    with pytest.raises(InvalidError) as refused:
        await images.pull(f"{name}:1")
    assert refused.value.code == "signature"
    assert await images.list() == ()
    # The manifest and the configuration were asked for, and no layer.
    assert len([seen for seen in registry.log if "/blobs/" in seen.path]) == 1
