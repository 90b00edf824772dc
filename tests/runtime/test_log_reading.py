"""A replica's log over all its files, and many replicas' logs by time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.logs import NANO, LogReader, Loss, MergedLogs, Range
from runtime.logs.folder import begin_run, end_run, keep_name, list_segments, newest_run, numbered
from runtime.logs.losses import note_loss
from runtime.logs.merging import Entry, merge
from tests.runtime.logs import segment_of, written

FILES = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from("FFFP")), max_size=8),
    ),
    min_size=1,
    max_size=5,
)
"""Files of a log: how many runs later than the one before, compressed or not, and records."""


def lay_out(folder, files):
    """Write the files; return every line with its run and moment, and one text for each."""
    lines, run, number, now, count, begun = [], 1, 0, 0, 0, None
    for later, packed, records in files:
        if later > 1 and number:
            run, number = run + 1, 0
            if begun is not None:
                lines.append(begun)
            begun = None
        number += 1
        data = b""
        for ahead, kind in records:
            now, count = now + ahead, count + 1
            text = b"%d," % count
            data += written(now, text, kind)
            first = begun or (run, now, b"")
            first = (*first[:2], first[2] + text)
            begun = None if kind == "F" else first
            if kind == "F":
                lines.append(first)
        segment_of(folder, data, packed=packed, run=run, number=number, block=100)
    return lines + ([begun] if begun is not None else [])


def texts(reader, **more):
    found = [line.text for line in reader.read(**more)]
    reader.close()
    return found


@given(FILES)
def test_every_line_comes_once_and_in_order(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("log")
    lines = lay_out(folder, files)

    assert texts(LogReader(folder)) == [text for _, _, text in lines]


@given(FILES, st.integers(-1, 40), st.integers(-1, 40))
def test_a_range_is_what_is_left_of_all_lines(tmp_path_factory, files, since, until):
    folder = tmp_path_factory.mktemp("log")
    files = [
        (later, packed, [(ahead, "F") for ahead, _ in records]) for later, packed, records in files
    ]
    lines = lay_out(folder, files)

    found = texts(LogReader(folder, Range(since=since * NANO, until=until * NANO)))

    assert found == [text for _, at, text in lines if since <= at <= until]


@given(FILES, st.integers(0, 20), st.none() | st.integers(0, 20))
def test_the_last_lines_are_those_of_all_files(tmp_path_factory, files, count, until):
    folder = tmp_path_factory.mktemp("log")
    files = [
        (later, packed, [(ahead, "F") for ahead, _ in records]) for later, packed, records in files
    ]
    lines = lay_out(folder, files)

    wanted = Range(tail=count, until=None if until is None else until * NANO)
    found = texts(LogReader(folder, wanted))

    kept = [text for _, at, text in lines if until is None or at <= until]
    assert found == (kept[-count:] if count else [])


@given(FILES, st.data())
def test_whoever_goes_on_from_a_place_misses_nothing(tmp_path_factory, files, data):
    folder = tmp_path_factory.mktemp("log")
    lines = [text for _, _, text in lay_out(folder, files)]
    first = LogReader(folder)
    reading = first.read(ended=False)
    count = data.draw(st.integers(0, len(lines)))
    told = [line.text for _, line in zip(range(count), reading, strict=False)]
    reading.close()

    rest = texts(LogReader(folder, start=first.place))

    first.close()
    assert told == lines[: len(told)]
    assert rest == lines[len(lines) - len(rest) :]
    assert len(told) + len(rest) >= len(lines)


def test_a_log_is_followed_over_turns_and_runs(tmp_path):
    begin_run(tmp_path, 1)
    reader = LogReader(tmp_path)
    with (tmp_path / "1.log").open("ab") as file:
        file.write(written(1, b"one") + written(2, b"be", "P"))
        file.flush()
        assert [line.text for line in reader.read(ended=False)] == [b"one"]
        # What the monitor does when it is told to take another file.
        (tmp_path / "1.log.tmp").rename(tmp_path / "1.log")
        file.write(written(3, b"gi", "P"))
    (tmp_path / "1.log").write_bytes(written(4, b"n") + written(5, b"half", "P"))
    assert [line.text for line in reader.read(ended=False)] == [b"begin"]
    keep_name(tmp_path, 1)
    end_run(tmp_path, 1)
    begin_run(tmp_path, 2)
    (tmp_path / "2.log").write_bytes(written(6, b"again"))

    assert [line.text for line in reader.read(ended=False)] == [b"half", b"again"]
    assert list(reader.read(ended=False)) == []
    reader.close()
    assert [(one.run, one.number) for one in list_segments(tmp_path)] == [(1, 1), (1, 2), (2, 1)]
    assert newest_run(tmp_path) == 2


def test_files_that_went_before_they_were_read_are_counted(tmp_path):
    for number in (1, 2, 3, 4):
        segment_of(tmp_path, written(number, b"%d" % number), number=number)
    reader = LogReader(tmp_path)
    lines = reader.read()
    assert next(lines).text == b"1"
    for number in (1, 2, 3):
        numbered(tmp_path, 1, number).unlink()

    assert [line.text for line in lines] == [b"4"]
    assert reader.skipped == 2
    reader.close()


@pytest.mark.parametrize(("runs", "expected"), [(1, []), (2, [b"1"]), (3, [b"2"])])
def test_the_previous_run_is_the_one_before_the_last(tmp_path, runs, expected):
    for run in range(1, runs + 1):
        segment_of(tmp_path, written(run, b"%d" % run), run=run)

    assert texts(LogReader(tmp_path, Range(previous=True))) == expected


@given(st.lists(st.lists(st.integers(0, 20), max_size=8).map(sorted), max_size=5))
def test_merging_keeps_every_line_and_the_order_of_time(streams):
    entries = [
        [Entry(at, str(owner), place) for place, at in enumerate(stream)]
        for owner, stream in enumerate(streams)
    ]

    found = list(merge(map(iter, entries)))

    assert sorted(found) == sorted(entry for stream in entries for entry in stream)
    assert [entry.at for entry in found] == sorted(entry.at for entry in found)
    for owner, stream in enumerate(entries):
        assert [entry for entry in found if entry.owner == str(owner)] == stream


def test_what_was_lost_is_told_in_its_place(tmp_path):
    for owner, second in (("a", 1), ("b", 3)):
        (tmp_path / owner).mkdir()
        segment_of(tmp_path / owner, written(second, b"x"))
    note_loss(tmp_path / "b", Loss(since=NANO, at=2 * NANO, size=77, why="no space"))
    logs = MergedLogs(Range())
    logs.add("a", tmp_path / "a")
    logs.add("b", tmp_path / "b")

    found = logs.batch(ended=False)
    note_loss(tmp_path / "a", Loss(since=NANO, at=9 * NANO, size=5, why="no space"))
    later = logs.batch(ended=False)

    logs.close()
    assert [(entry.owner, entry.at // NANO) for entry in found] == [("a", 1), ("b", 2), ("b", 3)]
    assert [entry.what.size for entry in later] == [5]
