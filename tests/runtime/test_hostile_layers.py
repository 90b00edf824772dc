"""Layers and archives made to break out, to fill up or to never end.

Each is refused with its code, or lands inside; the tree beside the target never changes,
in content, modes, owners, times or attributes.
"""

import bz2
import gzip
import io
import itertools
import json
import os
import resource
import stat
import tarfile
import zlib

import pytest
import zstandard

from runtime.errors import InvalidError
from runtime.image import intake
from runtime.image.check import tree_digest
from runtime.image.layers import MAX_DEPTH, largest, unpack_layer
from runtime.image.store import Store
from tests.faulty_registry import digest_of
from tests.images import write_layout

pytestmark = pytest.mark.root

DIR, SYM, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def member(name, kind=tarfile.REGTYPE, link="", data=b"", **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o755
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def layer(*members, form=tarfile.PAX_FORMAT):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    stream.seek(0)
    return stream


@pytest.fixture
def place(tmp_path):
    """A target beside a tree that must not change in anything."""
    outside = tmp_path / "outside"
    (outside / "etc").mkdir(parents=True)
    (outside / "etc/passwd").write_text("root:x:0:0\n")
    (outside / "canary").write_text("alive")
    (outside / "canary").chmod(0o640)
    os.chown(outside / "canary", 12, 34)
    os.setxattr(outside / "canary", "user.mark", b"alive")
    (outside / "link").symlink_to("canary")
    (tmp_path / "target").mkdir()
    before = tree_digest(outside), times(outside)
    yield tmp_path
    assert (tree_digest(outside), times(outside)) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "target"]


def times(root):
    return {path: path.lstat().st_mtime_ns for path in (root, *root.rglob("*"))}


def attempt(place, *members):
    """Unpack, and return the code of the refusal; None when it was let in."""
    try:
        unpack_layer(layer(*members), place / "target")
    except InvalidError as error:
        return error.code
    return None


def refused(place, source, code, **limits):
    with pytest.raises(InvalidError) as caught:
        unpack_layer(source, place / "target", **limits)
    assert caught.value.code == code
    assert str(caught.value).isprintable()


# ── M1 names ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "..",
        "a/..",
        "a" * 5000,
        "/".join("a" * 100_000),
        "/".join(["a"] * (MAX_DEPTH + 1)),
        "/".join(["d" * 200] * 30),
    ],
    ids=["up", "down-up", "parent", "itself", "5000", "100000-deep", "too-deep", "too-long"],
)
def test_m1_a_name_that_is_none_is_refused(place, name):
    assert attempt(place, member(name, data=b"x")) == "layer_path"


def test_m1_a_nul_ends_no_name_early(place):
    """The header's own fields end at a NUL; only an extended header can hold one."""
    info, data = member("f", data=b"x")
    info.pax_headers = {"path": "a\0../../evil"}

    assert attempt(place, (info, data)) in ("layer_path", "layer_tar")


def test_m1_an_absolute_name_lands_inside(place):
    assert attempt(place, member("/etc/passwd", data=b"x")) is None
    assert (place / "target/etc/passwd").read_bytes() == b"x"


def test_m1_links_make_no_place_deeper_than_allowed(place):
    """Each link leads to the end of what the one before made."""
    deep = "/".join(["d"] * (MAX_DEPTH // 2))
    members = [member(deep, DIR)]
    for number in range(6):
        members.append(member(f"s{number}", SYM, deep if not number else f"s{number - 1}/{deep}"))
        members.append(member(f"s{number}/{deep}", DIR))

    assert attempt(place, *members) == "layer_path"


# ── M2, M3 links ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("link", ["../outside", "{}/outside", "/", "..", "../../../../../.."])
def test_m2_nothing_goes_out_through_a_symbolic_link(place, link):
    attempt(
        place,
        member("d", SYM, link.format(place)),
        member("d/canary", data=b"dead"),
        member("d/outside/canary", data=b"dead"),
        member("d/new", DIR),
    )


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ("../outside/canary", "layer_path"),
        ("/../outside/canary", "layer_path"),
        ("{}/outside/canary", "layer_link"),
        ("x/" * 300 + "canary", "layer_link"),
        ("h", "layer_link"),
        ("later", "layer_link"),
        ("", "layer_link"),
        ("dir", "layer_link"),
        ("way/canary", "layer_link"),
    ],
)
def test_m3_a_hard_link_leads_to_a_file_of_the_layer_or_nowhere(place, link, code):
    found = attempt(
        place,
        member("dir", DIR),
        member("way", SYM, f"{place}/outside"),
        member("h", HARD, link.format(place)),
        member("later", data=b"x"),
    )

    assert found == code


def test_m3_a_hard_link_to_a_symbolic_one_is_not_written_through(place):
    assert (
        attempt(
            place,
            member("s", SYM, f"{place}/outside/canary"),
            member("h", HARD, "s"),
            member("h", data=b"dead", mode=0o777),
        )
        is None
    )
    assert (place / "target/h").read_bytes() == b"dead"


# ── M4 breakouts other engines were tested with, by their names ──────────────────────────

OUT = "../outside"
BREAKOUTS = {
    "SymlinkAbsolute": [("l", SYM, "{}/outside"), ("l/canary",)],
    "SymlinkUpAndOut": [("l", SYM, "../outside"), ("l/canary",)],
    "SymlinkMultipleAbsolute": [
        ("a", SYM, "{}"),
        ("b", SYM, "a/outside"),
        ("b/canary",),
    ],
    "SymlinkMultipleRelative": [("a", SYM, ".."), ("b", SYM, "a/outside"), ("b/canary",)],
    "SymlinkEmptyFile": [("l", SYM, "{}/outside/canary"), ("l",)],
    "SymlinkParentDirectory": [("d", DIR), ("d/l", SYM, "../.."), ("d/l/outside/canary",)],
    "SymlinkEmptyFilename": [("l", SYM, "{}/outside"), ("l//canary",)],
    "SymlinkParentRelative": [("d/l", SYM, "../../outside"), ("d/l/canary",)],
    "SymlinkSlashEnded": [("l/", SYM, "{}/outside/"), ("l/canary",)],
    "SymlinkOverrideDirectory": [("d", DIR), ("d", SYM, "{}/outside"), ("d/canary",)],
    "SymlinkOverrideDirectoryRelative": [("d/e", DIR), ("d", SYM, OUT), ("d/canary",)],
    "SymlinkOverridePath": [("d/e/f",), ("d", SYM, OUT), ("d/e/f",), ("d/canary",)],
    "HardlinkRelative": [("d/f",), ("d/h", HARD, "../outside/canary"), ("d/h",)],
    "HardlinkDownAndOut": [("h", HARD, "d/../../outside/canary"), ("h",)],
    "HardlinkAbsolute": [("h", HARD, "{}/outside/canary"), ("h",)],
    "HardlinkRelativeLong": [("h", HARD, "../" * 40 + "etc/passwd"), ("h",)],
    "HardlinkRelativeUpAndOut": [("d/h", HARD, "../../outside/canary"), ("d/h",)],
    "HardlinkDirectRelative": [("h", HARD, "../outside"), ("h/canary",)],
    "HardlinkDirectAbsolute": [("h", HARD, "{}/outside"), ("h/canary",)],
    "DirectoryOverrideSymlink": [("d", SYM, OUT), ("d", DIR), ("d/canary",)],
    "DirectoryOverrideSymlinkAndHardlink": [
        ("d", SYM, OUT),
        ("d", DIR),
        ("d/h", HARD, "d/canary"),
        ("d/h",),
    ],
    "WhiteoutRootParent": [(".wh...",)],
    "WhiteoutParent": [("d/.wh...",)],
    "WhiteoutRoot": [("/.wh.",)],
    "WhiteoutCurrentDirectory": [("d/.wh..",)],
    "WhiteoutSymlink": [("l", SYM, OUT), ("l/.wh.canary",)],
    "WhiteoutSymlinkPath": [("d/l", SYM, "../../outside"), ("d/l/.wh.etc",)],
    "WhiteoutDirectoryName": [("d", SYM, OUT), (".wh.d",), ("d/canary",)],
    "WhiteoutDeadSymlinkParent": [("l", SYM, "../nowhere"), ("l/.wh.x",)],
    "WhiteoutRelativePath": [("d/.wh.../../outside/canary",)],
    "HardlinkSymlinkBeforeCreateTarget": [
        ("s", SYM, "{}/outside/new"),
        ("h", HARD, "s"),
        ("h",),
    ],
    "HardlinkSymlinkRelative": [("s", SYM, "../outside/canary"), ("h", HARD, "s"), ("h",)],
    "HardlinkSymlinkAbsolute": [("s", SYM, "{}/outside/canary"), ("h", HARD, "s"), ("h",)],
    "HardlinkSymlinkChmod": [("s", SYM, "{}/outside/canary"), ("h", HARD, "s")],
    "SymlinkMagicLink": [("l", SYM, "/proc/self/cwd"), ("l/canary",)],
    "SymlinkMagicRoot": [("l", SYM, "/proc/1/root{}/outside"), ("l/canary",)],
    "SymlinkLoop": [("a", SYM, "b"), ("b", SYM, "a"), ("a/canary",)],
    "SymlinkToItself": [("a", SYM, "a"), ("a/canary",)],
    "FifoOverSymlink": [("s", SYM, "{}/outside/canary"), ("s", tarfile.FIFOTYPE)],
    "OpaqueThroughSymlink": [("l", SYM, OUT), ("l/.wh..wh..opq",)],
}


REFUSED = {
    "HardlinkRelative": "layer_path",
    "HardlinkDownAndOut": "layer_path",
    "HardlinkAbsolute": "layer_link",
    "HardlinkRelativeLong": "layer_path",
    "HardlinkRelativeUpAndOut": "layer_path",
    "HardlinkDirectRelative": "layer_path",
    "HardlinkDirectAbsolute": "layer_link",
    "DirectoryOverrideSymlinkAndHardlink": "layer_link",
    "WhiteoutRootParent": "layer_whiteout",
    "WhiteoutParent": "layer_whiteout",
    "WhiteoutRoot": "layer_whiteout",
    "WhiteoutCurrentDirectory": "layer_whiteout",
    "WhiteoutDirectoryName": "layer_path",
    "WhiteoutRelativePath": "layer_path",
    "SymlinkLoop": "layer_path",
    "SymlinkToItself": "layer_path",
}
"""The codes of those that are refused; the others land inside."""


@pytest.mark.parametrize("name", BREAKOUTS)
def test_m4_breakout(place, name):
    members = []
    for path, *more in BREAKOUTS[name]:
        kind, link = ([*more, ""] if more else [tarfile.REGTYPE, ""])[:2]
        data = b"dead" if kind == tarfile.REGTYPE and ".wh." not in path else b""
        members.append(member(path, kind, link.format(place), data, mode=0o777, uid=7))

    assert attempt(place, *members) == REFUSED.get(name)


def test_m4_all_forty_are_there():
    assert len(BREAKOUTS) == 40


# ── M5, M6 whiteouts ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [".wh..", ".wh...", ".wh.", "etc/.wh..", ".wh..wh.x"])
def test_m5_a_whiteout_of_nothing_is_refused(place, name):
    assert attempt(place, member(name)) == "layer_whiteout"


def test_m5_an_opaque_root_hides_everything_below_it(place):
    assert attempt(place, member(".wh..wh..opq"), member("f", data=b"x")) is None
    assert os.getxattr(place / "target", "trusted.overlay.opaque") == b"y"


@pytest.mark.parametrize("first", ["whiteout", "file"])
def test_m5_the_last_of_a_whiteout_and_a_file_of_one_name_counts(place, first):
    both = [member(".wh.f"), member("f", data=b"x")]

    assert attempt(place, *(both if first == "whiteout" else both[::-1])) is None

    mode = (place / "target/f").lstat().st_mode
    assert stat.S_ISREG(mode) if first == "whiteout" else stat.S_ISCHR(mode)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_m6_a_whiteout_in_disguise_is_refused(place, kind):
    assert attempt(place, member("f", kind, devmajor=0, devminor=0)) == "layer_device"


@pytest.mark.parametrize(
    "name",
    [
        "trusted.overlay.redirect",
        "trusted.overlay.opaque",
        "trusted.overlay.metacopy",
        "user.overlay.opaque",
        "user.overlay.whiteout",
        "security.selinux",
        "system.posix_acl_access",
    ],
)
def test_m6_attributes_that_steer_the_kernel_are_left_out(place, name):
    headers = {f"SCHILY.xattr.{name}": "y", "SCHILY.xattr.user.kept": "yes"}

    assert attempt(place, member("f", data=b"x", pax_headers=headers)) is None

    assert os.listxattr(place / "target/f") == ["user.kept"]


# ── M7, M8, M9 special files ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_m7_devices_are_not_made(place, kind):
    assert attempt(place, member("sda", kind, devmajor=8, devminor=0)) is None
    assert list((place / "target").iterdir()) == []


def test_m8_a_pipe_is_made_and_never_opened(place):
    assert attempt(place, member("p", tarfile.FIFOTYPE), member("p", tarfile.FIFOTYPE)) is None
    assert stat.S_ISFIFO((place / "target/p").lstat().st_mode)


def test_m9_setuid_and_capabilities_are_kept(place):
    capability = b"\x01\0\0\x02" + (1 << 13).to_bytes(4, "little") + bytes(12)
    text = capability.decode("utf-8", "surrogateescape")
    headers = {"SCHILY.xattr.security.capability": text}

    assert attempt(place, member("ping", data=b"x", mode=0o4755, pax_headers=headers)) is None

    found = place / "target/ping"
    assert stat.S_IMODE(found.stat().st_mode) == 0o4755
    assert os.getxattr(found, "security.capability") == capability


# ── M10 bombs and broken streams ─────────────────────────────────────────────────────────


def zeros(count):
    """Return a gzip stream of a layer that holds ``count`` zeros, without ever holding them."""
    packer = zlib.compressobj(9, wbits=31)
    info = tarfile.TarInfo("f")
    info.size = count
    parts = [packer.compress(info.tobuf(tarfile.GNU_FORMAT))]
    block = bytes(2**20)
    for _ in range(count // len(block)):
        parts.append(packer.compress(block))
    parts.append(packer.compress(bytes(10240)) + packer.flush())
    return b"".join(parts)


def test_m10_r8_a_bomb_is_stopped_by_its_header(place):
    bomb = zeros(2**28)
    assert len(bomb) < 2**20

    refused(place, io.BytesIO(bomb), "layer_size", limit=2**27)

    assert list((place / "target").iterdir()) == []


def test_m10_r8_a_bomb_behind_the_last_file_is_stopped_where_it_goes_too_far(place):
    """What follows the end of the archive is hashed, too, and can be as long as it likes."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(layer(member("f", data=b"x")).getvalue())]
    parts += [packer.compress(bytes(2**20)) for _ in range(64)]
    bomb = b"".join((*parts, packer.flush()))

    refused(place, io.BytesIO(bomb), "layer_size", limit=2**24)


def test_m10_r8_how_large_a_layer_may_be_depends_on_what_arrives():
    assert largest(0) == 2**30
    assert largest(10 * 2**20) < 10 * 2**30
    assert largest(2**40) == 20 * 2**30


def test_m10_a_window_that_fills_the_memory_is_refused(place):
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    content = layer(member("f", data=os.urandom(100_000))).getvalue()
    packed = packer.compress(content) + packer.flush()

    refused(place, io.BytesIO(packed), "layer_codec")


PLAIN = layer(member("f", data=os.urandom(50_000))).getvalue()


def crc_changed():
    packed = bytearray(gzip.compress(PLAIN))
    packed[-6] ^= 1
    return bytes(packed)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (gzip.compress(PLAIN)[:20_000], "layer_codec"),
        (gzip.compress(PLAIN)[:-4], "layer_codec"),
        (crc_changed(), "layer_codec"),
        (gzip.compress(PLAIN) + b"garbage behind it", "layer_codec"),
        (zstandard.compress(PLAIN)[:20_000], "layer_tar"),
        (zstandard.compress(PLAIN) + b"garbage behind it", "layer_codec"),
        (b"\x1f\x8b" + os.urandom(1000), "layer_codec"),
        (bz2.compress(PLAIN), "layer_tar"),
        (b"", "layer_tar"),
        (b"garbage", "layer_tar"),
        (os.urandom(5000), "layer_tar"),
        (PLAIN[:30_000], "layer_tar"),
        (PLAIN[:512] + bytes(50_176) + os.urandom(1024), "layer_tar"),
    ],
)
def test_m10_a_stream_that_is_broken_is_refused(place, data, code):
    refused(place, io.BytesIO(data), code)


def test_m10_several_members_of_gzip_are_one_layer(place):
    packed = gzip.compress(PLAIN[:100]) + gzip.compress(b"") + gzip.compress(PLAIN[100:])

    assert unpack_layer(io.BytesIO(packed), place / "target") == digest_of(PLAIN)


# ── M11 archives that never end ──────────────────────────────────────────────────────────


def header(name="f", size=0, kind=b"0", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for place, value in fields.get("patches", {}).items():
        raw[place : place + len(value)] = value
    raw[148:156] = b" " * 8
    raw[148:156] = f"{sum(raw):06o}\0 ".encode()
    return bytes(raw)


def test_m11_a_sparse_file_counts_as_large_as_it_unpacks(place):
    size = f"{2**40:011o}\0".encode() if 2**40 < 8**11 else b"\x80" + (2**40).to_bytes(11, "big")
    raw = header(kind=tarfile.GNUTYPE_SPARSE, patches={483: size})

    refused(place, io.BytesIO(raw + bytes(10240)), "layer_size")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_m11_a_header_that_would_fill_the_memory_is_refused(place, kind):
    raw = header(kind=kind, patches={124: f"{2**30:011o}\0".encode()})

    refused(place, io.BytesIO(raw + bytes(10240)), "layer_tar")


@pytest.mark.parametrize("size", [-1, -256, -512, -1024, -(2**40)])
def test_m11_a_negative_size_does_not_go_round_for_ever(place, size):
    raw = header(patches={124: size.to_bytes(12, "big", signed=True)})

    refused(place, io.BytesIO(raw * 3 + bytes(10240)), "layer_tar")


def test_m11_an_archive_without_an_end_is_as_long_as_it_is(place):
    whole = layer(member("f", data=b"x" * 512)).getvalue()[:1024]

    assert unpack_layer(io.BytesIO(whole), place / "target") == digest_of(whole)


def test_m11_r8_more_files_than_allowed_are_refused(place):
    many = layer(*(member(f"f{number}") for number in range(101)))

    refused(place, many, "layer_inodes", entries=100)


def test_m11_one_name_a_hundred_thousand_times_takes_no_memory(place):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    unpack_layer(Endless(header(), 100_000), place / "target")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


class Endless(io.RawIOBase):
    """One block again and again, and then the end of an archive."""

    def __init__(self, block, count):
        self._parts = itertools.chain(itertools.repeat(block, count), [bytes(1024)])
        self._data = b""

    def read(self, size=-1):
        while len(self._data) < size and (part := next(self._parts, b"")):
            self._data += part
        found, self._data = self._data[:size], self._data[size:]
        return found


# ── M26 odd names, times and owners ──────────────────────────────────────────────────────


def test_m26_names_that_only_look_alike_are_different_files(place):
    names = ["File", "file", "\u00e9", "e\u0301", "new\nline", "\x1b[31mred", "\udcff"]

    assert attempt(place, *(member(name, data=b"x") for name in names)) is None

    assert len(list((place / "target").iterdir())) == len(names)


@pytest.mark.parametrize("moment", ["-4611686018427387904", "4611686018427387904", "1e308"])
def test_m26_a_time_no_clock_shows_is_moved_to_one_that_can_be(place, moment):
    info, data = member("f", data=b"x", pax_headers={"mtime": moment})

    assert attempt(place, (info, data)) is None
    assert 0 <= (place / "target/f").stat().st_mtime <= 2**33


@pytest.mark.parametrize("moment", ["nan", "inf", "x"])
def test_m26_a_time_that_is_none_harms_nobody(place, moment):
    assert attempt(place, member("f", pax_headers={"mtime": moment})) in (None, "layer_tar")


@pytest.mark.parametrize("owner", [2**31, 2**32 - 1, 2**40])
def test_m26_an_owner_that_can_be_none_is_refused(place, owner):
    assert attempt(place, member("f", uid=owner)) == "layer_path"


def test_m26_r8_an_attribute_larger_than_allowed_is_refused(place):
    headers = {"SCHILY.xattr.user.large": "x" * 65_537}

    assert attempt(place, member("f", pax_headers=headers)) == "layer_xattr"


def test_an_error_shows_nothing_a_terminal_would_obey(place):
    refused(place, layer(member("\x1b]0;x\x07\n../..", data=b"x")), "layer_path")


# ── M23 archives of images ───────────────────────────────────────────────────────────────


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def archive(tmp_path, *members):
    path = tmp_path / "image.tar"
    path.write_bytes(layer(*members).getvalue())
    return path


CONFIG = json.dumps({"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}).encode()


@pytest.mark.parametrize(
    "layer_name",
    ["../outside/canary", "/etc/shadow", "linked.tar", "hard.tar", "missing.tar", "a\0b"],
)
def test_m23_a_layer_of_a_docker_archive_is_a_file_of_it(tmp_path, store, layer_name):
    manifest = json.dumps([{"Config": "c.json", "Layers": [layer_name], "RepoTags": ["a:1"]}])
    source = archive(
        tmp_path,
        member("manifest.json", data=manifest.encode()),
        member("c.json", data=CONFIG),
        member("linked.tar", SYM, "/etc/shadow"),
        member("hard.tar", HARD, "/etc/shadow"),
    )

    with pytest.raises(InvalidError) as caught:
        intake.load(store, source, None)
    assert caught.value.code == "archive"
    assert store.catalog().names == {}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("index.json", b'{"manifests": [' + b" " * 9_000_000 + b"]}"),
        ("manifest.json", b"[" + b" " * 9_000_000 + b"]"),
        ("manifest.json", b"[" * 200_000),
        ("manifest.json", b'[{"Config": 5}]'),
        ("manifest.json", b'[{"Config": "../../etc/passwd", "Layers": [], "RepoTags": ["a"]}]'),
        ("manifest.json", b"{}"),
        ("other", b"x"),
    ],
)
def test_m23_documents_of_an_archive_are_checked(tmp_path, store, name, data):
    with pytest.raises(InvalidError):
        intake.load(store, archive(tmp_path, member(name, data=data)), "a")
    assert store.catalog().names == {}


@pytest.mark.parametrize("what", ["blob", "index", "link", "parent link", "pipe"])
def test_m23_a_layout_is_read_by_digest_and_through_no_link(tmp_path, store, what):
    layout = write_layout(tmp_path / "layout", layer(member("f", data=b"x")).getvalue())
    blobs = layout / "blobs/sha256"
    biggest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    match what:
        case "blob":
            biggest.write_bytes(layer(member("f", data=b"evil")).getvalue())
        case "index":
            (layout / "index.json").write_text('{"manifests": [{"digest": "sha256:../../x"}]}')
        case "link":
            biggest.rename(tmp_path / "elsewhere")
            biggest.symlink_to(tmp_path / "elsewhere")
        case "parent link":
            blobs.rename(tmp_path / "elsewhere")
            blobs.symlink_to(tmp_path / "elsewhere")
        case _:
            biggest.unlink()
            os.mkfifo(biggest)

    with pytest.raises(InvalidError):
        intake.load(store, layout, "a")
    assert store.catalog().names == {}


def test_m23_an_archive_with_a_header_that_fills_the_memory_is_refused(tmp_path, store):
    raw = header(kind=tarfile.XHDTYPE, patches={124: f"{2**30:011o}\0".encode()})
    (tmp_path / "image.tar").write_bytes(raw + bytes(10240))

    with pytest.raises(InvalidError):
        intake.load(store, tmp_path / "image.tar", "a")


@pytest.mark.parametrize(("count", "code"), [(0, "manifest"), (128, "layer_count")])
def test_m30_m14_a_docker_archive_has_layers_and_no_more_than_can_be_mounted(
    tmp_path, store, count, code
):
    told = [{"Config": "c.json", "Layers": ["l.tar"] * count, "RepoTags": ["a:1"]}]
    config = {"rootfs": {"diff_ids": ["sha256:" + "0" * 64] * count}}
    source = archive(
        tmp_path,
        member("manifest.json", data=json.dumps(told).encode()),
        member("c.json", data=json.dumps(config).encode()),
        member("l.tar", data=layer(member("f", data=b"x")).getvalue()),
    )

    with pytest.raises(InvalidError) as caught:
        intake.load(store, source, None)
    assert caught.value.code == code
    assert store.catalog().names == {}


def test_m30_more_layers_than_can_be_mounted_are_refused_with_their_number(tmp_path, store):
    entry = {"digest": "sha256:" + "0" * 64, "size": 0}
    manifest = json.dumps({"config": entry, "layers": [entry] * 1000}).encode()
    digest = digest_of(manifest)
    top = json.dumps({"manifests": [{"digest": digest, "size": len(manifest)}]}).encode()
    source = archive(
        tmp_path,
        member("index.json", data=top),
        member(f"blobs/sha256/{digest[7:]}", data=manifest),
    )

    with pytest.raises(InvalidError, match="1000 layers") as caught:
        intake.load(store, source, "a")
    assert caught.value.code == "layer_count"
