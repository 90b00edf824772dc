"""How signals are written. Pure."""

import re
import signal

SIGNAL = re.compile(r"(SIG)?(RT(MIN|MAX)([+-][0-9]{1,2})?|[A-Z][A-Z0-9]{1,7})|[0-9]{1,2}")


def is_signal(text: str) -> bool:
    """Whether there is such a signal."""
    if not SIGNAL.fullmatch(text):
        return False
    if text.isdigit():
        return 1 <= int(text) <= signal.SIGRTMAX
    name = re.split("[+-]", text.removeprefix("SIG"))[0]
    return f"SIG{name}" in signal.Signals.__members__
