"""Log files: put together to lines from any pieces, and searched without reading all of them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.logs.packed import BLOCK, pack_block
from runtime.logs.records import LONGEST_LINE, NANO, Joiner, parse_head
from runtime.logs.search import find_moment, find_tail, first_moment
from runtime.logs.source import FileSource
from tests.runtime.logs import Given, segment_of, stamp, written

TEXTS = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b""))
LINES = st.lists(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.lists(TEXTS, min_size=1, max_size=4)),
    max_size=12,
)


def read(data: bytes, cuts=()):
    """Feed a file's bytes in pieces, and return the lines."""
    joiner = Joiner()
    found, start = [], 0
    for cut in [*sorted(cuts), len(data)]:
        found += joiner.feed(data[start:cut])
        start = max(start, cut)
    return found + list(joiner.finish())


@given(LINES, st.lists(st.integers(0, 2000), max_size=8))
def test_lines_are_the_same_however_the_file_is_cut(lines, cuts):
    data = b"".join(
        b"%s %s %s %s\n" % (stamp(number), stream.encode(), b"F" if last else b"P", piece)
        for number, (stream, pieces) in enumerate(lines)
        for last, piece in [*((False, one) for one in pieces[:-1]), (True, pieces[-1])]
    )

    found = read(data, [min(cut, len(data)) for cut in cuts])

    assert [(line.stream, line.text) for line in found] == [
        (stream, b"".join(pieces)) for stream, pieces in lines
    ]


@given(st.permutations([0, 0, 0, 1, 1, 1]))
def test_pieces_of_two_streams_that_alternate_come_to_their_own_lines(order):
    left = {0: [b"P a", b"P b", b"F c"], 1: [b"P 1", b"P 2", b"F 3"]}
    names = {0: b"stdout", 1: b"stderr"}
    data = b"".join(b"%s %s %s\n" % (stamp(1), names[one], left[one].pop(0)) for one in order)

    assert {(line.stream, line.text) for line in read(data)} == {
        ("stdout", b"abc"),
        ("stderr", b"123"),
    }


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"2026-11-25T04:10:27.5+01:00 stdout F x\n", [b"x"]),
        (b"2026-11-25T04:2026-11-25T04:10:57.16+00:00 stdout F kept\n", [b"kept"]),
        (b"\0\0\0\0" + stamp(1) + b" stdout F kept\n", [b"kept"]),
        (stamp(1) + b" stdout F one\nrest of something\n", [b"one", b"rest of something"]),
        (b"2026-13-45T99:10:57.16+00:00 stdout F x\n", []),
        (b"\0" * 5000 + b"\n", []),
        (stamp(1) + b" stdout F no end", [b"no end"]),
        (stamp(1) + b" stdout P no end\n", [b"no end"]),
        (stamp(1) + b" stdout F \x1b[31m\xff\r\n", [b"\x1b[31m\xff\r"]),
    ],
)
def test_what_can_be_read_of_a_damaged_file_is(written, told):
    assert [line.text for line in read(written)] == told


def test_a_line_without_an_end_takes_no_more_memory_than_the_longest():
    piece = stamp(1) + b" stdout P " + b"x" * 8192 + b"\n"
    joiner = Joiner()
    found = [line for _ in range(300) for line in joiner.feed(piece)]
    found += joiner.finish()

    assert sum(len(line.text) for line in found) == 300 * 8192
    assert max(len(line.text) for line in found) < LONGEST_LINE + 8192
    assert [line.cut for line in found] == [True, True, False]


@given(st.integers(100_000, 7_000_000_000), st.integers(-14, 14))
def test_a_moment_is_the_same_in_every_zone(second, hours):
    zone = "Z" if not hours else f"{hours:+03d}:00"
    text = datetime.fromtimestamp(second + hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    head = parse_head(f"{text}.123456789{zone} stdout F x".encode())

    assert head.at == second * NANO + 123456789


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=60),
    st.integers(-2, 200),
    st.booleans(),
)
def test_a_moment_is_found_as_if_every_record_were_read(tmp_path_factory, steps, moment, packed):
    given = Given()
    for ahead, length in steps:
        given.add(ahead, length)
    source = FileSource(segment_of(tmp_path_factory.mktemp("s"), given.data, packed=packed))

    found = find_moment(source, moment * NANO)

    expected = next((place for place, at in given.heads if at >= moment * NANO), len(given.data))
    assert found == expected
    assert first_moment(source) == (given.heads[0][1] if given.heads else None)
    source.close()


@given(
    st.lists(st.tuples(st.sampled_from("FFFP"), st.integers(0, 300)), max_size=60),
    st.integers(0, 70),
    st.booleans(),
)
def test_the_last_lines_are_found_as_if_all_were_read(tmp_path_factory, records, count, packed):
    given = Given()
    for kind, length in records:
        given.add(1, length, kind)
    source = FileSource(segment_of(tmp_path_factory.mktemp("s"), given.data, packed=packed))

    place, ends = find_tail(source, count)

    ended = [number for number, (kind, _) in enumerate(records) if kind == "F"]
    assert ends == min(count, len(ended))
    if count and len(ended) > count:
        assert place == given.heads[ended[-count - 1] + 1][0]
    elif count:
        assert place == 0
    source.close()


def test_a_search_reads_little_of_a_large_file(tmp_path):
    line = stamp(0) + b" stdout F " + b"x" * 55 + b"\n"
    data = b"".join(stamp(number) + line[35:] for number in range(100_000))
    source = Counting(FileSource(segment_of(tmp_path, data)))

    assert find_moment(source, 77_777 * NANO) == 77_777 * len(line)
    assert source.read < len(data) / 50
    source.read = 0
    assert find_tail(source, 100) == (99_900 * len(line), 100)
    assert source.read < len(data) / 50


class Counting:
    """A source that counts what is read of it."""

    def __init__(self, source):
        self._source = source
        self.read = 0

    @property
    def size(self):
        return self._source.size

    def read_at(self, offset, count):
        found = self._source.read_at(offset, count)
        self.read += len(found)
        return found


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3100), max_size=6))
def test_a_packed_file_is_read_as_the_one_it_was(tmp_path_factory, data, places):
    source = FileSource(segment_of(tmp_path_factory.mktemp("s"), data, packed=True, block=500))

    assert source.size == len(data)
    for place in places:
        assert data[place:].startswith(source.read_at(place, 700))
        assert bool(source.read_at(place, 700)) == (place < len(data))
    source.close()


def test_a_damaged_member_loses_only_what_was_in_it(tmp_path):
    data = b"".join(written(number, b"line %d" % number) for number in range(BLOCK // 30))
    segment = segment_of(tmp_path, data, packed=True)
    raw = bytearray(segment.path.read_bytes())
    raw[len(pack_block(data[:BLOCK])) // 2] ^= 0xFF
    segment.path.write_bytes(raw)
    source = FileSource(segment)

    joiner = Joiner()
    texts, place = [], 0
    while piece := source.read_at(place, 65536):
        texts += [line.text for line in joiner.feed(piece)]
        place += len(piece)

    assert texts[-1] == b"line %d" % (BLOCK // 30 - 1)
    source.close()
