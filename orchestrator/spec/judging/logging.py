"""``logging``: what of it is wrong, and what is accepted and not carried out. Pure."""

from collections.abc import Callable, Iterator

from orchestrator.spec.models import Logging
from orchestrator.spec.problems import suggest
from orchestrator.spec.values.logging import (
    DRIVERS,
    FORMATS,
    OPTIONS,
    PLACEHOLDER,
    PLACEHOLDERS,
    parse_address,
    parse_count,
    parse_facility,
    parse_file,
    parse_format,
    parse_pattern,
    parse_size,
    parse_truth,
)


def mistakes(logging: Logging) -> Iterator[tuple[str, str, str | None]]:
    """Yield an option, what is wrong with it, and a hint."""
    if logging.driver not in DRIVERS:
        return
    size = "write a size like 10m, or -1 for no bound"
    pattern = "write it as RE2 has it: nothing is looked ahead or behind for, or referred back to"
    file = "write where it is on this host, as /etc/ssl/logs.pem"
    checks: dict[str, tuple[Callable[[str], object], str | None]] = {
        "max-size": (parse_size, size),
        "cache-max-size": (parse_size, size),
        "max-file": (parse_count, "write how many files are kept, at least 1"),
        "cache-max-file": (parse_count, "write how many files are kept, at least 1"),
        "compress": (parse_truth, "write true or false"),
        "cache-compress": (parse_truth, "write true or false"),
        "syslog-address": (parse_address, "write one like udp://host:514 or unixgram:///dev/log"),
        "syslog-facility": (parse_facility, "write one like `daemon` or `local0`"),
        "syslog-format": (parse_format, f"one of {', '.join(FORMATS[1:])}"),
        "syslog-tls-ca-cert": (parse_file, file),
        "syslog-tls-cert": (parse_file, file),
        "syslog-tls-key": (parse_file, file),
        "syslog-tls-skip-verify": (parse_truth, "write true or false"),
        "labels-regex": (parse_pattern, pattern),
        "env-regex": (parse_pattern, pattern),
    }
    for name, text in logging.options.items():
        if name not in checks or name not in OPTIONS[logging.driver]:
            continue
        check, hint = checks[name]
        try:
            check(text)
        except ValueError as error:
            yield name, str(error), hint


def shortfalls(logging: Logging) -> Iterator[tuple[str, str]]:
    """Yield what is accepted and not carried out, and why not, each with the key it is about."""
    if logging.driver not in DRIVERS:
        yield "driver", f"there is no driver `{logging.driver[:40]}` here; output is kept in files"
        return
    for name in logging.options:
        if name not in OPTIONS[logging.driver]:
            driver = f"the driver `{logging.driver or 'json-file'}`"
            hint = suggest(name, OPTIONS[logging.driver])
            yield f"options.{name}", f"{driver} has no such option" + (f"; {hint}" if hint else "")
    for found in PLACEHOLDER.finditer(logging.options.get("tag", "")):
        if found[1] not in PLACEHOLDERS:
            yield "options.tag", f"`{found[0]}` stands for nothing here"
