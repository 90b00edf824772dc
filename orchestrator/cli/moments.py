"""Moments as people write them: dates, times, seconds since the epoch, or how long ago."""

import re
from datetime import datetime, timedelta

from orchestrator.errors import PyorchError

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_AGO = re.compile(r"(\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = re.compile(r"\d+(?:\.\d{1,9})?")
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d(?::\d\d(?::\d\d)?)?)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?"
)


def parse_moment(option: str, given: str, *, now: float) -> str:
    """Return seconds since the epoch, to the nanosecond, as the daemon takes them.

    What names no zone is local time. Raises PyorchError for text that is no moment.
    """
    if _AGO.fullmatch(given):
        ago = sum(float(count) * UNITS[unit] for count, unit in _PART.findall(given))
        return f"{now - ago:.6f}"
    if _SECONDS.fullmatch(given):
        return given
    found = _DATE.fullmatch(given)
    if found is not None:
        day, clock, fraction, zone = found.groups()
        clock = (clock or "00") + ":00:00"[: 6 - len((clock or "00")[2:])]
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}{(zone or '').replace('Z', '+00:00')}")
            whole = round((moment.astimezone() - _epoch()) / timedelta(seconds=1))
        except (ValueError, OverflowError):
            whole = None
        if whole is not None and whole >= 0:
            return f"{whole}.{fraction or '0'}"
    raise PyorchError(
        f"{option}: `{given[:60]}` is no moment",
        hint="write how long ago (10m, 1h30m), or a time like 2026-01-31T12:00:00Z",
    )


def _epoch() -> datetime:
    return datetime.fromisoformat("1970-01-01T00:00:00+00:00")
