"""Sizes, durations, ports and volumes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.values.units import (
    duration_text,
    parse_device,
    parse_duration,
    parse_port,
    parse_size,
    parse_volume,
    unknown_options,
)


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


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "5x", "1h-2m", "--1s"])
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
    ("seconds", "text"),
    [
        (0, "0s"),
        (10, "10s"),
        (90, "1m30s"),
        (3600, "1h0m0s"),
        (3930.02, "1h5m30.02s"),
        (0.5, "500ms"),
        (0.0015, "1.5ms"),
        (2e-6, "2µs"),
        (1e-9, "1ns"),
        (-1.5, "-1.5s"),
        (86400 * 8, "192h0m0s"),
    ],
)
def test_durations_are_written_as_the_reference_writes_them(seconds, text):
    assert duration_text(seconds) == text
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "seconds"), [("1d", 86400), ("1w2d", 777600), ("0", 0)])
def test_days_and_weeks_are_durations(text, seconds):
    assert parse_duration(text) == seconds


def port(target, published="", host_ip="", protocol="tcp"):
    found = {"mode": "ingress", "target": target, "protocol": protocol}
    found |= {"published": published} if published else {}
    return found | ({"host_ip": host_ip} if host_ip else {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (80, [port(80)]),
        ("8080:80", [port(80, "8080")]),
        ("8080:80/udp", [port(80, "8080", protocol="udp")]),
        ("8080:80/UDP", [port(80, "8080", protocol="udp")]),
        ("53:53/sctp", [port(53, "53", protocol="sctp")]),
        ("127.0.0.1:8080:80", [port(80, "8080", "127.0.0.1")]),
        ("127.0.0.1::80", [port(80, host_ip="127.0.0.1")]),
        ("[::1]:80:81", [port(81, "80", "::1")]),
        ("::1:80:81", [port(81, "80", "::1")]),
        ("9000-9001:80-81", [port(80, "9000"), port(81, "9001")]),
        ("9000-9005:80", [port(80, "9000-9005")]),
        ("3000-3001", [port(3000), port(3001)]),
        ("80-80:8080/tcp", [port(8080, "80")]),
    ],
)
def test_ports(text, expected):
    assert parse_port(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":", "x", "70000", "1:2:3:4", "80-79", "1-2:3-5", "300.1.1.1:1:1", "80/foo", "8080:/tcp"],
)
def test_what_is_no_port_is_refused(text):
    with pytest.raises(ValueError, match="`"):
        parse_port(text)


BIND = {"create_host_path": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", {"type": "volume", "target": "/data", "volume": {}}),
        (
            "data:/d",
            {"type": "volume", "source": "data", "target": "/d", "volume": {}},
        ),
        (
            "data:/d:nocopy",
            {"type": "volume", "source": "data", "target": "/d", "volume": {"nocopy": True}},
        ),
        ("./x:/d", {"type": "bind", "source": "./x", "target": "/d", "bind": BIND}),
        ("~/x:/d:rw", {"type": "bind", "source": "~/x", "target": "/d", "bind": BIND}),
        (
            "/x:/d:ro,z",
            {
                "type": "bind",
                "source": "/x",
                "target": "/d",
                "read_only": True,
                "bind": {"selinux": "z", **BIND},
            },
        ),
        (
            "/x:/d:rslave",
            {
                "type": "bind",
                "source": "/x",
                "target": "/d",
                "bind": {"propagation": "rslave", **BIND},
            },
        ),
        (r"c:\x:/d", {"type": "bind", "source": r"c:\x", "target": "/d", "bind": BIND}),
        (
            "${A:-/x}/y:/d",
            {"type": "volume", "source": "${A:-/x}/y", "target": "/d", "volume": {}},
        ),
    ],
)
def test_volumes(text, expected):
    assert parse_volume(text) == expected


@pytest.mark.parametrize("text", ["", ":/d", "/x::ro", "/x:/d:ro:z", "xy:"])
def test_what_is_no_volume_is_refused(text):
    with pytest.raises(ValueError, match="volume"):
        parse_volume(text)


def test_options_that_mean_nothing_are_known():
    assert unknown_options("/x:/d:ro,wat,cached") == ("wat",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/dev/a", ("/dev/a", "/dev/a", "rwm")),
        ("/dev/a:/dev/b", ("/dev/a", "/dev/b", "rwm")),
        ("/dev/a:/dev/b:r", ("/dev/a", "/dev/b", "r")),
    ],
)
def test_devices(text, expected):
    assert tuple(parse_device(text).values()) == expected


def test_what_is_no_device_is_refused():
    with pytest.raises(ValueError, match="device"):
        parse_device("a:b:c:d")
