"""How old an image may be before its registry is asked again. Standard library only."""

import re

DAY = 86400
SECONDS = {"w": 7 * DAY, "d": DAY, "h": 3600, "m": 60, "s": 1}
POLICY = re.compile(
    r"(always|never|missing|if_not_present|build|daily|weekly|refresh|every_([0-9]+[wdhms])+)?"
)
_PART = re.compile(r"([0-9]+)([wdhms])")


def refresh_after(policy: str) -> float | None:
    """Return the seconds after which an image that is here is asked for again; None for never.

    >>> refresh_after("every_1d12h")
    129600.0
    """
    if policy in ("always", "refresh"):
        return 0.0
    if policy in ("daily", "weekly"):
        return float(DAY if policy == "daily" else 7 * DAY)
    if policy.startswith("every_"):
        return float(sum(int(count) * SECONDS[unit] for count, unit in _PART.findall(policy)))
    return None
