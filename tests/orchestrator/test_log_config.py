"""What a file says of a service's output, in the words of the runtime."""

import pytest

from orchestrator.spec.models import Logging, Service
from orchestrator.translate.logging import log_config
from runtime.types import Digest, ImageConfig, ImageFacts, LogConfig, LogDriver, SyslogConfig

IMAGE = ImageFacts(
    id=Digest("sha256:" + "0123456789abcdef" * 4),
    references=("web:1",),
    config=ImageConfig(
        environment=("MODE=image", "REGION=eu", "A=b=c"), labels={"team": "image", "kind": "x"}
    ),
    layers=(),
    size=1,
)


def config(driver, *, image=IMAGE, more=None, told=None, **options):
    service = Service(
        image="web:1",
        logging=Logging(
            driver=driver, options={key.replace("_", "-"): text for key, text in options.items()}
        ),
        **(more or {}),
    )
    return log_config(
        service, container="shop.web.2", reference="web:1", image=image, labels=told or {}
    )


def test_a_tag_is_filled_with_what_is_known_of_the_container():
    tag = "{{.ID}} {{ .FullID }} {{.Name}} {{.ImageName}} {{.ImageID}} {{.DaemonName}} {{.Odd}}"

    assert config("journald").tag == "shop.web.2"
    assert config("journald", tag=tag).tag == (
        "shop.web.2 shop.web.2 shop-web-2 web:1 0123456789ab pyorch {{.Odd}}"
    )
    assert config("journald", tag="{{.ImageFullID}}").tag == str(IMAGE.id)
    assert config("syslog", tag="{{.Name}}", more={"container_name": "own"}).tag == "own"
    assert config("syslog", tag="{{.ImageID}}", image=None).tag == ""


def test_labels_and_variables_come_from_the_image_and_then_from_the_file():
    found = config(
        "journald",
        told={"team": "file", "com.docker.compose.service": "web"},
        more={"environment": {"MODE": "file", "REGION": None}},
        labels="team, kind",
        labels_regex="compose",
        env="MODE,REGION,A,NONE",
    )

    assert found.attributes == {
        "team": "file",
        "kind": "x",
        "com.docker.compose.service": "web",
        "MODE": "file",
        "A": "b=c",
    }


def test_a_pattern_that_never_ends_elsewhere_ends_here():
    names = "a" * 100_000
    endless = {"labels_regex": "^(a+)+$", "env_regex": "(a*)*b"}

    found = config("journald", told={names: "x", f"{names}!": "y"}, **endless)

    assert found.attributes == {names: "x"}


def test_what_an_image_says_is_text_or_made_so():
    odd = ImageFacts(
        id=IMAGE.id,
        references=(),
        config=ImageConfig(labels={"a\ud800": "b\udfff"}),
        layers=(),
        size=1,
    )

    assert config("journald", image=odd, labels_regex="a").attributes == {"a?": "b?"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, SyslogConfig()),
        (
            {"syslog_address": "udp://[::1]:5140", "syslog_facility": "local7"},
            SyslogConfig(network="udp", host="::1", port=5140, facility=23),
        ),
        ({"syslog_address": "tcp://logs"}, SyslogConfig(network="tcp", host="logs", port=514)),
        (
            {
                "syslog_address": "tcp+tls://logs",
                "syslog_format": "rfc5424",
                "syslog_tls_ca_cert": "/ca",
                "syslog_tls_cert": "/cert",
                "syslog_tls_key": "/key",
                "syslog_tls_skip_verify": "true",
            },
            SyslogConfig(
                network="tcp+tls",
                host="logs",
                port=514,
                format="rfc5424",
                ca_cert="/ca",
                cert="/cert",
                key="/key",
                skip_verify=True,
            ),
        ),
        (
            {"syslog_address": "unixgram:///dev/log", "syslog_facility": "0"},
            SyslogConfig(network="unixgram", path="/dev/log", facility=0),
        ),
    ],
)
def test_every_option_of_syslog_is_carried_out(options, expected):
    found = config("syslog", cache_max_size="1m", cache_max_file="2", **options)

    assert (found.driver, found.syslog) == (LogDriver.SYSLOG, expected)
    assert (found.max_size, found.max_files) == (1_000_000, 2)


def test_a_log_that_stays_here_says_nothing_of_whose_it_is():
    # Else a container would be made anew for what nobody reads.
    assert config("local", tag="x", labels="team", max_size="1m") == LogConfig(max_size=1_000_000)
    assert config("gelf") == LogConfig()
    assert config("none").driver is LogDriver.NONE
