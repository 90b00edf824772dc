"""What `pyorch logs` understands, and what it lets through to a terminal."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.logs import tame
from orchestrator.cli.moments import parse_moment
from orchestrator.errors import PyorchError

NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Somewhere two hours east of Greenwich."""
    monkeypatch.setenv("TZ", "EAST-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("10s", "999990.000000"),
        ("1h30m", "994600.000000"),
        ("1.5ms", "999999.998500"),
        ("1136073600", "1136073600"),
        ("1136073600.000000001", "1136073600.000000001"),
        ("1970-01-02T00:00:00Z", "86400.0"),
        ("1970-01-02T00:00:00.000000001Z", "86400.000000001"),
        ("1970-01-02T02:00:00+02:00", "86400.0"),
        ("1970-01-02T02", "86400.0"),
        ("1970-01-02T02:30", "88200.0"),
        ("1970-01-02 02:00:00", "86400.0"),
        ("1970-01-02", "79200.0"),
    ],
)
def test_a_moment_is_understood(given, seconds):
    assert parse_moment("--since", given, now=NOW) == seconds


@pytest.mark.parametrize("given", ["", "x", "-5s", "5d", "2026-13-01", "1970-01-01T99Z", "²s"])
def test_what_is_no_moment_is_refused_by_name(given):
    with pytest.raises(PyorchError, match=r"--since: .* is no moment"):
        parse_moment("--since", given, now=NOW)


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("plain\ttext", "plain\ttext"),
        ("with an end\r", "with an end"),
        ("over\rwritten", r"over\rwritten"),
        ("\x1b[31mred", "\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
    ],
)
def test_a_line_can_do_nothing_to_a_terminal(line, seen):
    assert tame(line, colours=True) == seen


@given(st.text())
def test_without_colours_every_line_is_printable(text):
    assert all(mark.isprintable() or mark == "\t" for mark in tame(text, colours=False))
