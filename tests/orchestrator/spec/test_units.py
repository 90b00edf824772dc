"""Sizes, durations, ports and volumes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.units import parse_duration, parse_port, parse_size, parse_volume


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", 10),
        ("2b", 2),
        ("64k", 65536),
        ("64kb", 65536),
        ("512m", 2**29),
        ("1.5g", 3 * 2**29),
        ("1GiB", 2**30),
        (7, 7),
    ],
)
def test_sizes(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "x", "10q", "1e3", "9999999999p", "m"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="`"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10s", 10.0), ("1m30s", 90.0), ("1h5m30s20ms", 3930.02), ("500ms", 0.5), ("1.5h", 5400.0)],
)
def test_durations(text, expected):
    assert parse_duration(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "5x", "-1s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_is_the_sum_of_its_parts(hours, minutes, seconds, millis):
    text = f"{hours}h{minutes}m{seconds}s{millis}ms"

    assert parse_duration(text) == pytest.approx(
        hours * 3600 + minutes * 60 + seconds + millis / 1000
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [{"target": 80, "protocol": "tcp"}]),
        ("8080:80", [{"target": 80, "protocol": "tcp", "published": "8080"}]),
        ("8080:80/udp", [{"target": 80, "protocol": "udp", "published": "8080"}]),
        (
            "127.0.0.1:8080:80",
            [{"target": 80, "protocol": "tcp", "published": "8080", "host_ip": "127.0.0.1"}],
        ),
        ("127.0.0.1::80", [{"target": 80, "protocol": "tcp", "host_ip": "127.0.0.1"}]),
        (
            "[::1]:80:81",
            [{"target": 81, "protocol": "tcp", "published": "80", "host_ip": "::1"}],
        ),
        (
            "9000-9001:80-81",
            [
                {"target": 80, "protocol": "tcp", "published": "9000"},
                {"target": 81, "protocol": "tcp", "published": "9001"},
            ],
        ),
        ("9000-9005:80", [{"target": 80, "protocol": "tcp", "published": "9000-9005"}]),
    ],
)
def test_ports(text, expected):
    assert parse_port(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "0", "70000", "1:2:3:4", "80-79", "1-2:3-5", "300.1.1.1:1:1", "[::1:80:80"]
)
def test_what_is_no_port_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_port(text)


def test_a_volume_is_named_bound_or_nameless():
    assert parse_volume("data:/data")["type"] == "volume"
    assert parse_volume("./here:/data:ro") == {
        "type": "bind",
        "source": "./here",
        "target": "/data",
        "read_only": True,
        "bind": {"create_host_path": True},
    }
    assert parse_volume("/data") == {"type": "volume", "target": "/data"}
