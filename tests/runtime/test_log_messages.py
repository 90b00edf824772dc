"""Lines as syslog and as the journal have them."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.logs import NANO, Line
from runtime.logs.journal import LONGEST_FIELD, OWN, JournalWriter, field_name
from runtime.logs.syslog import PIECE, SyslogWriter, cut, is_counted
from runtime.types import LogConfig, LogDriver, SyslogConfig
from tests.log_servers import parse_entry

AT = 1_767_225_599 * NANO + 123_456_789
"""The last second of 2025, in UTC."""


def line(text=b"ready", stream="stdout", *, at=AT, is_cut=False):
    return Line(at, "2025-12-31T23:59:59.123456789+00:00", stream, text, is_cut)


def syslog(given=None, *, tag="web", **config):
    writer = SyslogWriter(SyslogConfig(**config), tag=tag, host="box", pid=7)
    return list(writer.write(given or line()))


@pytest.fixture(params=["UTC0", "XST-05:30"], ids=["utc", "east"], autouse=True)
def zone(request, monkeypatch):
    """Every test twice: local time is told."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        _forget_times()
        yield request.param
    time.tzset()
    _forget_times()


def _forget_times():
    from runtime.logs import syslog

    syslog._stamp.cache_clear()
    syslog._moment.cache_clear()


@pytest.mark.parametrize(
    ("config", "utc", "east"),
    [
        ({"network": "unixgram"}, b"<30>Dec 31 23:59:59 web[7]: ready",
         b"<30>Jan  1 05:29:59 web[7]: ready"),
        ({"network": "udp", "format": "rfc3164"}, b"<30>Dec 31 23:59:59 box web[7]: ready",
         b"<30>Jan  1 05:29:59 box web[7]: ready"),
        ({"network": "udp", "format": "rfc5424"},
         b"<30>1 2025-12-31T23:59:59Z box web 7 web - ready",
         b"<30>1 2026-01-01T05:29:59+05:30 box web 7 web - ready"),
        ({"network": "udp", "format": "rfc5424micro", "facility": 16},
         b"<134>1 2025-12-31T23:59:59.123456Z box web 7 web - ready",
         b"<134>1 2026-01-01T05:29:59.123456+05:30 box web 7 web - ready"),
    ],
)  # fmt: skip
def test_a_line_is_written_as_other_engines_write_it(zone, config, utc, east):
    assert syslog(**config) == [utc if zone == "UTC0" else east]


def test_what_comes_from_standard_error_is_an_error():
    assert syslog(line(stream="stderr"), network="udp")[0].startswith(b"<27>")


@pytest.mark.parametrize(
    ("network", "form", "counted"),
    [
        ("tcp+tls", "rfc5424", True),
        ("tcp+tls", "rfc5424micro", True),
        ("tcp+tls", "rfc3164", False),
        ("tcp+tls", "", False),
        ("tcp", "rfc5424", False),
        ("unix", "rfc5424", False),
    ],
)
def test_octets_are_counted_only_where_others_count_them(network, form, counted):
    assert is_counted(SyslogConfig(network=network, format=form)) is counted


def test_an_empty_line_is_no_message_of_syslog_but_an_entry_of_the_journal():
    assert syslog(line(b""), network="udp") == []
    assert [parse_entry(one)["MESSAGE"] for one in JournalWriter(LogConfig()).write(line(b""))] == [
        b""
    ]


def test_a_tag_cannot_break_the_head_of_a_message():
    (told,) = syslog(network="udp", format="rfc5424", tag="a b\n<0>é" + "x" * 100)

    head, _, text = told.partition(b" - ")
    assert text == b"ready"
    assert re.fullmatch(rb"<30>1 \S+ box a_b_<0>_x{40} 7 a_b_<0>_x{24}", head)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.integers(4, 40))
def test_pieces_of_a_line_are_the_line_and_divide_no_character(text, most):
    pieces = list(cut(text, most))

    assert b"".join(pieces) == text
    assert all(0 < len(one) <= most for one in pieces)
    try:
        text.decode()
    except UnicodeDecodeError:
        return
    for one in pieces:
        one.decode()


def test_a_long_line_comes_in_messages_of_a_bounded_size():
    told = syslog(line(b"x" * (3 * PIECE + 1)), network="udp")

    assert [len(one.partition(b": ")[2]) for one in told] == [PIECE, PIECE, PIECE, 1]


CONFIG = LogConfig(
    driver=LogDriver.JOURNALD,
    tag="tag",
    container="shop.web.1",
    name="shop-web-1",
    image="web:1",
    attributes={"com.example.team": "a\nb", "9lives": "x", "_x": "y", "message": "forged"},
)


def test_an_entry_tells_whose_line_it_is():
    (told,) = JournalWriter(CONFIG).write(line(stream="stderr"))

    assert parse_entry(told) == {
        "MESSAGE": b"ready",
        "PRIORITY": b"3",
        "SYSLOG_TIMESTAMP": b"2025-12-31T23:59:59.123456789+00:00",
        "CONTAINER_ID": b"shop.web.1",
        "CONTAINER_ID_FULL": b"shop.web.1",
        "CONTAINER_NAME": b"shop-web-1",
        "CONTAINER_TAG": b"tag",
        "IMAGE_NAME": b"web:1",
        "SYSLOG_IDENTIFIER": b"tag",
        "COM_EXAMPLE_TEAM": b"a\nb",
        "X": b"y",
    }


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_and_forge_no_field(text):
    (told,) = JournalWriter(CONFIG).write(line(text))

    assert parse_entry(told)["MESSAGE"] == text


@given(st.text(max_size=100))
def test_a_name_the_journal_takes_is_made_of_any(given):
    found = field_name(given)

    assert found == "" or re.fullmatch(r"[A-Z][A-Z0-9_]*", found)
    assert len(found) <= LONGEST_FIELD


@pytest.mark.parametrize("name", OWN)
def test_no_label_takes_the_place_of_a_field_of_ours(name):
    config = LogConfig(driver=LogDriver.JOURNALD, attributes={name.lower(): "forged"})

    (told,) = JournalWriter(config).write(line())

    assert b"forged" not in told


def test_pieces_of_an_endless_line_are_known_to_belong_together():
    writer = JournalWriter(CONFIG)
    given = [line(b"a", is_cut=True), line(b"other", "stderr"), line(b"b", is_cut=True), line(b"c")]

    told = [parse_entry(entry) for one in [*given, line(b"next")] for entry in writer.write(one)]

    names = ("CONTAINER_PARTIAL_MESSAGE", "CONTAINER_PARTIAL_ORDINAL", "CONTAINER_PARTIAL_LAST")
    assert [tuple(one.get(name) for name in names) for one in told] == [
        (b"true", b"1", b"false"),
        (None, None, None),
        (b"true", b"2", b"false"),
        (None, b"3", b"true"),
        (None, None, None),
    ]
    assert len({one["CONTAINER_PARTIAL_ID"] for one in (told[0], told[2], told[3])}) == 1
