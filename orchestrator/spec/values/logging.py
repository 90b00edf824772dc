"""Options of ``logging``: which every driver takes, and what they say. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

FILES = ("", "json-file", "local")
DRIVERS = (*FILES, "journald", "syslog", "none")
UNBOUND = "-1"
PORT = 514
"""Where syslog listens, encrypted or not, if an address does not say."""
SMALLEST = 16_000
"""Bytes a file has at least: turning one over has a cost of its own."""
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "security", "console", "solaris-cron", "local0", "local1", "local2", "local3",
    "local4", "local5", "local6", "local7",
)  # fmt: skip
FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
PLACEHOLDERS = ("ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName")

_KEPT = ("max-size", "max-file", "compress")
_CACHED = tuple(f"cache-{name}" for name in _KEPT)
_TOLD = ("tag", "labels", "labels-regex", "env", "env-regex")
_ALWAYS = ("mode", "max-buffer-size")
"""Nothing is to be done for them: a container never waits for its log."""
_SYSLOG = (
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
)
OPTIONS = {
    "": (*_KEPT, *_TOLD, *_ALWAYS),
    "json-file": (*_KEPT, *_TOLD, *_ALWAYS),
    "local": (*_KEPT, *_TOLD, *_ALWAYS),
    "journald": (*_CACHED, *_TOLD, *_ALWAYS),
    "syslog": (*_CACHED, *_SYSLOG, *_TOLD, *_ALWAYS),
    "none": (),
}
"""What every driver understands."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?:(udp|tcp|tcp\+tls)://(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9._-]+)(?::(\d{1,5}))?"
    r"|(unix|unixgram)://(/[^\0]+))"
)
PLACEHOLDER = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How much of a log is kept; ``max_size`` None is all of it."""

    max_size: int | None = 20_000_000
    max_files: int = 5
    compress: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogTarget:
    """Where and how a log goes to syslog; no address is the host's own."""

    network: str = ""
    host: str = ""
    port: int = 0
    path: str = ""


def kept(given: Mapping[str, str]) -> Kept:
    """Return how much is kept. Raises ValueError for options that make no sense."""
    usual = Kept()
    options = {name.removeprefix("cache-"): text for name, text in given.items()}
    size = options.get("max-size")
    files = options.get("max-file")
    compress = options.get("compress")
    return Kept(
        max_size=usual.max_size if size is None else parse_size(size),
        max_files=usual.max_files if files is None else parse_count(files),
        compress=usual.compress if compress is None else parse_truth(compress),
    )


def parse_address(given: str) -> SyslogTarget:
    """Read ``syslog-address``. Raises ValueError for one that cannot be."""
    if not given:
        return SyslogTarget()
    found = _ADDRESS.fullmatch(given)
    if found is None:
        raise ValueError(f"`{given[:60]}` is no address")
    network, host, port, local, path = found.groups()
    if local:
        return SyslogTarget(network=local, path=path)
    number = int(port) if port else PORT
    if not 0 < number < 65536:
        raise ValueError(f"{number} is no port")
    return SyslogTarget(network=network, host=host.strip("[]"), port=number)


def parse_facility(given: str) -> int:
    """Read ``syslog-facility``, a name or a number. Raises ValueError for another one."""
    if given in FACILITIES:
        return FACILITIES.index(given)
    if given.isascii() and given.isdigit() and int(given) < len(FACILITIES):
        return int(given)
    raise ValueError(f"`{given[:40]}` is no facility")


def fill_tag(tag: str, values: Mapping[str, str]) -> str:
    """Put in what a tag asks for; what it cannot ask for stays as it is."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), tag)


def parse_size(given: str) -> int | None:
    """Read ``max-size``; None is no bound. Raises ValueError for what is no size."""
    if given == UNBOUND:
        return None
    found = _SIZE.fullmatch(given)
    size = 0
    if found is not None:
        # Unlike everywhere else in a stack file, a kilobyte is 1000 bytes here.
        power = " kmgtp".index((found[2] or " ").lower())
        size = int(float(found[1]) * 1000**power)
    if not 0 < size < 2**62:
        raise ValueError(f"`{given[:40]}` is no size")
    return max(size, SMALLEST)


def parse_count(given: str) -> int:
    """Read ``max-file``. Raises ValueError for what is no number of files."""
    if not (given.isascii() and given.isdigit() and 0 < int(given[:9]) < 10_000):
        raise ValueError(f"`{given[:40]}` is no number of files")
    return int(given)


def parse_truth(given: str) -> bool:
    """Read a truth value. Raises ValueError for another word."""
    if given.lower() in ("true", "t", "1"):
        return True
    if given.lower() in ("false", "f", "0"):
        return False
    raise ValueError(f"`{given[:40]}` is neither true nor false")


def parse_format(given: str) -> str:
    """Read ``syslog-format``. Raises ValueError for one there is not."""
    if given not in FORMATS:
        raise ValueError(f"there is no format `{given[:40]}`")
    return given


def parse_file(given: str) -> str:
    """Read the path of a file of the host. Raises ValueError for one that is not absolute."""
    if not given.startswith("/") or "\0" in given:
        raise ValueError(f"`{given[:60]}` is no absolute path")
    return given


@lru_cache(maxsize=64)
def parse_pattern(given: str) -> Callable[[str], bool]:
    """Return what tells whether a text has what a regular expression describes.

    Its syntax is RE2's, as other engines have it: whatever it says, looking takes a time that
    grows with the text, and no more. Raises ValueError for what is none.
    """
    import re2  # 40 ms, and hardly any file needs it.

    options = re2.Options()
    options.log_errors = False
    try:
        found = re2.compile(_text(given), options)
    except re2.error as error:
        said = error.args[0]
        cause = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise ValueError(f"`{given[:40]}` is no regular expression: {cause[:80]}") from None
    return lambda text: found.search(_text(text)) is not None


def _text(given: str) -> str:
    """Return what can be written of a text: what an image says need not be one."""
    return given.encode(errors="replace").decode()
