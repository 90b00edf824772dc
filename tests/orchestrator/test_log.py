"""The daemon's own log, where it can be written and where it cannot."""

import json
import os
import resource

from orchestrator.log import EnduringLog


def test_lines_that_cannot_be_written_raise_nothing_and_are_counted_in_the_next_that_can(tmp_path):
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    full = os.open("/dev/full", os.O_WRONLY)
    log = EnduringLog(descriptor)
    kept = os.dup(descriptor)
    log.write("one\n")
    os.dup2(full, descriptor)
    for line in ("two\n", "three\n"):
        log.write(line)
    os.dup2(kept, descriptor)
    log.write("four\n")
    log.write("five\n")
    for one in (descriptor, full, kept):
        os.close(one)

    first, told, *rest = path.read_text().splitlines()
    assert (first, rest) == ("one", ["four", "five"])
    assert json.loads(told) == {"event": "log.lost", "lines": 2, "level": "warning"}


def test_a_line_that_was_cut_off_is_ended_before_the_next(tmp_path):
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = EnduringLog(descriptor)
    usual, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, most))
    try:
        log.write("a long line\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, most))
    log.write("next\n")
    os.close(descriptor)

    cut, told, rest = path.read_text().splitlines()
    assert (cut, rest) == ("a lo", "next")
    assert json.loads(told)["lines"] == 1


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path):
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    EnduringLog(descriptor).write("odd \udcff\n")
    os.close(descriptor)

    assert path.read_bytes() == b"odd \\udcff\n"
