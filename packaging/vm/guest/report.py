"""Make checks one after the other and say of each whether it held."""

import sys
import termios
import time
import traceback
from collections.abc import Callable, Sequence

Check = Callable[[], None]


class UnmetError(Exception):
    """What a check asks for is not so; the text says what is."""


def need(so: object, reason: str) -> None:
    """Raise UnmetError with ``reason`` unless ``so``."""
    if not so:
        raise UnmetError(reason)


def until(so: Callable[[], object], *, within: float, reason: Callable[[], str]) -> None:
    """Return once ``so``; raise UnmetError with ``reason`` where that takes too long."""
    deadline = time.monotonic() + within
    while not so():
        if time.monotonic() > deadline:
            raise UnmetError(f"not within {within:.0f} s: {reason()}")
        time.sleep(0.1)


def make(checks: Sequence[Check]) -> bool:
    """Make every check; its title is the first line of what it says of itself."""
    passed = True
    for check in checks:
        title = (check.__doc__ or check.__name__).splitlines()[0].rstrip(".")
        began = time.monotonic()
        try:
            check()
        except UnmetError as unmet:
            passed = False
            say(f"FAILED {title}: {unmet}")
        except Exception:
            passed = False
            say(f"FAILED {title}: {traceback.format_exc(limit=-2, chain=False)}")
        else:
            say(f"ok {title} ({time.monotonic() - began:.1f} s)")
    return passed


def say(text: str) -> None:
    """Print, and return once the line has left the machine: its power may be cut next."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    if sys.stdout.isatty():
        termios.tcdrain(sys.stdout.fileno())
