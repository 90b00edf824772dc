"""Signals by the names people write."""

import signal

from runtime.errors import ConflictError


def signal_number(name: str) -> int:
    """Return a signal's number from its name, with or without SIG, or from its number.

    Raises ConflictError for a signal that does not exist.
    """
    text = name.strip().upper()
    if text.isdigit() and 1 <= int(text) <= signal.SIGRTMAX:
        return int(text)
    text = text if text.startswith("SIG") else f"SIG{text}"
    base, _, offset = text.partition("+")
    found = getattr(signal, base, None)
    if isinstance(found, signal.Signals) and (not offset or offset.isdigit()):
        number = int(found) + int(offset or 0)
        if number <= signal.SIGRTMAX:
            return number
    raise ConflictError("send signal", name, "there is no such signal")
