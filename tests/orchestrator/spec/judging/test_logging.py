"""What of `logging` is refused, and what gets a warning."""

import pytest

from orchestrator.spec.judging.logging import mistakes, shortfalls
from orchestrator.spec.models import Logging


def logging(driver, **options):
    return Logging(driver=driver, options={key.replace("_", "-"): options[key] for key in options})


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"syslog_address": "ftp://h"}, "`ftp://h` is no address"),
        ({"syslog_address": "unix://relative"}, "`unix://relative` is no address"),
        ({"syslog_address": "udp://h:70000"}, "70000 is no port"),
        ({"syslog_facility": "local8"}, "`local8` is no facility"),
        ({"syslog_format": "rfc1"}, "there is no format `rfc1`"),
        ({"syslog_tls_key": "key.pem"}, "`key.pem` is no absolute path"),
        ({"syslog_tls_skip_verify": "maybe"}, "`maybe` is neither true nor false"),
        ({"env_regex": "("}, "`(` is no regular expression"),
        ({"labels_regex": "(?=a)"}, "`(?=a)` is no regular expression: invalid perl operator"),
        ({"env_regex": "(a{900}){900}"}, "`(a{900}){900}` is no regular expression"),
        ({"cache_max_size": "much"}, "`much` is no size"),
    ],
)
def test_an_option_that_cannot_be_carried_out_is_refused_by_name(options, cause):
    (found,) = mistakes(logging("syslog", **options))

    assert found[0] == next(iter(options)).replace("_", "-")
    assert found[1].startswith(cause)


def test_what_is_carried_out_gets_no_warning():
    options = {"tag": "{{.Name}}", "labels": "a", "env": "B", "cache_max_size": "1m"}

    assert list(shortfalls(logging("journald", **options))) == []
    assert list(shortfalls(logging("syslog", syslog_address="udp://h", **options))) == []


def test_what_a_driver_does_not_have_gets_a_warning():
    assert list(shortfalls(logging("journald", syslog_address="udp://h", tag="{{.Odd}}"))) == [
        ("options.syslog-address", "the driver `journald` has no such option"),
        ("options.tag", "`{{.Odd}}` stands for nothing here"),
    ]
    assert [key for key, _ in shortfalls(logging("gelf"))] == ["driver"]
