"""`template_driver: golang`: placeholders in configs and secrets, those of Docker's swarm.

Only what needs no language is understood: fields, and the three functions with one name. Anything
else is refused, and never left as it is.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

FIELDS = (".Service.Name", ".Task.Slot", ".Task.Name", ".Node.Hostname")
FUNCTIONS = ("env", "secret", "config")
ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
CALL = re.compile(r"(env|secret|config)\s+(?:\"([^\"\\]*)\"|`([^`]*)`)")
KNOWN = f"{', '.join(FIELDS)}, and {', '.join(f'{one} NAME' for one in FUNCTIONS)}, NAME in quotes"


class Placeholder(NamedTuple):
    """A field, or a function and the name it is given."""

    what: str
    name: str = ""


def parse_template(text: str) -> Iterator[str | Placeholder]:
    """Yield what stands between placeholders, and the placeholders. Raises ValueError."""
    end = 0
    for found in ACTION.finditer(text):
        yield text[end : found.start()]
        end = found.end()
        words, call = found[1], CALL.fullmatch(found[1])
        if words in FIELDS:
            yield Placeholder(words)
        elif call is not None:
            yield Placeholder(call[1], call[2] if call[2] is not None else call[3])
        elif not words.startswith("/*"):
            raise ValueError(f"`{words[:60]}` is not understood")
    yield text[end:]
