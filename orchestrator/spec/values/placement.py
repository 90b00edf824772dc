"""Constraints of ``deploy.placement``: ``KEY == VALUE`` or ``KEY != VALUE``, as swarms read them.

Standard library only.
"""

import re
from typing import NamedTuple

KEYS = ("node.hostname", "node.role", "node.platform.os", "node.platform.arch")
LABELS = ("node.labels.", "engine.labels.")
_CONSTRAINT = re.compile(r"\s*(?P<key>[\w.\-/]+)\s*(?P<mark>==|!=)\s*(?P<value>\S(?:.*\S)?)\s*")


class Placing(NamedTuple):
    """What is asked of a machine: what it is to be called under a key, or not to be."""

    key: str
    value: str
    equal: bool


def parse_constraint(text: str) -> Placing:
    """Read a constraint. Raises ValueError for what is none, and for an unknown key.

    >>> parse_constraint("node.labels.disk==ssd")
    Placing(key='node.labels.disk', value='ssd', equal=True)
    """
    found = _CONSTRAINT.fullmatch(text)
    if found is None:
        raise ValueError("it is no `KEY == VALUE` and no `KEY != VALUE`")
    key = found["key"]
    if key.lower() not in KEYS and not any(
        key.lower().startswith(prefix) and len(key) > len(prefix) for prefix in LABELS
    ):
        raise ValueError(f"nothing is known of `{key}`")
    return Placing(key, found["value"], found["mark"] == "==")
